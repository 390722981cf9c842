"""What the rules on the way say of the cluster, beside what the cluster says.

The comments of kube-proxy's rules claim something, such as that a Service has no endpoints; and the
endpoints that rules lead to are some of those that the cluster decides for, or are not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from nptables.family import Family
from nptables.iptables.ruleset import Ruleset
from nptables.model.addresses import network_contains
from nptables.tracing.addressing import Address, Somewhere
from nptables.tracing.explanation.case import Case, Place, endpoints, listed, places, usable
from nptables.tracing.explanation.path import comment_of, place_of
from nptables.tracing.explanation.result import Outcome, Trace, Verdict
from nptables.tracing.packet import Origin
from nptables.tracing.state import Step
from nptables.translation import Decision, Reason, chains
from nptables.translation.explanation.decision import elsewhere, unknown_reason
from nptables.translation.explanation.notices import UNREAD

# Reasons of a decision that say why no endpoint can take traffic.
WHY_NONE = (
    "no-slices", "no-slices-of-family", "port-mismatch", "no-addresses", "not-ready",
    "terminating-ignored",
)  # fmt: skip
_RANGES_CHAIN = re.compile(r"KUBE-FW-[A-Z2-7]{16}")
_ADMITTED = re.compile(r"-A \S+ -s (\S+) (?!.*-j KUBE-MARK-)")


def claimed(rule: Step, path: Sequence[Step], source: Address, case: Case) -> Reason | None:
    """Why a rule of kube-proxy ends a packet from a source, None where it does not say.

    `path` is the packet's way.
    """
    comment = comment_of(rule.line)
    decision = case.decision_on(rule.node)
    if decision is not None and (decision.port is None or not _is_about(comment, decision)):
        decision = None
    if (chain := _ranges_chain(rule, comment)) is not None:
        if any(step.chain == chain and _ADMITTED.match(step.line) for step in path):
            return _not_taken(rule, case, decision)
        return _source_range(rule, chain, source, case, decision)
    if decision is None:
        return None
    name = "/".join(decision.service.key)
    if "has no local endpoints" in comment:
        says = f"{place_of(rule)} says that {name} has no local endpoints"
        return _no_local_endpoint(says, rule, case, decision)
    if "has no endpoints" in comment:
        says = f"{place_of(rule)} says that {name} has no endpoints"
        return _no_endpoint(says, rule, case, decision)
    return None


def _not_taken(rule: Step, case: Case, decision: Decision | None) -> Reason:
    """A packet from a source that the ranges admit, and that no rule translated afterwards."""
    says = f"no rule translates it, and {place_of(rule)} drops what is not translated"
    if decision is None:
        return Reason("rule", f"its source is admitted, but {says}")
    if decision.service.external_policy_local:
        return _no_local_endpoint(says, rule, case, decision)
    return _no_endpoint(says, rule, case, decision)


def _is_about(comment: str, decision: Decision) -> bool:
    """Whether a comment is about the Service, and not about one that had its address before."""
    name = comment.partition(" ")[0].split(":")[0]
    return name == "/".join(decision.service.key)


def _no_endpoint(says: str, rule: Step, case: Case, decision: Decision) -> Reason:
    name = "/".join(decision.service.key)
    able = usable(decision.selection)
    if able:
        return Reason(
            "stale-rule",
            f"{says}, but in the cluster {endpoints(len(able))} can take traffic "
            f"({listed(able)}): {case.behind(rule.node)}",
        )
    if (unknown := _not_known(says, decision)) is not None:
        return unknown
    whys = [reason.text for reason in decision.reasons if reason.code in WHY_NONE]
    why = f": {'; '.join(whys)}" if whys else ""
    return Reason("no-endpoint", f"{name} has no endpoint that can take traffic{why}")


def _not_known(says: str, decision: Decision, *, local: bool = False) -> Reason | None:
    """That the rules refuse for want of endpoints, where those of the cluster are not known."""
    unknown = unknown_reason(decision.service, decision.cluster, local=local)
    if unknown is None:
        return None
    if unknown.code == UNREAD and not usable(decision.selection):
        says = f"{'/'.join(decision.service.key)} has no endpoint that was read"
    return Reason(unknown.code, f"{says}; {unknown.text}")


def _no_local_endpoint(says: str, rule: Step, case: Case, decision: Decision) -> Reason:
    service, node = decision.service, rule.node
    name = "/".join(service.key)
    internal = rule.chain == chains.SERVICES
    field = "internalTrafficPolicy" if internal else "externalTrafficPolicy"
    is_local = service.internal_policy_local if internal else service.external_policy_local
    if not is_local:
        text = f"{says}, but in the cluster its {field} is Cluster: {case.behind(node)}"
        return Reason("stale-rule", text)
    here = places(decision.selection.local)
    if here:
        from nptables.translation.explanation.disagreement import Cause  # noqa: PLC0415 - of dumps

        return Reason(
            "stale-rule",
            f"{says}, but in the cluster {endpoints(len(here))} on {node} can take "
            f"traffic ({listed(here)}): {case.cause(node) or Cause.OTHER_NAME.words(node)}",
        )
    if not usable(decision.selection):
        nobody = f"{name} has no endpoint that can take traffic, on any node"
        return _not_known(says, decision) or Reason("no-endpoint", nobody)
    if unplaced := _not_known(says, decision, local=True):
        return unplaced
    where = elsewhere(decision.selection, decision.context.node_name)
    return Reason("no-local-endpoint", f"{name} has {field} Local and {where}")


def _ranges_chain(rule: Step, comment: str) -> str | None:
    """The chain that checked loadBalancerSourceRanges, where that is why the rule is there.

    Today's rule stands in filter and names the chain of nat in its comment; the older one is the
    last of that chain.
    """
    if rule.chain == chains.PROXY_FIREWALL:
        match = _RANGES_CHAIN.search(comment)
        return match[0] if match is not None else ""
    return rule.chain if _RANGES_CHAIN.fullmatch(rule.chain) else None


def _source_range(
    rule: Step, chain: str, source: Address, case: Case, decision: Decision | None
) -> Reason:
    comment = comment_of(rule.line)
    at_home = rule.node == case.network.node.name
    admitted = list(_admitted_by(case.rulesets, chain)) if at_home else []
    if decision is None:
        ranges = f" {', '.join(admitted)}" if admitted else ""
        return Reason(
            "source-range",
            f"{source} is in none of the ranges{ranges} that {place_of(rule)} admits: "
            f"by its name and comment these are the loadBalancerSourceRanges of "
            f"{comment.partition(' ')[0] or 'a Service'}",
        )
    service = decision.service
    name = "/".join(service.key)
    given = [n for n in service.load_balancer_source_ranges if Family.of(n) is case.family]
    ranges = ", ".join(given)
    if not given or any(_holds(network, source) for network in given):
        has = f"admit {source} ({ranges})" if given else "are not set"
        return Reason(
            "stale-rule",
            f"{place_of(rule)} admits only {', '.join(admitted) or 'other sources'}, but "
            f"in the cluster loadBalancerSourceRanges of {name} {has}: {case.behind(rule.node)}",
        )
    return Reason(
        "source-range",
        f"{name} has loadBalancerSourceRanges {ranges}, and {source} is in none of them",
    )


def _admitted_by(rulesets: Iterable[Ruleset], chain: str) -> Iterator[str]:
    """The sources that a chain of nat lets through."""
    for ruleset in rulesets:
        for line in ruleset.lines("nat", chain) if chain else ():
            if (match := _ADMITTED.match(line)) is not None:
                yield match[1]


def _holds(network: str, source: Address) -> bool:
    return isinstance(source, str) and network_contains(network, source)


def policy_reasons(
    answer: Trace, outcomes: Sequence[Outcome], node: str, decision: Decision, case: Case
) -> Iterator[Reason]:
    """The policy by which the packet went to its endpoints, or that rules and cluster differ.

    Nothing where no rule translated it: its cause says why, and what the cluster has for it is
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
