"""Where packets to a Service arrive, and which source the endpoint sees.

Each expectation follows from the rules of kube-proxy and the plan of the network in
addresses.py. A node that masquerades does so with its address on the interface that the packet
leaves by: towards its own pods that is the bridge's, towards everything else its node address.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.lab.laboratory.addresses import (
    CLIENT,
    LOCALHOST,
    NODE1,
    NODE2,
    OTHER_CLIENTS,
    POD_NETWORK,
    Dual,
    Node,
    cluster_ip,
    external_ip,
)
from tests.lab.laboratory.lab import REFUSED, SILENCE, Question, answered
from tests.lab.laboratory.manifests import PORT, balanced, service
from tests.support.requirements import requires

if TYPE_CHECKING:
    from tests.lab.laboratory.lab import Expected, Laboratory

pytestmark = pytest.mark.lab

TUTORIAL = Path(__file__).parents[2] / "fixtures" / "tutorial" / "two-nodes.yaml"
NODE_PORT = 30001
IPV4_ONLY, IPV6_ONLY = ("IPV4",), ("IPV6",)
POD1A, POD1B, POD1C, *_ = NODE1.pods
POD2A, POD2B, *_ = NODE2.pods
CLUSTER_CIDR = {"clusterCIDR": ",".join(POD_NETWORK)}
EXTERNAL1, EXTERNAL2 = external_ip(1, by="node1"), external_ip(1, by="node2")
BALANCER1, BALANCER2 = external_ip(2, by="node1"), external_ip(2, by="node2")


@pytest.fixture(params=["FORWARD accepts", "FORWARD drops what is not accepted"], autouse=True)
def _forward_policy(request: pytest.FixtureRequest) -> None:
    """Run everything again where only what some rule accepts is forwarded.

    The network's own rules let pods talk, as CNI plugins do; what goes to other destinations,
    or comes back from them, needs the rules of KUBE-FORWARD.
    """
    request.node.forward_drops = request.param.startswith("FORWARD drops")


def start(
    lab: Laboratory, request: pytest.FixtureRequest, objects: list[Any], **config: Any
) -> None:
    lab.apply(objects, config)
    if request.node.forward_drops:
        lab.drop_forwarded("node1", "node2")
        lab.accept_pod_traffic("node1", "node2")


def to_cluster_ip(source: str, number: int = 1) -> Question:
    return Question(source, cluster_ip(number), PORT)


def to_node_port(source: str, at: Node | Dual) -> Question:
    return Question(source, at.address if isinstance(at, Node) else at, NODE_PORT)


def to_address(source: str, address: Dual, **options: Any) -> Question:
    return Question(source, address, PORT, **options)


def exposed(*endpoints: Any, **spec: Any) -> list[Any]:
    """Return a Service that can be had in every way there is."""
    objects = service(endpoints, type="LoadBalancer", externalIPs=[*EXTERNAL1, *EXTERNAL2], **spec)
    objects[0]["status"] = balanced(BALANCER1, BALANCER2)
    return objects


EVERY_EXTERNAL = (EXTERNAL1, EXTERNAL2, BALANCER1, BALANCER2)
FROM_CLIENT = {
    EXTERNAL1: NODE1,
    BALANCER1: NODE1,
    EXTERNAL2: NODE2,
    BALANCER2: NODE2,
}


def test_the_tutorial_pod_on_node1_answers_on_both_nodes(
    lab: Laboratory, request: pytest.FixtureRequest
) -> None:
    objects = tutorial()
    start(lab, request, objects)

    lab.check(
        {
            Question("client", NODE1.address, 30080): answered("pod1a", seeing=NODE1.bridge),
            Question("client", NODE2.address, 30080): answered("pod1a", seeing=NODE2.address),
        },
        protocols=["tcp"],
        families=IPV4_ONLY,
    )


def test_with_the_local_policy_the_tutorial_answers_on_node1_only_and_sees_the_client(
    lab: Laboratory, request: pytest.FixtureRequest
) -> None:
    objects = tutorial()
    next(o for o in objects if o["kind"] == "Service")["spec"]["externalTrafficPolicy"] = "Local"
    start(lab, request, objects)

    lab.check(
        {
            Question("client", NODE1.address, 30080): answered("pod1a", seeing=CLIENT.address),
            Question("client", NODE2.address, 30080): SILENCE,
        },
        protocols=["tcp"],
        families=IPV4_ONLY,
    )


def tutorial() -> list[Any]:
    """Return the Service and its slice; the laboratory brings the same two nodes."""
    documents = yaml.safe_load_all(TUTORIAL.read_text())
    return [document for document in documents if document["kind"] != "Node"]


def test_an_endpoint_in_a_pod_is_reached_from_everywhere(
    lab: Laboratory, request: pytest.FixtureRequest
) -> None:
    start(lab, request, exposed(POD1A), **CLUSTER_CIDR)

    expected: dict[Question, Expected] = {
        # Pods keep their address towards a cluster IP, except one that reaches itself.
        to_cluster_ip("pod1b"): answered("pod1a", seeing=POD1B.address),
        to_cluster_ip("pod2a"): answered("pod1a", seeing=POD2A.address),
        to_cluster_ip("pod1a"): answered("pod1a", seeing=NODE1.bridge),
        # Everybody else is masqueraded by the node that translates. The router sends cluster
        # IPs to node1.
        to_cluster_ip("node1"): answered("pod1a", seeing=NODE1.bridge),
        to_cluster_ip("node2"): answered("pod1a", seeing=NODE2.address),
        to_cluster_ip("client"): answered("pod1a", seeing=NODE1.bridge),
        # A pod's or node's own packets to an external address are translated where it is.
        **{
            to_address(source, address): answered("pod1a", seeing=seen)
            for address in EVERY_EXTERNAL
            for source, seen in (
                ("pod1b", NODE1.bridge),
                ("pod1a", NODE1.bridge),
                ("node1", NODE1.bridge),
                ("pod2a", NODE2.address),
                ("node2", NODE2.address),
            )
        },
        **{
            to_address("client", address): answered(
                "pod1a", seeing=NODE1.bridge if by is NODE1 else NODE2.address
            )
            for address, by in FROM_CLIENT.items()
        },
        # The node whose port it is translates and masquerades.
        **{
            to_node_port(source, node): answered("pod1a", seeing=seen)
            for source in ("client", "node1", "node2", "pod1a", "pod1b", "pod2a")
            for node, seen in ((NODE1, NODE1.bridge), (NODE2, NODE2.address))
        },
    }
    lab.check(expected)


def test_an_endpoint_in_the_network_of_its_node_is_reached_from_everywhere(
    lab: Laboratory, request: pytest.FixtureRequest
) -> None:
    start(lab, request, exposed(NODE1), **CLUSTER_CIDR)

    lab.check(
        {
            # What the node delivers to itself passes no POSTROUTING: the source stays.
            to_cluster_ip("pod1b"): answered("node1", seeing=POD1B.address),
            to_cluster_ip("client"): answered("node1", seeing=CLIENT.address),
            to_node_port("client", NODE1): answered("node1", seeing=CLIENT.address),
            to_node_port("pod1b", NODE1): answered("node1", seeing=POD1B.address),
            to_node_port("pod2a", NODE1): answered("node1", seeing=POD2A.address),
            to_node_port("node2", NODE1): answered("node1", seeing=NODE2.address),
            to_address("client", EXTERNAL1): answered("node1", seeing=CLIENT.address),
            to_address("client", BALANCER1): answered("node1", seeing=CLIENT.address),
            to_address("pod1b", BALANCER2): answered("node1", seeing=POD1B.address),
            # From the node to itself the packet leaves, by lo, and is masqueraded with what is
            # the node's address there too.
            to_cluster_ip("node1"): answered("node1", seeing=NODE1.address),
            to_node_port("node1", NODE1): answered("node1", seeing=NODE1.address),
            to_address("node1", EXTERNAL1): answered("node1", seeing=NODE1.address),
            # node2 forwards, so it masquerades where kube-proxy wants it.
            to_cluster_ip("pod2a"): answered("node1", seeing=POD2A.address),
            to_cluster_ip("node2"): answered("node1", seeing=NODE2.address),
            to_node_port("client", NODE2): answered("node1", seeing=NODE2.address),
            to_node_port("pod1b", NODE2): answered("node1", seeing=NODE2.address),
            to_node_port("pod2a", NODE2): answered("node1", seeing=NODE2.address),
            to_node_port("node2", NODE2): answered("node1", seeing=NODE2.address),
            to_address("client", EXTERNAL2): answered("node1", seeing=NODE2.address),
        }
    )


def test_a_local_external_policy_keeps_the_client_address_and_is_silent_elsewhere(
    lab: Laboratory, request: pytest.FixtureRequest
) -> None:
    start(lab, request, exposed(POD1A, externalTrafficPolicy="Local"), **CLUSTER_CIDR)

    lab.check(
        {
            to_node_port("client", NODE1): answered("pod1a", seeing=CLIENT.address),
            to_address("client", EXTERNAL1): answered("pod1a", seeing=CLIENT.address),
            to_address("client", BALANCER1): answered("pod1a", seeing=CLIENT.address),
            to_node_port("node2", NODE1): answered("pod1a", seeing=NODE2.address),
            to_node_port("client", NODE2): SILENCE,
            to_node_port("node1", NODE2): SILENCE,
            to_address("client", EXTERNAL2): SILENCE,
            to_address("client", BALANCER2): SILENCE,
            # A node's own pods may use every endpoint, and so may the node, masqueraded.
            to_node_port("pod1b", NODE1): answered("pod1a", seeing=POD1B.address),
            to_node_port("pod2a", NODE2): answered("pod1a", seeing=POD2A.address),
            to_address("pod2a", BALANCER1): answered("pod1a", seeing=POD2A.address),
            to_node_port("node1", NODE1): answered("pod1a", seeing=NODE1.bridge),
            to_node_port("node2", NODE2): answered("pod1a", seeing=NODE2.address),
            to_address("node2", EXTERNAL2): answered("pod1a", seeing=NODE2.address),
            # The policy is about external traffic only.
            to_cluster_ip("pod2a"): answered("pod1a", seeing=POD2A.address),
            to_cluster_ip("node2"): answered("pod1a", seeing=NODE2.address),
        }
    )


def test_a_local_internal_policy_is_silent_where_the_node_has_no_endpoint(
    lab: Laboratory, request: pytest.FixtureRequest
) -> None:
    start(lab, request, exposed(POD1A, internalTrafficPolicy="Local"), **CLUSTER_CIDR)

    lab.check(
        {
            to_cluster_ip("pod1b"): answered("pod1a", seeing=POD1B.address),
            to_cluster_ip("node1"): answered("pod1a", seeing=NODE1.bridge),
            to_cluster_ip("pod2a"): SILENCE,
            to_cluster_ip("node2"): SILENCE,
            to_node_port("client", NODE2): answered("pod1a", seeing=NODE2.address),
        }
    )


def test_a_service_without_endpoints_refuses_at_once(
    lab: Laboratory, request: pytest.FixtureRequest
) -> None:
    start(lab, request, exposed(), **CLUSTER_CIDR)

    sources = ("client", "node1", "node2", "pod1a", "pod2a")
    lab.check(
        {
            **{to_cluster_ip(source): REFUSED for source in sources},
            **{to_node_port(s, node): REFUSED for s in sources for node in (NODE1, NODE2)},
            **{
                to_address(source, address): REFUSED
                for source in sources
                for address, node in FROM_CLIENT.items()
                if source != node.name
            },
        }
    )
    # A node does not look for endpoints of external addresses where its own packets leave. They
    # come back by the router, with the node's own address as their source, which IPv4 forbids.
    own = {to_address(node.name, address) for address, node in FROM_CLIENT.items()}
    lab.check(dict.fromkeys(own, SILENCE), families=IPV4_ONLY)
    lab.check(dict.fromkeys(own, REFUSED), families=IPV6_ONLY)
    lab.check(
        {to_node_port("node1", LOCALHOST): REFUSED, to_node_port("node2", LOCALHOST): REFUSED}
    )


def test_a_node_reaches_node_ports_by_localhost_and_counts_it(
    lab: Laboratory, request: pytest.FixtureRequest
) -> None:
    requires("nfacct objects")
    start(lab, request, exposed(POD1A), **CLUSTER_CIDR)
    before = accepted_on_localhost(lab)

    lab.check(
        {
            to_node_port("node1", LOCALHOST): answered("pod1a", seeing=NODE1.bridge),
            to_node_port("node2", LOCALHOST): answered("pod1a", seeing=NODE2.address),
        },
        families=IPV4_ONLY,
    )
    # The first packet of each of three protocols.
    assert accepted_on_localhost(lab) == before + 3
    # The kernel cannot do it with ::1, so nobody translates and nobody listens.
    lab.check({to_node_port("node1", LOCALHOST): REFUSED}, families=IPV6_ONLY)
    assert accepted_on_localhost(lab) == before + 3


def accepted_on_localhost(lab: Laboratory) -> int:
    listed = lab.namespaces["node1"].run(["nfacct", "list"]).stdout
    counters = [line for line in listed.splitlines() if "localhost_nps_accepted_pkts" in line]
    assert len(counters) == 1, listed
    return int(counters[0].split("pkts =")[1].split(",")[0])


def test_localhost_refuses_where_node_ports_on_it_are_off(
    lab: Laboratory, request: pytest.FixtureRequest
) -> None:
    start(lab, request, exposed(POD1A), iptables={"localhostNodePorts": False}, **CLUSTER_CIDR)

    lab.check(
        {to_node_port("node1", LOCALHOST): REFUSED, to_node_port("node2", LOCALHOST): REFUSED}
    )
    lab.check({to_node_port("node1", NODE1): answered("pod1a", seeing=NODE1.bridge)})


def test_node_ports_answer_on_the_chosen_addresses_only(
    lab: Laboratory, request: pytest.FixtureRequest
) -> None:
    start(lab, request, exposed(POD1A), nodePortAddresses=["primary"], **CLUSTER_CIDR)

    lab.check(
        {
            to_node_port("client", NODE1): answered("pod1a", seeing=NODE1.bridge),
            # This too is an address of node1, but not the chosen one.
            to_node_port("pod1b", NODE1.bridge): REFUSED,
        }
    )


def test_source_ranges_protect_the_load_balancer_address_and_nothing_else(
    lab: Laboratory, request: pytest.FixtureRequest
) -> None:
    ranges = [f"{CLIENT.address.ipv4}/32", f"{CLIENT.address.ipv6}/128"]
    start(lab, request, exposed(POD1A, loadBalancerSourceRanges=ranges), **CLUSTER_CIDR)
    other = OTHER_CLIENTS[0]

    lab.check(
        {
            to_address("client", BALANCER1): answered("pod1a", seeing=NODE1.bridge),
            to_address("client", BALANCER2): answered("pod1a", seeing=NODE2.address),
            to_address("client", BALANCER1, source_address=other): SILENCE,
            to_address("client", BALANCER2, source_address=other): SILENCE,
            to_address("pod1b", BALANCER1): SILENCE,
            to_address("node1", BALANCER1): SILENCE,
            to_address("client", EXTERNAL1, source_address=other): answered(
                "pod1a", seeing=NODE1.bridge
            ),
            Question("client", NODE1.address, NODE_PORT, other): answered(
                "pod1a", seeing=NODE1.bridge
            ),
        }
    )


def test_source_ranges_with_the_node_in_them_let_the_node_through(
    lab: Laboratory, request: pytest.FixtureRequest
) -> None:
    ranges = [f"{NODE1.address.ipv4}/32", f"{NODE1.address.ipv6}/128"]
    start(lab, request, exposed(POD1A, loadBalancerSourceRanges=ranges), **CLUSTER_CIDR)

    lab.check(
        {
            to_address("node1", BALANCER1): answered("pod1a", seeing=NODE1.bridge),
            to_address("node2", BALANCER2): SILENCE,
            to_address("client", BALANCER1): SILENCE,
        }
    )


def test_with_masquerade_all_pods_are_masqueraded_too(
    lab: Laboratory, request: pytest.FixtureRequest
) -> None:
    start(lab, request, exposed(POD1A), iptables={"masqueradeAll": True}, **CLUSTER_CIDR)

    lab.check(
        {
            to_cluster_ip("pod1b"): answered("pod1a", seeing=NODE1.bridge),
            to_cluster_ip("pod2a"): answered("pod1a", seeing=NODE2.address),
            to_cluster_ip("node2"): answered("pod1a", seeing=NODE2.address),
        }
    )


DETECTORS = {
    "ClusterCIDR": {"detectLocalMode": "ClusterCIDR", **CLUSTER_CIDR},
    "NodeCIDR": {"detectLocalMode": "NodeCIDR"},
    "BridgeInterface": {
        "detectLocalMode": "BridgeInterface",
        "detectLocal": {"bridgeInterface": "cni0"},
    },
    "InterfaceNamePrefix": {
        "detectLocalMode": "InterfaceNamePrefix",
        "detectLocal": {"interfaceNamePrefix": "cni"},
    },
}


@pytest.mark.parametrize("detector", DETECTORS)
def test_each_local_detector_tells_pods_from_others(
    lab: Laboratory, request: pytest.FixtureRequest, detector: str
) -> None:
    objects = exposed(POD1A, externalTrafficPolicy="Local")
    start(lab, request, objects, **DETECTORS[detector])

    lab.check(
        {
            to_cluster_ip("pod1b"): answered("pod1a", seeing=POD1B.address),
            to_cluster_ip("pod2a"): answered("pod1a", seeing=POD2A.address),
            to_cluster_ip("node1"): answered("pod1a", seeing=NODE1.bridge),
            to_cluster_ip("node2"): answered("pod1a", seeing=NODE2.address),
            to_cluster_ip("client"): answered("pod1a", seeing=NODE1.bridge),
            to_node_port("pod2a", NODE2): answered("pod1a", seeing=POD2A.address),
            to_node_port("client", NODE2): SILENCE,
        }
    )


def test_without_a_detector_nobody_is_masqueraded_and_pods_are_like_everybody(
    lab: Laboratory, request: pytest.FixtureRequest
) -> None:
    start(lab, request, exposed(POD1A, externalTrafficPolicy="Local"))

    lab.check(
        {
            to_cluster_ip("pod1b"): answered("pod1a", seeing=POD1B.address),
            to_cluster_ip("client"): answered("pod1a", seeing=CLIENT.address),
            to_node_port("pod2a", NODE2): SILENCE,
        }
    )
