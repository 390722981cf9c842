"""A ruleset in which every rule has its number, and packets that are sent through it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING

from nptables.iptables.ruleset import BUILT_IN_CHAINS
from tests.lab.walks.wire import Sent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nptables.family import Family

# A target that changes nothing: the rule counts, and the packet goes on.
NOTHING = "-j MARK --set-xmark 0x0/0x0"
_TARGET = re.compile(r"(.*?)(-[jg] .*)?")


@dataclass
class Row:
    """A rule, and the packets that met it: their positions, once for each time."""

    table: str
    chain: str
    words: str
    met: list[int] = field(default_factory=list)


@dataclass
class Case:
    """A ruleset, packets that are sent through it one after the other, and where each came out.

    Where `open` is set the tracer can only ask. `before` are packets that make the connection
    of the first packet known.
    """

    name: str
    rows: list[Row]
    packets: list[tuple[Sent, str]]
    before: list[Sent] = field(default_factory=list)
    open: bool = False
    seen: list[list[list[str | int]]] = field(default_factory=list)

    def text(self) -> str:
        """The ruleset for iptables-restore; each rule has its position for a name."""
        tables: dict[str, list[str]] = {}
        for position, row in enumerate(self.rows):
            matches, target = _TARGET.fullmatch(row.words).groups()  # type: ignore[union-attr]
            name = f"-m comment --comment r{position}"
            words = [f"-A {row.chain}", matches.strip(), name, target or NOTHING]
            tables.setdefault(row.table, []).append(" ".join(filter(None, words)))
        return "".join(
            "\n".join([f"*{table}", *_declared(table, lines), *lines, "COMMIT", ""])
            for table, lines in tables.items()
        )


def _declared(table: str, lines: list[str]) -> Iterator[str]:
    """The lines that declare the chains of a table."""
    built_in = BUILT_IN_CHAINS[table]
    own = dict.fromkeys(line.split()[1] for line in lines)
    yield from (f":{chain} ACCEPT [0:0]" for chain in built_in)
    yield from (f":{chain} - [0:0]" for chain in own if chain not in built_in)


class Packets:
    """Packets of one family, each with another source port."""

    def __init__(self, family: Family) -> None:
        self._family = family
        self._count = 0

    def __call__(
        self, device: str, source: str, to: str, protocol: str = "tcp", port: int = 80, *,
        flags: str = "SYN", icmp: tuple[int, int] = (0, 0), mark: int = 0, source_port: int = 0,
    ) -> Sent:  # fmt: skip
        """A packet."""
        self._count += 1
        return Sent(
            self._family, device, source, to, protocol, source_port or 5000 + 7 * self._count,
            0 if "icmp" in protocol else port,
            frozenset(flags.split()) if protocol == "tcp" else frozenset(), icmp, mark,
        )  # fmt: skip


def rows(table: str, chains: tuple[str, ...], words: list[str]) -> Iterator[Row]:
    """The rules in each of the chains; `{}` is where a negation may stand: tried both ways."""
    for chain in chains:
        for text in words:
            for negations in product(("", "! "), repeat=text.count("{}")):
                yield Row(table, chain, text.format(*negations))
