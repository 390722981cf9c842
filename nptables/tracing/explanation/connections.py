"""What is said of connections that the node remembers, and that no rule decides any more."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from nptables.iptables.ruleset import Ruleset
from nptables.model import Node
from nptables.tracing.explanation.result import Trace
from nptables.tracing.traversal.rulebook import Rules
from nptables.translation.flows import Flow, stale_flows
from nptables.translation.frontends import Frontend, udp_frontends
from nptables.translation.selection import endpoint_text


def with_connections(answer: Trace, flows: Sequence[Flow], rules: Rules, node: Node) -> Trace:
    """The answer, with a note for each way that remembered packets to the same destination go.

    A trace is of a first packet. Those of a connection that is there already keep the endpoint
    that the first one got; where a sender is known, only its own count.
    """
    packet = answer.packet
    # Only UDP flows outlive their endpoint: see `nptables.translation.flows`.
    if packet.protocol.lower() != "udp" or packet.port is None:
        return answer
    wanted = [
        flow
        for flow in flows
        if flow.destination == (packet.destination, packet.port)
        and (not isinstance(packet.source, str) or flow.client[0] == packet.source)
    ]
    rulesets = (rules,) if isinstance(rules, Ruleset) else rules
    named: dict[Frontend, frozenset[tuple[str, int]]] = {}
    for ruleset in rulesets:
        for frontend, endpoints in udp_frontends(ruleset).items():
            named[frontend] = named.get(frontend, frozenset()) | endpoints
    local = frozenset(node.interface_addresses(rulesets[0].family))
    counted: dict[str, int] = {}
    for flow in stale_flows(wanted, {}, named, local):
        answers = endpoint_text(*flow.answers)
        counted[answers] = counted.get(answers, 0) + 1
    to = endpoint_text(str(packet.destination), packet.port)
    notes = [
        f"{'1 connection' if count == 1 else f'{count} connections'} to {to} that the node "
        f"remembers (conntrack) {'goes' if count == 1 else 'go'} to {answers}, which these rules "
        f"do not name: its packets keep going there until the flow falls silent (delete with "
        f"conntrack "
        f"-D -p udp --orig-dst {packet.destination} --orig-port-dst {packet.port})"
        for answers, count in sorted(counted.items())
    ]
    return attrs.evolve(answer, notes=(*answer.notes, *notes))
