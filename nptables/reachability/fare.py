"""How a packet fares on a node, in one word and a few numbers, taken from its trace."""

from __future__ import annotations

import enum
from typing import Any

import attrs

from nptables.tracing import Outcome, Trace, Verdict
from nptables.words import counted


class Fares(enum.Enum):
    """What becomes of new connections; the value is a stable code.

    ANSWERS: every one arrives. IN_PART: some arrive. DEPENDS: on what nobody but the node can know.
    REFUSED: the sender is told. DROPPED: the sender is told nothing. LOST: it ends with somebody
    who is no endpoint of the Service, or its answer gets lost. UNKNOWN: it cannot be told.
    """

    ANSWERS = "answers"
    IN_PART = "in-part"
    DEPENDS = "depends"
    REFUSED = "refused"
    DROPPED = "dropped"
    LOST = "lost"
    UNKNOWN = "unknown"


_ENDS = {
    Verdict.REFUSED: Fares.REFUSED,
    Verdict.DROPPED: Fares.DROPPED,
    Verdict.UNKNOWN: Fares.UNKNOWN,
}


@attrs.frozen
class Fare:
    """How new connections fare.

    `endpoints` counts those that get some, `local` those of them on the node itself. `source` is
    kept, rewritten or either, and empty where nothing arrives. `codes` are those of the reasons.
    """

    fares: Fares
    endpoints: int = 0
    local: int = 0
    source: str = ""
    codes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The fare in a few words: `answers: 3 endpoints, 1 local, source rewritten`."""
        word = self.fares.value.replace("-", " ")
        return f"{word}: {self.reached}" if self.endpoints else word

    @property
    def reached(self) -> str:
        """What new connections reach: `3 endpoints, 1 local, source rewritten`, or nothing."""
        if not self.endpoints:
            return ""
        count = counted(self.endpoints, "endpoint")
        return f"{count}, {self.local} local, source {self.source}"

    def to_json(self) -> dict[str, Any]:
        """The fare as plain data."""
        return {
            "verdict": self.fares.value,
            "endpoints": self.endpoints,
            "local": self.local,
            "source": self.source or None,
            "codes": list(self.codes),
        }


def fare_of(answer: Trace) -> Fare:
    """How the packet of a trace fares on the node where it came in."""
    outcomes = [outcome for each in answer.distributions for outcome in each.outcomes]
    arriving = {outcome.where: outcome for outcome in outcomes if outcome.arrives}
    rewritten = {outcome.source_rewritten for outcome in outcomes if outcome.arrives}
    source = "" if not rewritten else "either"
    if len(rewritten) == 1:
        source = "rewritten" if rewritten.pop() else "kept"
    return Fare(
        _fares(answer, outcomes),
        len(arriving),
        sum(outcome.node == answer.node for outcome in arriving.values()),
        source,
        tuple(sorted({reason.code for reason in answer.reasons})),
    )


def _fares(answer: Trace, outcomes: list[Outcome]) -> Fares:
    if answer.arrives:
        return Fares.ANSWERS
    if any(each.arrives for each in answer.distributions):
        return Fares.DEPENDS
    if any(outcome.arrives for outcome in outcomes):
        return Fares.IN_PART
    ends = {_ENDS.get(outcome.verdict, Fares.LOST) for outcome in outcomes}
    if len(ends) == 1:
        return ends.pop()
    return Fares.UNKNOWN if Fares.UNKNOWN in ends else Fares.LOST
