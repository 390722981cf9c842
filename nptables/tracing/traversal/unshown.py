"""What the form of the evidence does not show of the rules: see `nptables.iptables.unshown`.

Whatever may be there and is not shown is one question for a node. Where the answer is that it does
nothing, the rules that are shown are followed as far as they go; where it does, nothing is known.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING

from nptables.immutable import frozen
from nptables.iptables.ruleset import BUILT_IN_CHAINS, Ruleset, target_of
from nptables.tracing.state import (
    End,
    Ended,
    Flow,
    Flows,
    Questions,
    Step,
    add,
    further,
    split,
)
from nptables.translation import chains

if TYPE_CHECKING:
    from nptables.tracing.traversal.rulebook import Rulebook

# The note of a step where a chain begins that may have more rules.
NOT_ALL_SHOWN = "it may have rules that are not shown"
# More chains than this that nothing leads to are not all looked at: see `unreached`.
_MOST = 8

_CHOOSES = re.compile(r" (?:-d|--dport|--dports) ")
# The targets of nat and the hooks that the kernel takes them at (`checkentry` of each).
_HOOKS_OF = {
    "DNAT": frozenset({"PREROUTING", "OUTPUT"}),
    "REDIRECT": frozenset({"PREROUTING", "OUTPUT"}),
    "SNAT": frozenset({"POSTROUTING", "INPUT"}),
    "MASQUERADE": frozenset({"POSTROUTING"}),
}


def not_shown(label: str, place: str) -> tuple[Hashable, str, str, str]:
    """The question whether what is not shown matters: key, yes, no, and what follows from yes."""
    rule = f"{label} rule of {place} that is not shown".lstrip()
    return (
        ("not shown", place, label),
        f"a {rule} decides about the packet",
        f"no {rule} decides about the packet",
        f"a {rule} may decide about the packet",
    )


def interfaces(label: str, place: str) -> tuple[Hashable, str, str, str]:
    """The question whether a rule that is shown without interfaces asks for another one."""
    rule = f"rule on its way through {place} asks for"
    return (
        ("interfaces", place, label),
        f"a {label} {rule} an interface, which is not shown".replace("  ", " "),
        f"no {label} {rule} an interface that is not shown".replace("  ", " "),
        "interfaces are not shown: it is unknown whether the rule applies to the packet",
    )


@frozen
class Usual:
    """What a chain does that is not shown and whose name says it.

    It sets marks, has the packet dropped, or translates it, and it is unknown to what.
    """

    mark: int = 0
    drops: bool = False
    translates: bool = False


# The masqueradeBit and the mark for drops that kube-proxy and the kubelet have unless told.
_USUAL: Mapping[tuple[str, str], Usual] = {
    ("nat", chains.MARK_MASQ): Usual(mark=0x4000),
    ("nat", chains.MARK_DROP): Usual(drops=True),
}


_TRANSLATES = re.compile(r"KUBE-(?:SVC|SVL|EXT|FW|SEP|XLB)-[A-Z2-7]{16}")


def usual_of(table: str, chain: str) -> Usual | None:
    """What a chain that is not shown does by its name; None where that says nothing."""
    if table == "nat" and _TRANSLATES.fullmatch(chain):
        return Usual(translates=True)
    return _USUAL.get((table, chain))


def usual(table: str, chain: str, place: str) -> tuple[Hashable, str, str, str]:
    """The question whether a chain that is not shown does what its name says."""
    which = f"chain {chain} of {table}, which is not shown,"
    return (
        ("usual", place, table, chain),
        f"{which} does not do what its name says",
        f"{which} does what its name says",
        f"{which} may not do what its name says",
    )


def comes_to(table: str, chain: str, place: str) -> tuple[Hashable, str, str, str]:
    """The question whether a packet does not come to a chain that no shown rule leads to."""
    which = f"chain {chain} of {table}"
    return (
        ("comes to", place, table, chain),
        f"the packet does not come to {which}",
        f"the packet comes to {which}, to which no shown rule jumps",
        "",
    )


def divided(
    flows: Flows, question: tuple[Hashable, str, str, str], questions: Questions
) -> tuple[Flows, Flows]:
    """The flows where the answer to a question is yes, and where it is no."""
    key, text, otherwise, _ = question
    yes: Flows = {}
    no: Flows = {}
    for state, flow in flows.items():
        number, fresh = questions.number(key, text, otherwise)
        for weights, side in zip(split(flow.weights, number, fresh=fresh), (yes, no), strict=True):
            if weights:
                add(side, state, Flow(weights, flow.trail))
    return yes, no


def unreached(ruleset: Ruleset, table: str) -> Mapping[str, tuple[str, ...]]:
    """By hook, the chains of an open table that no rule leads to and that a packet may come to.

    Of many only those that look at the destination, since nothing distinguishes the others.
    """
    found = ruleset.tables[table]
    built_in = frozenset(BUILT_IN_CHAINS.get(table, ()))
    targets = {
        name: frozenset(filter(None, map(target_of, lines))) for name, lines in found.chains.items()
    }
    reached = {target for name, jumps in targets.items() for target in jumps - {name}}
    names = [
        name
        for name, lines in found.chains.items()
        if lines and name not in built_in and name not in reached
    ]
    # Each of them doubles the possibilities.
    if len(names) > _MOST:
        names = [name for name in names if any(map(_CHOOSES.search, found.chains[name]))][:_MOST]
    hooks = {name: _hooks(name, targets, built_in, table) for name in names}
    return {hook: tuple(n for n in names if hook in hooks[n]) for hook in built_in}


def _hooks(
    chain: str, targets: Mapping[str, frozenset[str]], built_in: frozenset[str], table: str
) -> frozenset[str]:
    """The hooks that a chain can be reached from, by what its rules and those below them do."""
    if table != "nat":
        return built_in
    below, waiting = {chain}, [chain]
    while waiting:
        fresh = targets.get(waiting.pop(), frozenset()) - below
        below |= fresh
        waiting += fresh
    hooks = [_HOOKS_OF[target] for target in below if target in _HOOKS_OF]
    return frozenset.intersection(*hooks) if hooks else frozenset({"PREROUTING", "OUTPUT"})


# The note of a step through such a table.
UNKNOWN_TABLE = "its rules are not known"
# What rules of a table may do to a packet: "it stops the packet", "it may stop the packet".
_DOES = {"filter": ("stops", "stop"), "nat": ("translates", "translate")}
_DOES_ANYTHING = ("changes or stops", "change or stop")
_NOT_THERE = "whose rules are unknown"


def through_unknown(
    book: Rulebook, place: str, hook: str, table: str, flows: Flows, questions: Questions
) -> tuple[Flows, list[Ended]]:
    """The flows that pass an unknown table of a backend, and those that end there.

    One question for all hooks: whether it lets the packet pass as it is. If it does not, nothing
    further is known.
    """
    key, text, otherwise, may = _question(book, place, table)
    step = Step(place, hook, table, "", "", UNKNOWN_TABLE, backend=book.label)
    passing: Flows = {}
    ended: list[Ended] = []
    for state, flow in flows.items():
        question, fresh = questions.number(key, text, otherwise)
        decided, passed = split(flow.weights, question, fresh=fresh)
        if decided:
            trail = further(flow.trail, step)
            # It is unknown in which table the rules are that are not shown.
            where = None if book.ruleset.unshown.open else step
            ended.append(Ended(End.UNKNOWN, state, Flow(decided, trail), where, may))
        if passed:
            add(passing, state, Flow(passed, further(flow.trail, step)))
    return passing, ended


def _question(book: Rulebook, place: str, table: str) -> tuple[Hashable, str, str, str]:
    """Whether a table, or one of several that are asked about together, does anything."""
    unshown = book.ruleset.unshown
    if unshown.open:
        return not_shown(book.label, place)
    others = sorted(unshown.tables - _DOES.keys())
    if table in others:
        key: Hashable = ("other tables", place, book.label)
        listed = " and ".join(filter(None, (", ".join(others[:-1]), others[-1])))
        which = f"{book.label} {'tables' if len(others) > 1 else 'table'} {listed} of {place}"
        plural = len(others) > 1
    else:
        key = ("unknown table", place, book.label, table)
        which, plural = f"{book.label} table {table} of {place}", False
    does, may_do = _DOES.get(table, _DOES_ANYTHING)
    why = "which iptables cannot print" if book.is_unprintable(table) else _NOT_THERE
    which = f"{which}, {why},".lstrip()
    does, lets = (may_do, "let") if plural else (does, "lets")
    return (
        key,
        f"{which} {does} the packet",
        f"{which} {lets} the packet pass as it is",
        f"{which} may {may_do} the packet",
    )
