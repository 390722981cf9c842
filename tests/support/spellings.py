"""Reads fixtures/spellings/spellings.txt: several spellings of one rule, and the printed one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nptables.family import Family

_FILE = Path(__file__).parents[2] / "fixtures" / "spellings" / "spellings.txt"
_FAMILIES = {"4": Family.IPV4, "6": Family.IPV6}


@dataclass(frozen=True)
class Spelling:
    """One spelling of a rule; `refused` where iptables 1.8.9 does not take it."""

    family: Family
    table: str
    line: str
    printed: str
    refused: bool

    def __str__(self) -> str:
        return f"{self.family.value} {self.line}"


def spellings() -> list[Spelling]:
    """All spellings in the file, once for each family they are good for."""
    found: list[Spelling] = []
    families, table, chain = "", "", ""
    pending: list[str] = []
    for line in _FILE.read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        if line.startswith("["):
            families, table, chain = line[1:-1].split(" ")
        elif line.startswith("= "):
            printed = f"-A {chain} {line[2:]}"
            for family in families:
                for spelling in [*pending, line[2:]]:
                    refused = spelling.startswith("~ ")
                    text = f"-A {chain} {spelling[2:] if refused else spelling}"
                    found.append(Spelling(_FAMILIES[family], table, text, printed, refused))
            pending = []
        else:
            pending.append(line)
    assert not pending, f"no printed line behind {pending}"
    return found
