"""Which endpoints the rules lead to, beside those that the cluster decides for.

Which of a Service's endpoints a packet may reach depends on the traffic policy, and on the sender:
the node itself and Pods are not bound by an external policy of Local. Which of them it was is seen
from the chains that the packet passed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nptables.tracing.packet import Origin
from nptables.tracing.surroundings.addressing import Somewhere
from nptables.tracing.telling.case import Case, Place, endpoints, listed, places, usable
from nptables.tracing.telling.result import Outcome, Trace, Verdict
from nptables.translation import Decision, Reason, chains


def policy_reasons(
    answer: Trace, outcomes: Sequence[Outcome], node: str, decision: Decision, case: Case
) -> Iterator[Reason]:
    """The policy by which the packet went to its endpoints, or that rules and cluster differ.

    Nothing where no rule translated it: the headline says why, and what the cluster has for it is
    told where rules are missing. `node` is the one that translated it.
    """
    went = [o for o in outcomes if o.translation is not None and o.translation.node == node]
    if decision.skipped:
        return
    if not went:
        if any(o.verdict in (Verdict.NODE, Verdict.LEAVES) for o in outcomes):
            yield _has(usable(decision.selection))
        return
    astray = all(o.verdict is Verdict.WRONG_ENDPOINT for o in went)
    if astray or case.asked.endpoints is None:
        return
    expected, agreed = _by_policy(answer, went, node, decision, case)
    reached = {(str(o.destination), o.port or 0) for o in went}
    if reached == expected or (reached < expected and not _complete(answer)):
        yield agreed
        return
    by_cluster = f"to {listed(expected)}" if expected else f"nowhere ({agreed.text})"
    yield Reason(
        "rules-differ",
        f"the rules of {node} and the cluster differ: the rules send it to {listed(reached)}, by "
        f"the cluster it would go {by_cluster}: {case.behind(node)}, or has another configuration",
    )


def _has(able: set[Place]) -> Reason:
    if not able:
        return Reason("cluster-has", "in the cluster no endpoint of it can take traffic")
    text = f"in the cluster {endpoints(len(able))} of it can take traffic: {listed(able)}"
    return Reason("cluster-has", text)


def _by_policy(
    answer: Trace, went: Sequence[Outcome], node: str, decision: Decision, case: Case
) -> tuple[set[Place], Reason]:
    """The endpoints that the packet may reach by the cluster, and the policy that says so."""
    service, selection = decision.service, decision.selection
    internal = case.frontend is not None and case.frontend.kind == "clusterIP"
    kind = "internal" if internal else "external"
    everywhere, here = places(selection.cluster), places(selection.local)
    if not (service.internal_policy_local if internal else service.external_policy_local):
        text = f"{kind} traffic policy Cluster: {endpoints(len(everywhere))} in use, on any node"
        return everywhere, Reason(f"{kind}-cluster", text)
    if not internal and _for_local_senders(answer, went):
        who = "the node itself" if answer.packet.origin is Origin.NODE else "a Pod"
        text = (
            f"external traffic policy Local is for senders outside the cluster: for {who} "
            f"{endpoints(len(everywhere))} in use, on any node"
        )
        return everywhere, Reason("external-local-sender", text)
    text = f"{kind} traffic policy Local: {endpoints(len(here))} on {node} in use"
    return here, Reason(f"{kind}-local", text)


def _for_local_senders(answer: Trace, went: Sequence[Outcome]) -> bool:
    """Whether the rules took the sender for a local one: it passed the chain of all endpoints."""
    source = answer.packet.source
    outside = answer.packet.origin is Origin.OUTSIDE or (
        isinstance(source, Somewhere) and source.outside
    )
    return not outside and any(
        step.chain.startswith(chains.SERVICE_PREFIX) for o in went for step in o.path
    )


def _complete(answer: Trace) -> bool:
    """Whether everything that can happen was found."""
    outcomes = (outcome for d in answer.distributions for outcome in d.outcomes)
    return answer.exhaustive and not any(o.verdict is Verdict.UNKNOWN for o in outcomes)
