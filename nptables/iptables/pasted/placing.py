"""Which table a rule is of that stands there without one: its chain and what it does tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from nptables.immutable import frozen
from nptables.iptables.ruleset import BUILT_IN_CHAINS, chain_of, target_of
from nptables.iptables.tables import TARGETS

# Targets that the kernel takes in one table only (`.table` of each `xt_target`).
_OF_TARGET: Mapping[str, str] = {
    **dict.fromkeys(("DNAT", "SNAT", "MASQUERADE", "REDIRECT", "NETMAP"), "nat"),
    "REJECT": "filter",
    **dict.fromkeys(("CT", "NOTRACK"), "raw"),
    **dict.fromkeys(("TPROXY", "DSCP", "TOS", "TTL", "HL", "ECN", "CHECKSUM"), "mangle"),
    "SECMARK": "security",
}
# What is taken where several tables may be meant: the one that people mean.
_LIKELY = {"PREROUTING": "nat", "POSTROUTING": "nat"}

# The table that chains of a name are in, by their writers' habits; empty where that is open.
Homes = Callable[[str], str]


@frozen
class Placed:
    """The table of each rule; `guessed` has the positions of those that do not tell."""

    tables: tuple[str, ...]
    guessed: frozenset[int]


def place(lines: Sequence[str], homes: Homes) -> Placed:
    """The table of each rule.

    A rule is in the table of what it jumps to; a chain of a name may be in several tables.
    """
    names = [(chain_of(line), target_of(line)) for line in lines]
    found = [_told(chain, target, homes) for chain, target in names]
    settled = False
    # Again and again: a rule that was placed tells where the chain is that it leads to, and so on.
    while not settled:
        settled = True
        homes_here = _chains_of(names, found)
        for position, (chain, target) in enumerate(names):
            if found[position]:
                continue
            for name in (target, chain):
                tables = homes_here.get(name, frozenset())
                if len(tables) == 1 and _fits(chain, *tables):
                    found[position] = next(iter(tables))
                    settled = False
                    break
    guessed = frozenset(position for position, table in enumerate(found) if not table)
    return Placed(
        tuple(
            table or _LIKELY.get(chain, "filter")
            for table, (chain, _) in zip(found, names, strict=True)
        ),
        guessed,
    )


def _told(chain: str, target: str, homes: Homes) -> str:
    """The table that a rule's own words tell."""
    if target in _OF_TARGET:
        return _OF_TARGET[target]
    for name in (chain, target):
        if home := homes(name):
            return home
    return ""


def _chains_of(
    names: Sequence[tuple[str, str]], found: Sequence[str]
) -> Mapping[str, frozenset[str]]:
    """The tables that chains are in for sure, by the rules in them and those that lead there."""
    here: dict[str, set[str]] = {}
    for (chain, target), table in zip(names, found, strict=True):
        if not table:
            continue
        if not any(chain in built_in for built_in in BUILT_IN_CHAINS.values()):
            here.setdefault(chain, set()).add(table)
        if target and target not in TARGETS:
            here.setdefault(target, set()).add(table)
    return {name: frozenset(tables) for name, tables in here.items()}


def _fits(chain: str, table: str) -> bool:
    """Whether a chain can be in a table: a built-in one only where the table has it."""
    built_in = any(chain in names for names in BUILT_IN_CHAINS.values())
    return not built_in or chain in BUILT_IN_CHAINS.get(table, ())
