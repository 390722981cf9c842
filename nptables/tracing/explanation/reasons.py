"""Why a packet fares as it does: what the rules do with it, in the words of the cluster."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from nptables.model import Cluster
from nptables.tracing.addressing import with_port
from nptables.tracing.explanation.against_cluster import WHY_NONE, policy_reasons
from nptables.tracing.explanation.case import Case
from nptables.tracing.explanation.causes import cause_of
from nptables.tracing.explanation.path import place_of
from nptables.tracing.explanation.result import Distribution, Outcome, Trace, Verdict
from nptables.tracing.services import Frontend, Services
from nptables.translation import Decision, Reason
from nptables.translation.explanation.notices import UNKNOWN

# What a decision says of the endpoints that are chosen: told of what the rules do instead.
_ABOUT_THE_CHOICE = ("no-endpoints", "internal-", "external-cluster", "external-local")
# It holds of the rules only where they are those that the decision leads to.
_OF_RULES_THAT_FIT = ("terminating-", "hints-", "source-ranges")
# Reasons that say that what the rules do and what the cluster says differ.
OF_RULES_THAT_DIFFER = frozenset({
    "stale-rule", "wrong-endpoint", "rules-differ", "rules-missing", "no-such-service",
})  # fmt: skip
# Reasons that say why there is no endpoint, or that none is known.
_NOTHING_THERE = frozenset({"no-endpoint", *UNKNOWN, Verdict.UNKNOWN.value})
# Chains whose rules are about one Service each.
_SERVICE_CHAIN = re.compile(r"KUBE-(?:SEP-|SERVICES$|EXTERNAL-SERVICES$|PROXY-FIREWALL$)")


def explain(answer: Trace, case: Case) -> tuple[Reason, ...]:
    """The reasons for an answer, the most important first, none of them twice."""
    found: dict[str, Reason] = {}
    outcomes = [outcome for d in answer.distributions for outcome in d.outcomes]
    for distribution, outcome in _in_order(answer):
        if not outcome.arrives:
            given = _given(distribution, case)
            for reason in (_under(given, r) for r in cause_of(outcome, answer.packet, case)):
                if reason.code != "one-way" or "one-way" not in {r.code for r in found.values()}:
                    found.setdefault(reason.text, reason)
    for reason in _of_the_cluster(answer, outcomes, case, {r.code for r in found.values()}):
        found.setdefault(reason.text, reason)
    return tuple(found.values())


def _in_order(answer: Trace) -> Iterator[tuple[Distribution, Outcome]]:
    return ((d, outcome) for d in answer.distributions for outcome in d.outcomes)


def _given(distribution: Distribution, case: Case) -> str:
    """Whose the packet's addresses have to be for a distribution, where that is not known."""
    return " and ".join(
        condition
        for condition in case.conditions
        if all(condition in way for way in distribution.hypotheses)
    )


def _under(given: str, reason: Reason) -> Reason:
    if not given:
        return reason
    return Reason(reason.code, f"if {given}: {reason.text}", f"if {given}: {reason.words}")


def _of_the_cluster(
    answer: Trace, outcomes: Sequence[Outcome], case: Case, said: set[str]
) -> Iterator[Reason]:
    """What the cluster has to say on the packet's way, beside the causes of its outcomes."""
    if case.services is not None and case.frontend is None:
        yield from _left_over(answer, outcomes)
        yield from _health_checks(answer, outcomes, case.services)
    translating = next((o.translation.node for o in outcomes if o.translation is not None), "")
    decision = case.decision_on(translating)
    if case.frontend is None or case.services is None or decision is None:
        return
    policies = list(policy_reasons(answer, outcomes, translating, decision, case))
    yield from (r for r in policies if r.code != "cluster-has" or "rules-missing" in said)
    fit = "rules-differ" not in {r.code for r in policies} and not said & {
        "stale-rule", "wrong-endpoint", "rules-missing",
    }  # fmt: skip
    for reason in decision.reasons:
        # Why a Service has no rules is the cause of where its packets end, and is told there.
        if decision.skipped and reason.code in said:
            continue
        if _is_news(reason, said, fit=fit):
            yield reason
    yield from _left_out(case.frontend, case.services.cluster)
    yield from _unknown_nodes(decision)


def _health_checks(
    answer: Trace, outcomes: Sequence[Outcome], services: Services
) -> Iterator[Reason]:
    """That kube-proxy itself is who listens."""
    service = services.health_checked(answer.packet.port, answer.packet.protocol)
    there = next((o for o in outcomes if o.verdict is Verdict.HOST_ENDPOINT), None)
    if service is not None and there is not None and there.translation is None:
        name = "/".join(service.key)
        yield Reason(
            "health-check-port",
            f"{there.port} is the healthCheckNodePort of {name}: kube-proxy of {there.node} itself "
            f"answers there, 200 while {there.node} has a ready endpoint of {name}, else 503",
        )


def _left_over(answer: Trace, outcomes: Sequence[Outcome]) -> Iterator[Reason]:
    """That a rule of kube-proxy has to do with a packet for which the cluster has no Service."""
    rules = (outcome.rule for outcome in outcomes if outcome.rule is not None)
    rule = next((rule for rule in rules if _SERVICE_CHAIN.match(rule.chain)), None)
    if rule is not None:
        where = with_port(answer.packet.destination, answer.packet.port)
        yield Reason(
            "no-such-service",
            f"no Service in the input has {where}: either {place_of(rule)} is left over, or the "
            "input lacks the Service",
        )


def _is_news(reason: Reason, said: set[str], *, fit: bool) -> bool:
    """Whether a reason is not what others have said already, or what the rules belie."""
    code = reason.code
    if code.startswith(_ABOUT_THE_CHOICE):
        return False
    if code.startswith(_OF_RULES_THAT_FIT) and not fit:
        return False
    if code == "source-ranges" and "source-range" in said:
        return False
    if code in UNKNOWN:
        return code not in said
    return code not in WHY_NONE or said.isdisjoint(_NOTHING_THERE)


def _left_out(frontend: Frontend, cluster: Cluster) -> Iterator[Reason]:
    """Problems of a lenient reading with the Service or one of its slices."""
    service = frontend.service
    slices = {s.metadata.name for s in cluster.slices_of(service)}
    for problem in cluster.problems:
        if problem.namespace != service.namespace:
            continue
        if problem.name == service.name or problem.name in slices:
            yield Reason("left-out", f"left out: {problem}")


def _unknown_nodes(decision: Decision) -> Iterator[Reason]:
    """Node names that endpoints carry and no Node has."""
    nodes = decision.cluster.nodes
    carried = {e.node_name for _, e in decision.selection.known if e.node_name}
    unknown = sorted(carried - set(nodes)) if nodes else []
    if unknown:
        listed = ", ".join(unknown[:8])
        yield Reason(
            "node-name-unknown",
            f"its endpoints name nodes that do not exist: {listed} (there are "
            f"{', '.join(sorted(nodes)[:8])})",
        )
