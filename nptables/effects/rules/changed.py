"""Which destinations have different rule text on their path: the others need not be compared."""

from __future__ import annotations

import re

from nptables.effects.rules.closure import ChainId, Entry, Graph, Key, target_of

# Chains that call one another deeper than this are not followed, and count as changed.
_DEEPEST = 200
_TO = re.compile(r" --to-destination \[?([0-9a-fA-F.:]+?)\]?(?::([0-9]+))?(?: |$)")


def changed_keys(before: Graph, after: Graph) -> set[Key] | None:
    """The addresses and ports on whose way the text differs; None where that may be any."""
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
