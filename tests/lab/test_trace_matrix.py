"""What the tracer says before a packet is sent, against what the packet does.

Every source is combined with every destination under every policy. What cannot be sent at all:
a packet to a loopback address from anywhere but the node itself never reaches that node; and no
endpoint in a node's own network answers SCTP, for which the kernel has no sockets here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from nptables import Cluster, ProxyConfig, Ruleset, trace
from nptables import Family as NpFamily
from nptables.model import NodeFacts
from nptables.tracing import Origin, Packet, Verdict
from tests.lab.laboratory import manifests
from tests.lab.laboratory.addresses import (
    CLIENT,
    CLIENT_NETWORK,
    FAMILIES,
    HOSTS,
    LOCALHOST,
    NODE1,
    NODE2,
    NODES,
    POD_NETWORK,
    cluster_ip,
    external_ip,
)
from tests.lab.laboratory.manifests import PORT, balanced, service
from tests.lab.laboratory.probing import Probe
from tests.lab.laboratory.programming import API

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nptables import Trace
    from nptables.evidence import Evidence
    from tests.lab.laboratory.addresses import Dual, Family, Host
    from tests.lab.laboratory.lab import Laboratory
    from tests.lab.laboratory.probing import Answer

pytestmark = pytest.mark.lab

NODE_PORT = 30001
POD1A, POD1B, *_ = NODE1.pods
POD2A, POD2B, *_ = NODE2.pods
EXTERNAL, BALANCER = external_ip(1, by="node1"), external_ip(2, by="node1")
CLUSTER_CIDR = {"clusterCIDR": ",".join(POD_NETWORK)}
PROTOCOLS = ("tcp", "udp", "sctp")

# The endpoint itself is pod1a wherever it is one; pod1b and pod2b are never endpoints.
SOURCES = {
    "outside": CLIENT,
    "node": NODE1,
    "local pod": POD1B,
    "remote pod": POD2B,
    "the endpoint itself": POD1A,
    "an endpoint elsewhere": POD2A,
}
DESTINATIONS: dict[str, tuple[Dual, int]] = {
    "cluster IP": (cluster_ip(1), PORT),
    "external IP": (EXTERNAL, PORT),
    "load-balancer IP": (BALANCER, PORT),
    "nodePort of node1": (NODE1.address, NODE_PORT),
    "nodePort of node2": (NODE2.address, NODE_PORT),
    "nodePort of 127.0.0.1": (LOCALHOST, NODE_PORT),
}


@dataclass(frozen=True)
class Policy:
    """One way to set up the Service and kube-proxy."""

    endpoints: tuple[Host, ...]
    spec: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=lambda: CLUSTER_CIDR)
    forward_drops: bool = False


POLICIES = {
    "Cluster": Policy((POD1A, POD2A)),
    "Local, endpoints on both nodes": Policy((POD1A, POD2A), {"externalTrafficPolicy": "Local"}),
    "Local, an endpoint on node1 only": Policy((POD1A,), {"externalTrafficPolicy": "Local"}),
    "Local, an endpoint on node2 only": Policy((POD2A,), {"externalTrafficPolicy": "Local"}),
    "internal Local, an endpoint on node2 only": Policy(
        (POD2A,), {"internalTrafficPolicy": "Local"}
    ),
    "no endpoints": Policy(()),
    "source ranges with the client": Policy(
        (POD1A, POD2A), {"loadBalancerSourceRanges": list(CLIENT_NETWORK)}
    ),
    "source ranges without the client": Policy(
        (POD1A, POD2A), {"loadBalancerSourceRanges": ["192.0.2.0/24", "2001:db8:ffff::/64"]}
    ),
    "masquerade-all": Policy(
        (POD1A, POD2A), config={**CLUSTER_CIDR, "iptables": {"masqueradeAll": True}}
    ),
    "hostNetwork on both nodes": Policy((NODE1, NODE2)),
    "hostNetwork on node1, Local": Policy((NODE1,), {"externalTrafficPolicy": "Local"}),
    "no way to tell pods": Policy((POD1A, POD2A), config={}),
    "node ports off on loopback": Policy(
        (POD1A, POD2A), config={**CLUSTER_CIDR, "iptables": {"localhostNodePorts": False}}
    ),
    "affinity": Policy((POD1A, POD2A), {"sessionAffinity": "ClientIP"}),
    "FORWARD drops": Policy((POD1A, POD2A), forward_drops=True),
    "FORWARD drops, no endpoints": Policy((), forward_drops=True),
}


@dataclass(frozen=True)
class Case:
    """One combination, ready to be sent."""

    source: str
    destination: str
    family: Family
    protocol: str

    @property
    def host(self) -> Host:
        return SOURCES[self.source]

    @property
    def address(self) -> str:
        return DESTINATIONS[self.destination][0].of(self.family)

    @property
    def port(self) -> int:
        return DESTINATIONS[self.destination][1]

    def probe(self) -> Probe:
        return Probe(self.host.name, self.address, self.port, self.protocol)

    def packet(self) -> Packet:
        """The packet as the tracer takes it."""
        from_node = self.host in NODES
        return Packet(
            self.address,
            self.port,
            self.protocol,
            source=None if from_node else self.host.address.of(self.family),
            origin=Origin.NODE if from_node else None,
        )

    @property
    def enters(self) -> str:
        """The node that sees the packet first."""
        if self.host is CLIENT:
            return "node2" if self.destination == "nodePort of node2" else "node1"
        return self.host.name if self.host in NODES else self.host.node  # type: ignore[attr-defined]


def cases(policy: Policy) -> Iterator[Case]:
    # The nodes have no SCTP sockets that could be an endpoint in their own network.
    in_pods = all(endpoint not in NODES for endpoint in policy.endpoints)
    for family in FAMILIES:
        for source in SOURCES:
            for destination in DESTINATIONS:
                if destination == "nodePort of 127.0.0.1" and source != "node":
                    continue
                for protocol in PROTOCOLS if in_pods else PROTOCOLS[:2]:
                    yield Case(source, destination, family, protocol)


def facts_of(lab: Laboratory, node: str) -> NodeFacts:
    def listed(*words: str) -> Any:
        return json.loads(lab.namespaces[node].run(["ip", "-j", *words]).stdout or "[]")

    return NodeFacts.from_mapping(
        {"interfaces": listed("addr"), "routes": [*listed("route"), *listed("-6", "route")]}
    )


class Foretelling:
    """Traces in the rules that the nodes' kernels have."""

    def __init__(self, lab: Laboratory, objects: list[Any], policy: Policy) -> None:
        self._evidence: dict[str, Evidence] = {}
        self._cluster = Cluster.from_objects([*manifests.nodes(), *objects])
        self._config = ProxyConfig.from_kube_proxy({**API, **policy.config})
        self._nodes = {n.name: self._cluster.node(n.name, facts_of(lab, n.name)) for n in NODES}
        self._rules: dict[tuple[str, Any], Any] = {
            (node.name, family): Ruleset.from_save(
                lab.namespaces[node.name].save(family), family=NpFamily[family]
            )
            for node in NODES
            for family in FAMILIES
        }

    def answer(self, case: Case) -> Trace:
        first = case.enters
        others = {
            name: (node, self._rules[name, case.family])
            for name, node in self._nodes.items()
            if name != first
        }
        return trace(
            self._rules[first, case.family],
            case.packet(),
            self._nodes[first],
            self._cluster,
            config=self._config,
            others=others,
            evidence=self._evidence.get(first),
        )


