"""Which chains and rules belong to which program, as a value.

The iptables package knows no name of any project: the program that makes a ruleset says with an
Ownership which parts of a node's tables are its own, and nothing else is ever changed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import attrs

from nptables.immutable import frozen


@frozen
class Ownership:
    """Which chains and rules belong to the program that made a ruleset.

    All fields are by table. `chains` are names of owned chains, and `patterns` match (in full) the
    names of more of them. `ensured` chains must exist, but their rules belong to others too, so
    they are never emptied, rewritten or deleted. `jumps` are the exact lines in built-in chains, in
    their order at the top of the chain. In `unordered` chains the order among lines of different
    service ports means nothing. If a chain is no longer needed but a foreign rule leads to it, it
    is emptied; `lent` chains are left as they are instead. In `joint` chains the owner's lines must
    exist, and lines of others may be beside them.
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
        """Whether a chain with all its rules belongs to the owner alone."""
        if chain in self.chains.get(table, ()):
            return True
        pattern = self.patterns.get(table)
        return pattern is not None and pattern.fullmatch(chain) is not None

    def ensures_chain(self, table: str, chain: str) -> bool:
        """Whether a chain has to exist, whatever rules others keep in it."""
        return chain in self.ensured.get(table, ())
