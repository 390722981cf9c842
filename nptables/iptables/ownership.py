"""Whose chains and rules are whose, as a value.

The iptables package knows no name of any project: who makes a ruleset says with an Ownership
which parts of a node's tables are its own, and nothing else is ever touched.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import attrs


@attrs.frozen
class Ownership:
    """Which chains and rules belong to the maker of a ruleset.

    `chains` are the names of its chains by table, `patterns` match (in full) the names of more
    of them. `ensured` are chains that must exist but whose rules belong to others too, so that
    they are never emptied, rewritten or deleted. `jumps` are the exact lines in built-in
    chains, by table, in the order in which they stand at the top of their chain. In a chain of
    `unordered` the order among lines of different service ports means nothing. A chain of
    `lent` that is no longer wanted stays as it is while a rule of somebody else leads to it;
    any other is emptied then. In a chain of `joint` the owner's lines must stand, and lines of
    others may stand beside them.
    """

    chains: Mapping[str, frozenset[str]] = attrs.field(factory=dict)
    patterns: Mapping[str, re.Pattern[str]] = attrs.field(factory=dict)
    ensured: Mapping[str, frozenset[str]] = attrs.field(factory=dict)
    jumps: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)
    unordered: Mapping[str, frozenset[str]] = attrs.field(factory=dict)
    lent: Mapping[str, frozenset[str]] = attrs.field(factory=dict)
    joint: Mapping[str, frozenset[str]] = attrs.field(factory=dict)

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables in which anything is owned or ensured, sorted."""
        return tuple(sorted({*self.chains, *self.patterns, *self.ensured, *self.jumps}))

    def owns_chain(self, table: str, chain: str) -> bool:
        """Whether a chain with all its rules is the owner's alone."""
        if chain in self.chains.get(table, ()):
            return True
        pattern = self.patterns.get(table)
        return pattern is not None and pattern.fullmatch(chain) is not None

    def ensures_chain(self, table: str, chain: str) -> bool:
        """Whether a chain has to exist, whatever rules others keep in it."""
        return chain in self.ensured.get(table, ())

    def owns_jump(self, table: str, line: str) -> bool:
        """Whether a line in a built-in chain is one of the owner's jumps."""
        return line in self.jumps.get(table, ())
