"""Where possibilities ended, gathered while a packet is followed."""

from __future__ import annotations

from fractions import Fraction

from nptables.tracing.state import Flow, State, Weights, merged
from nptables.tracing.telling.result import Outcome, Verdict
from nptables.tracing.walking.steps import Step


class Findings:
    """The outcomes that were found, each with its weight in every world."""

    def __init__(self) -> None:
        self._found: dict[tuple[object, ...], tuple[Outcome, Weights]] = {}

    @property
    def all(self) -> tuple[tuple[Outcome, Weights], ...]:
        """The outcomes, without their shares, each with its weights."""
        return tuple(self._found.values())

    def record(
        self,
        verdict: Verdict,
        state: State,
        flow: Flow,
        step: Step | None,
        *,
        node: str,
        rewritten: bool,
        text: str = "",
        code: str = "",
    ) -> None:
        """Note that possibilities ended in a state; those that ended alike are one outcome.

        `step` is what decided, `node` where it happened or where the destination is, `rewritten`
        whether the source is not the sender's any more. `text` and `code` are those of an Outcome.
        """
        rule = (step.node, step.place, step.line) if step is not None else None
        key = (
            verdict, node, str(state.destination), state.port, str(state.source), rewritten, rule,
            text,
        )  # fmt: skip
        before = self._found.get(key)
        if before is not None:
            self._found[key] = (before[0], merged(before[1], flow.weights))
            return
        path = flow.trail.steps() if flow.trail is not None else ()
        outcome = Outcome(
            share=Fraction(0),
            verdict=verdict,
            destination=state.destination,
            port=state.port,
            source=state.source,
            source_rewritten=rewritten,
            node=node,
            rule=step,
            path=tuple(step for step in path if isinstance(step, Step)),
            text=text,
            code=code,
        )
        self._found[key] = (outcome, flow.weights)
