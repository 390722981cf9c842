"""The dumps of other programs under fixtures/dumps."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from nptables.family import Family

_FOLDER = Path(__file__).parents[2] / "fixtures" / "dumps"
_FAMILIES = {"ipv4": Family.IPV4, "ipv6": Family.IPV6}
_RULE = re.compile(r"(?:\[\d+:\d+\] )?(-A .*)")
_SET = re.compile(r"--match-set (\S+)")


@dataclass(frozen=True)
class Dump:
    """One dump: which program wrote the rules, of which family, and its text."""

    name: str
    family: Family
    text: str

    def __str__(self) -> str:
        return self.name

    @property
    def rule_lines(self) -> list[str]:
        """Every rule, without counters."""
        return [match[1] for line in self.text.splitlines() if (match := _RULE.fullmatch(line))]

    @property
    def sets(self) -> list[str]:
        """The ipsets that the rules name."""
        return sorted(set(_SET.findall(self.text)))


def dumps() -> list[Dump]:
    """All of them."""
    return [
        Dump(path.stem, _FAMILIES[path.stem.rsplit(".", 1)[1]], path.read_text())
        for path in sorted(_FOLDER.glob("*.save"))
    ]
