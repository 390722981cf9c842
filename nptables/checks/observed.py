"""From the evidence of a node to the findings about it."""

from __future__ import annotations

from nptables.checks.node import NodeState
from nptables.effects import Effects
from nptables.evidence import Evidence
from nptables.evidence.backends import chains_in_use, other_backend
from nptables.evidence.handlers import handlers
from nptables.evidence.other_rules import leftovers, rules_beside, running_kube_proxy
from nptables.family import Family
from nptables.iptables import Ruleset
from nptables.iptables.changes import Plan


def observed(
    node: str,
    plan: Plan,
    evidence: Evidence,
    *,
    explanation: str = "",
    behind: str = "",
    noticed: Effects | None = None,
    here: bool = False,
) -> NodeState:
    """What of a node is checked, for the family of a plan.

    `plan` is the difference of the evidence's tables to what the cluster says, `explanation` what
    that comes from, where it is known, `behind` why the rules send packets elsewhere, and
    `noticed` what packets notice of it. Nothing is found in what nobody looked at. With `here` it
    is the node where this runs, where a kube-proxy gets in the way.
    """
    other = other_backend(evidence, plan.before)
    return NodeState(
        node=node,
        plan=plan,
        beside=other,
        settings=evidence.sysctls or {},
        other_rules=(
            *([] if other is None else [_other_tables(other)]),
            *rules_beside(evidence, plan.family),
        ),
        leftovers=leftovers(evidence),
        kube_proxy=running_kube_proxy(evidence) if here else "",
        flows=tuple(f for f in evidence.flows or () if Family.of(f.destination[0]) is plan.family),
        explanation=explanation,
        handled_elsewhere=handlers(evidence).instead(node),
        behind=behind,
        noticed=noticed,
        bridges=evidence.bridges or (),
        recent=evidence.recent or (),
        recent_limit=evidence.recent_limit,
    )


def _other_tables(rules: Ruleset) -> str:
    chains = ", ".join(chains_in_use(rules))
    return f"the {rules.backend or 'other'} tables hold rules too: {chains}"
