"""Findings about UDP connections that go where no rule sends them any more."""

from __future__ import annotations

from collections.abc import Sequence

from nptables.checks import codes
from nptables.checks.finding import Finding
from nptables.translation import Translation
from nptables.translation.backing import backed
from nptables.translation.flows import Flow, stale_flows
from nptables.translation.frontends import udp_frontends
from nptables.translation.selection import endpoint_text
from nptables.words import listed

_MOST_LISTED = 3


def check_connections(
    flows: Sequence[Flow], rulesets: Sequence[Translation], node: str = ""
) -> list[Finding]:
    """Connections that none of some nodes' rules would make now, together by where they go.

    `rulesets` are those of the nodes that the connections may be of, `node` names the only one.
    Nothing is said where endpoints are not known.
    """
    if not flows or not rulesets or any(map(has_unknown_endpoints, rulesets)):
        return []
    every = [
        set(stale_flows(flows, {}, udp_frontends(rules), frozenset(_node_port_addresses(rules))))
        for rules in rulesets
    ]
    ways: dict[tuple[str, str], list[str]] = {}
    for flow in sorted(
        set.intersection(*every), key=lambda f: (f.destination, f.answers, f.client)
    ):
        way = endpoint_text(*flow.destination), endpoint_text(*flow.answers)
        ways.setdefault(way, []).append(endpoint_text(*flow.client))
    return [
        Finding(
            codes.STALE_CONNECTION,
            f"UDP from {listed(clients, _MOST_LISTED)} to {to} goes to {answers}, which is not an "
            "endpoint any more",
            "Node" if node else "",
            "",
            node,
        )
        for (to, answers), clients in ways.items()
    ]


def has_unknown_endpoints(rules: Translation) -> bool:
    """Whether not all endpoints are known, and so not what the rules should be."""
    services = rules.cluster.services
    return not all(
        backed(rules.cluster, services[name.namespace, name.name]).known for name in rules.ports
    )


def _node_port_addresses(rules: Translation) -> Sequence[str]:
    context = rules.context
    return context.interface_addresses if context.all_addresses else context.node_port_addresses