# What becomes of a packet that no endpoint answers. On a node's own port nobody listens, and its
# kernel refuses; a program on the node itself is told by an error that a rule dropped its packet.
_UNANSWERED: dict[Verdict, tuple[str, ...]] = {
    Verdict.REFUSED: ("refused",),
    Verdict.NODE: ("refused",),
    Verdict.DROPPED: ("silence", "EPERM"),
    Verdict.ONE_WAY: ("silence",),
    Verdict.LEAVES: ("silence", "refused", "EHOSTUNREACH"),
    Verdict.UNKNOWN: (),
}


def host_at(address: str) -> str:
    return next((h.name for h in HOSTS.values() if address in tuple(h.address)), "")


def foretold(answer: Trace, was: Answer) -> bool:
    """Whether what happened is one of the outcomes, with the source that was foretold."""
    for distribution in answer.distributions:
        for outcome in distribution.outcomes:
            if outcome.arrives:
                if (was.outcome, was.endpoint, was.source) == (
                    "answered",
                    host_at(str(outcome.destination)),
                    str(outcome.source),
                ):
                    return True
            elif was.outcome in _UNANSWERED[outcome.verdict]:
                return True
    return False


def prepared(lab: Laboratory, policy: Policy) -> Foretelling:
    """The nodes programmed for a policy, and what is to be told of them."""
    objects = service(
        policy.endpoints, type="LoadBalancer", externalIPs=list(EXTERNAL), **policy.spec
    )
    objects[0]["status"] = balanced(BALANCER)
    lab.apply(objects, policy.config)
    if policy.forward_drops:
        lab.drop_forwarded("node1", "node2")
        lab.accept_pod_traffic("node1", "node2")
    return Foretelling(lab, objects, policy)


@pytest.mark.parametrize("name", POLICIES)
def test_packets_do_what_was_foretold(lab: Laboratory, name: str) -> None:
    policy = POLICIES[name]
    foretelling = prepared(lab, policy)
    asked = list(cases(policy))
    answers = [foretelling.answer(case) for case in asked]

    happened = lab.probe_all([case.probe() for case in asked])

    wrong = [
        f"{case}\n  foretold: {[(str(o.share), o.verdict.value, o.where, str(o.source)) for d in answer.distributions for o in d.outcomes]}\n  was: {was}"  # noqa: E501
        for case, answer, was in zip(asked, answers, happened, strict=True)
        if not foretold(answer, was)
    ]
    print(f"{name}: {len(asked)} combinations on {lab.backend}, {len(wrong)} not as foretold")  # noqa: T201
    assert not wrong, f"{len(wrong)} of {len(asked)} not as foretold:\n" + "\n".join(wrong[:12])
