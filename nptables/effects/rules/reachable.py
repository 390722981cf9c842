"""The rules that packets to one destination can meet, found without following any packet.

What every packet may meet is the trunk: the chains that are reached from the hooks by rules that
are not about one address and port, or one port, alone. A rule of the trunk that is about one
address or one port is kept by that, and the chains behind it are the branches of that destination.

Destinations whose rule text is the same on the whole way need not be compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from nptables.effects.rules.lines import Reader, Translation, translation
from nptables.family import Family
from nptables.iptables import Ruleset
from nptables.iptables.ruleset import BUILT_IN_CHAINS, target_of
from nptables.tracing.traversal.rulebook import only_destination

# The backend's number, the table and the chain.
ChainId = tuple[int, str, str]
# What rules may be about alone: a destination address or a destination port.
Key = str | int


class Entry(NamedTuple):
    """A rule of the trunk that is about one destination.

    `chain` is the number of its chain, `rank` how many rules about anything stand before it there.
    """

    chain: int
    position: int
    rank: int
    line: str
    whose: ChainId


class Graph:
    """The chains of the rulesets of one node, and which lead to which."""

    def __init__(self, rulesets: Sequence[Ruleset], reader: Reader) -> None:
        self.rulesets = rulesets
        self._tables = [ruleset.tables for ruleset in rulesets]
        self.reader = reader
        self.family: Family = reader.family
        self.index: dict[Key, list[Entry]] = {}
        self.trunk: dict[ChainId, int] = {}
        self.general: list[tuple[ChainId, str, tuple[str, ...]]] = []
        self._grow()

    def chain(self, chain: ChainId) -> tuple[str, ...] | None:
        """The lines of a chain, or None where there is none of that name."""
        number, table, name = chain
        found = self._tables[number].get(table)
        return None if found is None else found.chains.get(name)

    def lines(self, chain: ChainId) -> tuple[str, ...]:
        """The lines of a chain; empty where there is none of that name."""
        return self.chain(chain) or ()

    def has(self, chain: ChainId) -> bool:
        """Whether there is a chain."""
        return self.chain(chain) is not None

    def target(self, chain: ChainId, line: str) -> ChainId | None:
        """The chain that a line of a chain jumps to, or None."""
        found = (*chain[:2], target_of(line))
        return found if self.has(found) else None

    def _grow(self) -> None:
        waiting = [
            (number, table, name)
            for number, ruleset in enumerate(self.rulesets)
            for table, names in BUILT_IN_CHAINS.items()
            for name in names
            if table in ruleset.tables and name in ruleset.tables[table].chains
        ]
        waiting.reverse()
        while waiting:
            chain = waiting.pop()
            if chain in self.trunk:
                continue
            # By the order in which they are met, so that names make no difference.
            number = self.trunk[chain] = len(self.trunk)
            general: list[str] = []
            found: list[ChainId] = []
            for position, line in enumerate(self.lines(chain)):
                key = only_destination(line, self.family)
                if key is not None:
                    entry = Entry(number, position, len(general), line, chain)
                    self.index.setdefault(key, []).append(entry)
                    # One port, or one address and port, is one destination: what is behind such a
                    # rule is no part of the trunk.
                    if isinstance(key, int) or " --dport " in line:
                        continue
                    # Behind an address alone there are as many destinations as it has ports.
                else:
                    general.append(line)
                target = self.target(chain, line)
                if target is not None:
                    found.append(target)
            policy = self.rulesets[chain[0]].tables[chain[1]].policies.get(chain[2], "")
            self.general.append((chain, policy, tuple(general)))
            waiting += reversed(found)

    def trunk_form(self) -> tuple[object, ...]:
        """The trunk without the names of its chains and without comments."""
        found: list[object] = []
        for (book, table, name), policy, lines in self.general:
            built_in = name if name in BUILT_IN_CHAINS.get(table, ()) else ""
            rules = []
            for line in lines:
                words = self.reader.read(line)
                target = (book, table, words.target)
                to = self.trunk.get(target, words.target)
                lists = tuple(self.trunk.get((book, "nat", each), each) for each in words.lists)
                rules.append((words.template, words.hosts, words.ports, to, lists))
            found.append((book, table, built_in, policy, tuple(rules)))
        labels = tuple(ruleset.backend for ruleset in self.rulesets)
        return (labels if len(labels) > 1 else (), *found)

    def translations(self) -> list[Translation]:
        """Where rules of the trunk send packets, whatever they are sent to."""
        lines = (line for _, _, general in self.general for line in general)
        return [found for line in lines if (found := translation(line)) is not None]

    def reached(self, address: str, port: int, own: Sequence[str]) -> Reached:
        """What packets to an address and a port may meet behind the trunk."""
        keys: dict[Key, None] = {address: None, port: None}
        entries: list[Entry] = []
        branches: dict[ChainId, None] = {}
        waiting: list[Key] = [address, port]
        ports: set[int] = set()
        wide = False

        def translated(found: Translation) -> None:
            nonlocal wide
            wide = wide or found.wide
            new: list[Key] = [*own] if found.address == "" else [found.address or address]
            if found.port is not None:
                ports.add(found.port)
                new.append(found.port)
            for key in new:
                if key not in keys:
                    keys[key] = None
                    waiting.append(key)

        # What every packet may meet may send this one on, too.
        for found in self.translations():
            translated(found)
        while waiting:
            for entry in self.index.get(waiting.pop(), ()):
                entries.append(entry)
                for found in self._behind(entry, branches):
                    translated(found)
        return Reached(tuple(sorted(entries)), tuple(branches), frozenset(ports), wide)

    def _behind(self, entry: Entry, branches: dict[ChainId, None]) -> Iterator[Translation]:
        """Where a rule and the chains behind it send packets; the chains become branches."""
        waiting = [(entry.whose, entry.line)]
        while waiting:
            chain, line = waiting.pop()
            found = translation(line)
            if found is not None:
                yield found
            target = self.target(chain, line)
            if target is None or target in branches or target in self.trunk:
                continue
            branches[target] = None
            waiting += ((target, each) for each in self.lines(target))


class Reached(NamedTuple):
    """What packets to one destination may meet behind the trunk.

    `ports` are those that rules give to packets. `wide` tells that a rule sends them to one of
    several places, so that this is not all.
    """

    entries: tuple[Entry, ...]
    branches: tuple[ChainId, ...]
    ports: frozenset[int]
    wide: bool


# Chains that call one another deeper than this are not followed, and count as changed.
_DEEPEST = 200
_TO = re.compile(r" --to-destination \[?([0-9a-fA-F.:]+?)\]?(?::([0-9]+))?(?: |$)")


def changed_keys(before: Graph, after: Graph) -> set[Key] | None:
    """The addresses and ports on whose way the text differs; None where that may be any."""
    # The trunk is on everybody's way.
    if before.general != after.general:
        return None
    found = {
        key
        for key in {*before.index, *after.index}
        if _texts(before.index.get(key, ())) != _texts(after.index.get(key, ()))
    }
    search = _Search(before, after)
    if search.trunk_changed():
        return None
    for key, entries in after.index.items():
        if key not in found and any(search.leads_to_change(e.whose, e.line) for e in entries):
            found.add(key)
    # What is translated to a destination that fares otherwise fares otherwise too.
    while new := found & search.translated_to - search.moved:
        search = _Search(before, after, search.moved | new)
        if search.trunk_changed():
            return None
        for key, entries in after.index.items():
            if key not in found and any(search.leads_to_change(e.whose, e.line) for e in entries):
                found.add(key)
    return found


def _texts(entries: list[Entry] | tuple[()]) -> list[tuple[int, int, str]]:
    return [(entry.chain, entry.rank, entry.line) for entry in entries]


class _Search:
    """Looks for chains that differ; what it learns of a chain it keeps.

    `moved` are destinations that fare otherwise, so that being translated there is a change.
    `translated_to` are all addresses and ports that it came by.
    """

    def __init__(self, before: Graph, after: Graph, moved: set[Key] | None = None) -> None:
        self._before = before
        self._after = after
        self.moved: set[Key] = moved or set()
        self.translated_to: set[Key] = set()
        self._known: dict[ChainId, bool] = {}

    def trunk_changed(self) -> bool:
        """Whether a rule of the trunk that any packet may meet leads to a change."""
        return any(self._moves(line) for _, _, lines in self._after.general for line in lines)

    def leads_to_change(self, chain: ChainId, line: str) -> bool:
        """Whether a line of a chain leads to chains that differ, or to where packets are moved."""
        return self._leads(chain, line, 0)

    def _leads(self, chain: ChainId, line: str, depth: int) -> bool:
        target = target_of(line)
        if target in ("DNAT", "REDIRECT"):
            return self._moves(line)
        found = (chain[0], chain[1], target)
        known = self._known.get(found)
        if known is not None:
            return known
        return found not in self._after.trunk and self._differs(found, depth)

    def _differs(self, chain: ChainId, depth: int) -> bool:
        if depth > _DEEPEST:
            return True
        before, lines = self._before.chain(chain), self._after.chain(chain)
        # Until it is known, one that calls itself is taken to be the same.
        self._known[chain] = False
        answer = before != lines
        for line in lines or ():
            if self._leads(chain, line, depth + 1):
                answer = True
        self._known[chain] = answer
        return answer

    def _moves(self, line: str) -> bool:
        match = _TO.search(line)
        if match is None:
            return False
        keys: set[Key] = {match[1]}
        if match[2]:
            keys.add(int(match[2]))
        self.translated_to |= keys
        return not keys.isdisjoint(self.moved)
