"""Tables whose contents are unknown: left out of a dump, or not to be printed."""

from __future__ import annotations

from collections.abc import Hashable

from nptables.tracing.state import Flow, Flows, Questions, add, further, split
from nptables.tracing.walking.rulebook import Rulebook
from nptables.tracing.walking.steps import End, Ended, Step
from nptables.tracing.walking.unshown import not_shown

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
