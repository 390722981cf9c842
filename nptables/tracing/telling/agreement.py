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
from nptables.translation.explanation.decision import unknown_reason


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
            yield from _has(decision)
        return
    went = [o for o in went if o.verdict not in (Verdict.WRONG_ENDPOINT, Verdict.NODE)]
    if not went or case.asked.endpoints is None:
        return
    by_rules: dict[bool, set[Place]] = {}
    for outcome in went:
        by_rules.setdefault(_from_all(outcome), set()).add(_place(outcome))
    if by_rules.keys() == {True} and _is_bound(answer, places(decision.selection.local)):
        by_rules = {False: by_rules[True]}
    agreed = {
        from_all: _policy(answer, node, decision, case, from_all=from_all) for from_all in by_rules
    }
    reached = set().union(*by_rules.values())
    expected = set().union(*(places for places, _ in agreed.values()))
    fit = all(found <= agreed[from_all][0] for from_all, found in by_rules.items())
    if fit and (reached == expected or not _complete(answer)):
        yield from (reason for _, reason in agreed.values())
        return
    why = " and ".join(reason.text for _, reason in agreed.values())
    by_cluster = f"to {listed(expected)}" if expected else f"nowhere ({why})"
    yield Reason(
        "rules-differ",
        f"the rules of {node} and the cluster differ: the rules send it to {listed(reached)}, the "
        f"cluster would send it {by_cluster}: {case.behind(node)}, or has another configuration",
    )


def _has(decision: Decision) -> Iterator[Reason]:
    able = usable(decision.selection)
    if able:
        text = f"in the cluster {endpoints(len(able))} of it can take traffic: {listed(able)}"
        yield Reason("cluster-has", text)
    elif unknown_reason(decision.service, decision.cluster) is None:
        yield Reason("cluster-has", "in the cluster no endpoint of it can take traffic")


def _policy(
    answer: Trace, node: str, decision: Decision, case: Case, *, from_all: bool
) -> tuple[set[Place], Reason]:
    """The endpoints that a packet may reach by the cluster, and the policy that says so.

    `from_all` tells that the rules let it choose among those of all nodes.
    """
    service, selection = decision.service, decision.selection
    internal = case.frontend is not None and case.frontend.kind == "clusterIP"
    kind = "internal" if internal else "external"
    everywhere, here = places(selection.cluster), places(selection.local)
    if not (service.internal_policy_local if internal else service.external_policy_local):
        text = f"{kind} traffic policy Cluster: {endpoints(len(everywhere))} in use, on any node"
        return everywhere, Reason(f"{kind}-cluster", text)
    if from_all and not internal:
        who = "the node itself" if answer.packet.origin is Origin.NODE else "a Pod"
        text = (
            f"external traffic policy Local is for senders outside the cluster: for {who} "
            f"{endpoints(len(everywhere))} in use, on any node"
        )
        return everywhere, Reason("external-local-sender", text)
    text = f"{kind} traffic policy Local: {endpoints(len(here))} on {node} in use"
    return here, Reason(f"{kind}-local", text)


def _from_all(outcome: Outcome) -> bool:
    """Whether a packet passed the chain that chooses among the endpoints of all nodes."""
    return any(step.chain.startswith(chains.SERVICE_PREFIX) for step in outcome.path)


def _is_bound(answer: Trace, here: set[Place]) -> bool:
    """Whether a policy of Local surely binds the sender.

    It does not where the rules ask something of the sender, such as whether it comes in through
    the bridge of the Pods: then there is a hypothesis under which it gets endpoints of this node.
    """
    packet = answer.packet
    if packet.source is None:
        outside = packet.origin is not Origin.NODE
    else:
        outside = isinstance(packet.source, Somewhere) and packet.source.outside
    return outside and not any(
        {_place(o) for o in d.outcomes if o.translation is not None} <= here
        for d in answer.distributions
    )


def _place(outcome: Outcome) -> Place:
    return str(outcome.destination), outcome.port or 0


def _complete(answer: Trace) -> bool:
    """Whether everything that can happen was found."""
    outcomes = (outcome for d in answer.distributions for outcome in d.outcomes)
    return answer.exhaustive and not any(o.verdict is Verdict.UNKNOWN for o in outcomes)
