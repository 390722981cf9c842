"""From what somebody has of a node to what is checked of it."""

from __future__ import annotations

from collections.abc import Iterable

from nptables.checks.node import NodeState
from nptables.evidence import Evidence, Process
from nptables.evidence.native import Objects, kube_proxy_tables, native_rules, native_tables
from nptables.evidence.serving import beside, chains_in_use
from nptables.family import Family
from nptables.iptables import Ruleset
from nptables.iptables.changes import Plan

KUBE_PROXY = "kube-proxy"
IPVS_INTERFACE = "kube-ipvs0"


def observed(
    node: str, plan: Plan, evidence: Evidence, *, explanation: str = "", here: bool = False
) -> NodeState:
    """What of a node is checked, for the family of a plan.

    `plan` is the difference of the evidence's tables to what the cluster says, and `explanation`
    what that comes from, where it is known. Nothing is found in what nobody looked at. With
    `here` it is the node where this runs, where a kube-proxy gets in the way.
    """
    other = beside(evidence, plan.before)
    native = evidence.native or ()
    interfaces = evidence.facts.interfaces if evidence.facts is not None else None
    return NodeState(
        node=node,
        plan=plan,
        beside=other,
        settings=evidence.sysctls or {},
        other_rules=(
            *([] if other is None else [_other_tables(other)]),
            *(str(tables) for tables in evidence.unread if tables.family is plan.family),
            *native_tables(native, plan.family),
            *native_rules(native, plan.family),
        ),
        leftovers=tuple(leftovers(interfaces or (), native)),
        kube_proxy=_kube_proxy(evidence.processes or ()) if here else "",
        flows=tuple(f for f in evidence.flows or () if Family.of(f.destination[0]) is plan.family),
        explanation=explanation,
        bridges=evidence.bridges or (),
        recent=evidence.recent or (),
        recent_limit=evidence.recent_limit,
    )


def leftovers(interfaces: Iterable[str], native: Objects) -> list[str]:
    """What kube-proxy in mode ipvs or nftables leaves behind, in words."""
    found = [f"interface {IPVS_INTERFACE} of mode ipvs is there"] * (IPVS_INTERFACE in interfaces)
    tables = kube_proxy_tables(native)
    return found + [f"nft table {family} kube-proxy of mode nftables is there" for family in tables]


def _other_tables(rules: Ruleset) -> str:
    chains = ", ".join(chains_in_use(rules))
    return f"the {rules.backend or 'other'} tables hold rules too: {chains}"


def _kube_proxy(processes: Iterable[Process]) -> str:
    """The kube-proxy that runs, in words, or an empty string."""
    found = next((process for process in processes if process.name == KUBE_PROXY), None)
    return "" if found is None else f"{found.name} (pid {found.pid})"
