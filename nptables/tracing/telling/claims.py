"""What rules claim of the cluster, beside what the cluster says.

kube-proxy writes into a rule why it is there: a Service has no endpoints, or none on this node, or
admits some sources only. That is so as long as the rule fits the cluster. Where it does not, the
reason says what each of them says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from nptables.family import Family
from nptables.iptables.ruleset import Ruleset
from nptables.model.addresses import network_contains
from nptables.tracing.surroundings.addressing import Address
from nptables.tracing.telling.case import Case, endpoints, listed, places, usable
from nptables.tracing.telling.way import comment_of, place_of
from nptables.tracing.walking.steps import Step
from nptables.translation import Decision, Reason, chains
from nptables.translation.explanation.decision import UNREAD, elsewhere, unknown_reason
from nptables.translation.explanation.disagreement import Cause

# Reasons of a decision that say why no endpoint can take traffic.
WHY_NONE = (
    "no-slices", "no-slices-of-family", "port-mismatch", "no-addresses", "not-ready",
    "terminating-ignored",
)  # fmt: skip
_RANGES_CHAIN = re.compile(r"KUBE-FW-[A-Z2-7]{16}")
_ADMITTED = re.compile(r"-A \S+ -s (\S+) (?!.*-j KUBE-MARK-)")


def claimed(
    word: str, rule: Step, path: Sequence[Step], source: Address, case: Case
) -> Reason | None:
    """Why a rule of kube-proxy ends a packet from a source, None where it does not say.

    `word` is what becomes of the packet, `path` its way.
    """
    comment = comment_of(rule.line)
    decision = case.decision_on(rule.node)
    if decision is not None and (decision.port is None or not _is_about(comment, decision)):
        decision = None
    if (chain := _ranges_chain(rule, comment)) is not None:
        if any(step.chain == chain and _ADMITTED.match(step.line) for step in path):
            return _not_taken(word, rule, case, decision)
        return _source_range(word, rule, chain, source, case, decision)
    if decision is None:
        return None
    name = "/".join(decision.service.key)
    if "has no local endpoints" in comment:
        says = f"{place_of(rule)} says that {name} has no local endpoints"
        return _no_local_endpoint(word, says, rule, case, decision)
    if "has no endpoints" in comment:
        says = f"{place_of(rule)} says that {name} has no endpoints"
        return _no_endpoint(word, says, rule, case, decision)
    return None


def _not_taken(word: str, rule: Step, case: Case, decision: Decision | None) -> Reason:
    """A packet from a source that the ranges admit, and that no rule translated afterwards."""
    says = f"no rule translates it, and {place_of(rule)} drops what is not translated"
    if decision is None:
        return Reason("rule", f"{word}: its source is admitted, but {says}")
    if decision.service.external_policy_local:
        return _no_local_endpoint(word, says, rule, case, decision)
    return _no_endpoint(word, says, rule, case, decision)


def _is_about(comment: str, decision: Decision) -> bool:
    """Whether a comment is about the Service, and not about one that had its address before."""
    name = comment.partition(" ")[0].split(":")[0]
    return name == "/".join(decision.service.key)


def _no_endpoint(word: str, says: str, rule: Step, case: Case, decision: Decision) -> Reason:
    name = "/".join(decision.service.key)
    able = usable(decision.selection)
    if able:
        return Reason(
            "stale-rule",
            f"{word}: {says}, but in the cluster {endpoints(len(able))} can take traffic "
            f"({listed(able)}): {case.behind(rule.node)}",
        )
    if (unknown := _not_known(word, says, decision)) is not None:
        return unknown
    whys = [reason.text for reason in decision.reasons if reason.code in WHY_NONE]
    why = f": {'; '.join(whys)}" if whys else ""
    return Reason("no-endpoint", f"{word}: {name} has no endpoint that can take traffic{why}")


def _not_known(word: str, says: str, decision: Decision, *, local: bool = False) -> Reason | None:
    """That the rules refuse for want of endpoints, where those of the cluster are not known."""
    unknown = unknown_reason(decision.service, decision.cluster, local=local)
    if unknown is None:
        return None
    if unknown.code == UNREAD and not usable(decision.selection):
        says = f"{'/'.join(decision.service.key)} has no endpoint that was read"
    return Reason(unknown.code, f"{word}: {says}; {unknown.text}")


def _no_local_endpoint(word: str, says: str, rule: Step, case: Case, decision: Decision) -> Reason:
    service, node = decision.service, rule.node
    name = "/".join(service.key)
    internal = rule.chain == chains.SERVICES
    field = "internalTrafficPolicy" if internal else "externalTrafficPolicy"
    is_local = service.internal_policy_local if internal else service.external_policy_local
    if not is_local:
        text = f"{word}: {says}, but in the cluster its {field} is Cluster: {case.behind(node)}"
        return Reason("stale-rule", text)
    here = places(decision.selection.local)
    if here:
        return Reason(
            "stale-rule",
            f"{word}: {says}, but in the cluster {endpoints(len(here))} on {node} can take "
            f"traffic ({listed(here)}): {case.cause(node) or Cause.OTHER_NAME.words(node)}",
        )
    if not usable(decision.selection):
        nobody = f"{word}: {name} has no endpoint that can take traffic, on any node"
        return _not_known(word, says, decision) or Reason("no-endpoint", nobody)
    if unplaced := _not_known(word, says, decision, local=True):
        return unplaced
    where = elsewhere(decision.selection, decision.context.node_name)
    return Reason("no-local-endpoint", f"{word}: {name} has {field} Local and {where}")


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
    word: str, rule: Step, chain: str, source: Address, case: Case, decision: Decision | None
) -> Reason:
    comment = comment_of(rule.line)
    at_home = rule.node == case.network.node.name
    admitted = list(_admitted_by(case.rulesets, chain)) if at_home else []
    if decision is None:
        ranges = f" {', '.join(admitted)}" if admitted else ""
        return Reason(
            "source-range",
            f"{word}: {source} is in none of the ranges{ranges} that {place_of(rule)} admits: "
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
            f"{word}: {place_of(rule)} admits only {', '.join(admitted) or 'other sources'}, but "
            f"in the cluster loadBalancerSourceRanges of {name} {has}: {case.behind(rule.node)}",
        )
    return Reason(
        "source-range",
        f"{word}: {name} has loadBalancerSourceRanges {ranges}, and {source} is in none of them",
    )


def _admitted_by(rulesets: Iterable[Ruleset], chain: str) -> Iterator[str]:
    """The sources that a chain of nat lets through."""
    for ruleset in rulesets:
        for line in ruleset.lines("nat", chain) if chain else ():
            if (match := _ADMITTED.match(line)) is not None:
                yield match[1]


def _holds(network: str, source: Address) -> bool:
    return isinstance(source, str) and network_contains(network, source)
