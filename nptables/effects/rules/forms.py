"""The rules that packets to a destination can meet, without the names that make no difference.

Destinations of equal form fare the same but for names: of chains, of single addresses, and of the
port that they are asked at. So one of them is followed for all. An address may be renamed where
nothing but equality with it is asked; so forms go with the class that each address is of.
"""

from __future__ import annotations

from collections.abc import Hashable

import attrs

from nptables.effects.rules.lines import Span, Words
from nptables.effects.rules.reachable import ChainId, Entry, Graph, Reached


@attrs.define
class Naming:
    """The single addresses in the rules of a destination, numbered as they come up.

    The first is the destination. `spans` are the networks and ranges, `sets` the sets that the
    rules name. `ranged` tells that the number of the port makes a difference, `trouble` why
    sources cannot be told apart.
    """

    address: str
    port: int
    hosts: dict[str, int] = attrs.field(factory=dict)
    spans: dict[Span, None] = attrs.field(factory=dict)
    sets: dict[str, None] = attrs.field(factory=dict)
    ranged: bool = False
    trouble: str = ""

    def __attrs_post_init__(self) -> None:
        """The destination is the first of them."""
        self.hosts[self.address] = 0

    def host(self, text: str) -> int:
        """The number of an address."""
        return self.hosts.setdefault(text, len(self.hosts))

    def learn(self, words: Words) -> None:
        """Note what a line says."""
        self.spans.update(dict.fromkeys(words.spans))
        self.sets.update(dict.fromkeys(words.sets))
        self.ranged = self.ranged or words.ranged
        self.trouble = self.trouble or words.sources_open


def form_of(reached: Reached, graph: Graph, naming: Naming) -> Hashable:
    """What stands on the way of a destination behind the trunk, in names of `naming`."""
    numbers = {chain: number for number, chain in enumerate(reached.branches)}
    entries = tuple(
        (entry.chain, entry.rank, _line_form(entry, graph, naming, numbers))
        for entry in reached.entries
    )
    # Branches are numbered as they are found; their order among each other means nothing else.
    branches = tuple(
        (
            chain[:2],
            tuple(_form(chain, line, graph, naming, numbers) for line in graph.lines(chain)),
        )
        for chain in reached.branches
    )
    return entries, branches


def _line_form(entry: Entry, graph: Graph, naming: Naming, numbers: dict[ChainId, int]) -> Hashable:
    return _form(entry.whose, entry.line, graph, naming, numbers)


def _form(
    chain: ChainId, line: str, graph: Graph, naming: Naming, numbers: dict[ChainId, int]
) -> Hashable:
    words = graph.reader.read(line)
    naming.learn(words)
    return (
        words.template,
        tuple(map(naming.host, words.hosts)),
        # The destination's own port is a name like its address; any other is a condition.
        tuple("its" if port == naming.port else port for port in words.ports),
        _name((*chain[:2], words.target), graph, numbers),
        tuple(_name((chain[0], "nat", each), graph, numbers) for each in words.lists),
    )


def _name(chain: ChainId, graph: Graph, numbers: dict[ChainId, int]) -> Hashable:
    """A chain by its number among the branches or in the trunk, anything else by its name."""
    if chain in numbers:
        return numbers[chain]
    return ("trunk", graph.trunk[chain]) if chain in graph.trunk else chain[2]
