"""Tables of which nobody knows what is in them: left out of a dump, or not to be printed."""

from __future__ import annotations

from nptables.tracing.state import Flow, Flows, Questions, Trail, add, split
from nptables.tracing.walking.rulebook import Rulebook
from nptables.tracing.walking.steps import End, Ended, Step

# The note of a step through such a table.
UNKNOWN_TABLE = "its rules are not known"
# What rules of a table may do to a packet: "it stops the packet", "it may stop the packet".
_DOES = {"filter": ("stops", "stop"), "nat": ("translates", "translate")}
_DOES_ANYTHING = ("changes or stops", "change or stop")
_NOT_THERE = "whose rules are not at hand"


def through_unknown(
    book: Rulebook, place: str, hook: str, table: str, flows: Flows, questions: Questions
) -> tuple[Flows, list[Ended]]:
    """What is left of the flows after an unknown table of a backend, and what ended there.

    One question for all hooks: whether it lets the packet pass as it is. If it does not, nothing
    further is known.
    """
    does, may_do = _DOES.get(table, _DOES_ANYTHING)
    why = "which iptables cannot print" if book.is_unprintable(table) else _NOT_THERE
    which = f"{book.label} table {table} of {place}, {why},".lstrip()
    step = Step(place, hook, table, "", "", UNKNOWN_TABLE, backend=book.label)
    passing: Flows = {}
    ended: list[Ended] = []
    for state, flow in flows.items():
        question, fresh = questions.number(
            ("unknown table", place, book.label, table),
            f"{which} {does} the packet",
            f"{which} lets the packet pass as it is",
        )
        otherwise, passed = split(flow.weights, question, fresh=fresh)
        if otherwise:
            trail = Trail(flow.trail, step)
            text = f"{which} may {may_do} the packet"
            ended.append(Ended(End.UNKNOWN, state, Flow(otherwise, trail), step, text))
        if passed:
            add(passing, state, Flow(passed, Trail(flow.trail, step)))
    return passing, ended
