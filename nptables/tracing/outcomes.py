"""Where possibilities ended while a packet was followed, and what that means."""

from __future__ import annotations

from fractions import Fraction

from nptables.tracing.addressing import Address
from nptables.tracing.explanation.path import is_redirect
from nptables.tracing.explanation.result import Outcome, Verdict
from nptables.tracing.network import Place, Site
from nptables.tracing.services import Asked
from nptables.tracing.state import Flow, State, Step, Weights, merged


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
        outcome = Outcome(
            share=Fraction(0),
            verdict=verdict,
            destination=state.destination,
            port=state.port,
            source=state.source,
            source_rewritten=rewritten,
            node=node,
            rule=step,
            path=flow.trail.steps() if flow.trail is not None else (),
            text=text,
            code=code,
        )
        self._found[key] = (outcome, flow.weights)


def delivered(
    state: State, rule: Step | None, asked: Asked, *, known_endpoint: bool, translated: bool
) -> Verdict:
    """What it means that the node itself has a packet.

    `rule` translated the destination, if one did; `known_endpoint` tells whether any Service of
    the cluster has an endpoint there.
    """
    astray = translated and asked.misses(state.destination, state.port)
    if not translated or is_redirect(rule):
        return Verdict.HOST_ENDPOINT if known_endpoint and not astray else Verdict.NODE
    return Verdict.WRONG_ENDPOINT if astray else Verdict.HOST_ENDPOINT


def sent(state: State, place: Place, asked: Asked, *, translated: bool) -> tuple[Verdict, str]:
    """What it means that a packet leaves for a place that is not followed further."""
    if place.site is Site.HERE:
        return Verdict.UNKNOWN, "it is sent to a loopback address, which no other host accepts"
    if not translated:
        return (Verdict.POD if place.site is Site.POD_HERE else Verdict.LEAVES), ""
    text = ""
    if place.site is not Site.POD_HERE:
        text = "outside the cluster" if place.site is Site.OUTSIDE else "on an unknown node"
    if asked.misses(state.destination, state.port):
        return Verdict.WRONG_ENDPOINT, text
    return Verdict.ENDPOINT, text


def way_back(
    verdict: Verdict, text: str, node: str, must_return: tuple[str, ...]
) -> tuple[Verdict, str]:
    """The verdict, unless the answer of the endpoint goes past a node that it has to pass."""
    passed_by = [name for name in must_return if node and name != node]
    if not verdict.arrives or not passed_by:
        return verdict, text
    return Verdict.ONE_WAY, f"{node} answers the sender directly, not through {passed_by[0]}"


def deciding_step(flow: Flow) -> Step | None:
    """The last rule that translated the destination."""
    for step in reversed(flow.trail.steps() if flow.trail is not None else ()):
        if step.note.startswith("destination becomes"):
            return step
    return None


def needs_hairpin(address: Address) -> str:
    """What has to be so where a pod is sent to itself."""
    return (
        f"{address} is sent to itself: where pods are on a bridge, the packet leaves by the port "
        f"that it came in by, and needs hairpin mode on the bridge there (hairpin_mode in "
        f"/sys/class/net/PORT/brport, hairpinMode of the CNI bridge plugin)"
    )
