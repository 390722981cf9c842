"""The two ends of a packet, in kubectl's words and in ours."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nptables import Cluster, Family, ProxyConfig, trace, translate
from nptables.errors import InvalidInput
from nptables.tracing import Packet, Verdict, packet_between
from nptables.tracing.ends import KINDS, named_destination, named_source, pods_named
from tests.support.objects import endpoint_slice, node, service

CLIENT = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "client", "namespace": "shop"},
    "spec": {"nodeName": "node2"},
    "status": {"phase": "Running", "podIP": "10.244.2.9", "podIPs": [{"ip": "10.244.2.9"}]},
}
CLUSTER = Cluster.from_objects(
    [
        node("node1"),
        node("node2", "192.168.0.3"),
        service("web", namespace="shop", node_port=30080),
        endpoint_slice("web", "10.244.1.5", namespace="shop"),
        CLIENT,
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "new", "namespace": "shop"},
         "status": {"phase": "Pending"}},
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "done", "namespace": "shop"},
         "status": {"phase": "Succeeded", "podIP": "10.244.2.8"}},
    ],
    lenient=True,
)  # fmt: skip
HOME = CLUSTER.node("node1")
NAMES = st.from_regex(r"[a-z]([a-z0-9-]{0,6}[a-z0-9])?", fullmatch=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pod/client", "pod:shop/client"),
        ("po/client", "pod:shop/client"),
        ("pods/other/client", "pod:other/client"),
        ("pod:client", "pod:shop/client"),
        ("pod:other/client", "pod:other/client"),
        ("pod/udp", "pod:shop/udp"),
        ("no/worker-1", "node/worker-1"),
        ("node", "node"),
        ("outside", "outside"),
        ("10.0.0.1", "10.0.0.1"),
        ("pod/", "pod/"),
    ],
)
def test_a_source_gets_the_namespace_that_is_meant(text: str, expected: str) -> None:
    assert expected == named_source(text, "shop")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("svc/web", "svc:shop/web"),
        ("service/web:80", "svc:shop/web:80"),
        ("services/web:http/UDP", "svc:shop/web:http/udp"),
        ("svc/other/web", "svc:other/web"),
        ("svc/web/UDP", "svc:shop/web/udp"),
        ("svc/udp", "svc:shop/udp"),
        ("svc:web:80", "svc:shop/web:80"),
        ("svc:default/web", "svc:default/web"),
        ("pod/web-1:8080", "pod:shop/web-1:8080"),
        ("nodes/worker-1:30080/SCTP", "node/worker-1:30080/SCTP"),
        ("node:30080", "node:30080"),
        ("nodeport:30080", "nodeport:30080"),
        ("[fd00::1]:80/UDP", "[fd00::1]:80/UDP"),
    ],
)
def test_a_destination_gets_the_namespace_that_is_meant(text: str, expected: str) -> None:
    assert expected == named_destination(text, "shop")


@given(st.sampled_from(sorted(KINDS)), NAMES, NAMES, NAMES)
def test_a_name_with_a_namespace_stays_there(kind: str, name: str, own: str, other: str) -> None:
    first = named_destination(f"{kind}/{own}/{name}:80", other)

    assert first == named_destination(first, other)
    assert KINDS[kind] == "node" or first == f"{KINDS[kind]}:{own}/{name}:80"


def test_a_pod_without_a_service_sends_from_its_own_address_and_node() -> None:
    packet = packet_between("pod/shop/client", "svc/shop/web", node=HOME, cluster=CLUSTER)

    assert (packet.source, packet.source_node) == ("10.244.2.9", "node2")
    assert (packet.destination, packet.port) == ("10.96.0.10", 80)


def test_a_pod_without_a_service_can_be_asked_itself() -> None:
    packet = packet_between("outside", "pod/shop/client:9000/UDP", node=HOME, cluster=CLUSTER)

    assert (packet.destination, packet.port, packet.protocol) == ("10.244.2.9", 9000, "udp")


def test_a_node_can_be_named_as_kubectl_prints_it() -> None:
    packet = packet_between("node/node2", "node/node1:30080", node=HOME, cluster=CLUSTER)

    assert (packet.source_node, packet.destination) == ("node2", "192.168.0.2")


@pytest.mark.parametrize(
    ("source", "destination", "words"),
    [
        ("pod/shop/new", "svc/shop/web", "Pod shop/new has no IPv4 address: it is Pending"),
        ("pod/shop/done", "svc/shop/web", "Pod shop/done has no IPv4 address: it is Succeeded"),
        (
            "pod/shop/gone",
            "svc/shop/web",
            (
                "there is no Pod shop/gone with an IPv4 address (give its address, or name one "
                "that is known: shop/client)"
            ),
        ),
        ("node/node3", "svc/shop/web", "there is no Node node3 (there are: node1, node2)"),
        ("outside", "node/node3:80", "there is no Node node3 (there are: node1, node2)"),
        ("outside", "node/node2", "which port of node node2? (node/node2:PORT)"),
        ("outside", "pod/shop/client", "which port of pod shop/client? (pod/shop/client:PORT)"),
        ("outside", "svc/web", "there is no Service default/web (there are: shop/web)"),
        ("outside", "svc/shop/web:80/UDP", "Service shop/web has no port 80/UDP (it has p:80/TCP)"),
        ("outside", "svc/shop/web/UDP", "Service shop/web has no port of UDP (it has p:80/TCP)"),
        # `ip_route_input_slow` and `ip6_rcv_core` drop these, whatever the rules say.
        (
            "224.0.0.1",
            "nodeport:30080",
            "224.0.0.1 cannot be a source: the kernel drops packets from it",
        ),
        (
            "255.255.255.255",
            "nodeport:30080",
            "255.255.255.255 cannot be a source: the kernel drops packets from it",
        ),
        (
            "0.0.0.0",
            "nodeport:30080",
            "0.0.0.0 cannot be a source: the kernel drops packets from it",
        ),
        ("ff02::1", "[fd00::1]:80", "ff02::1 cannot be a source: the kernel drops packets from it"),
        ("outside", "node/node2:80/ICMP", "ICMP has no ports (192.168.0.3/ICMP)"),
        ("outside", "svc/shop/web/ICMP", "Service shop/web has no port of ICMP (it has p:80/TCP)"),
    ],
)
def test_an_end_that_is_not_there_is_named(source: str, destination: str, words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        packet_between(source, destination, node=HOME, cluster=CLUSTER)

    assert words == str(caught.value)


@pytest.mark.parametrize("word", ["ICMP", "icmp", "ipv6-icmp", "ICMPv6"])
def test_icmp_is_the_one_of_the_address(word: str) -> None:
    """Protocol 1 in IPv4 (RFC 792), next header 58 in IPv6 (RFC 4443): rules know no other."""
    four, six = (
        packet_between("outside", f"{address}/{word}", node=HOME, cluster=CLUSTER)
        for address in ("192.168.0.2", "[2001:db8::1]")
    )
    assert (four.protocol, four.port, four.icmp) == ("icmp", None, (8, 0))
    assert (six.protocol, six.port, six.icmp) == ("ipv6-icmp", None, (128, 0))


def test_the_pods_of_both_ends_are_listed() -> None:
    ends = named_source("po/a", "shop"), named_destination("pod/b:80/UDP", "shop")

    found = list(pods_named(*ends))
    assert found == [("shop", "a"), ("shop", "b")]
    assert not list(pods_named("outside", "svc:shop/web/udp"))


@pytest.mark.parametrize("port", ["80", 80.0, 0, 65536])
def test_a_port_that_is_no_number_of_one_is_named(port: object) -> None:
    with pytest.raises(InvalidInput, match="is not a port number"):
        Packet("10.0.0.1", port)  # type: ignore[arg-type]


def test_a_protocol_may_be_a_number() -> None:
    """17 is UDP in the registry of protocol numbers."""
    assert [Packet("10.0.0.1", 53, each).protocol for each in (17, "17", "UDP")] == ["udp"] * 3


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (
            {"clusterIP": "None"},
            "(it is headless (clusterIP is None): name the address of a Pod)",
        ),
        (
            {"type": "ExternalName", "externalName": "example.com"},
            "(it is of type ExternalName, which DNS alone serves)",
        ),
    ],
)
def test_a_service_that_never_has_a_cluster_ip_is_not_sent_to_the_other_family(
    spec: dict[str, object], words: str
) -> None:
    without = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"ports": [{"port": 80}], **spec},
    }
    cluster = Cluster.from_objects([node("node1"), without], lenient=True)

    with pytest.raises(InvalidInput) as caught:
        packet_between("outside", "svc/shop/web", node=cluster.node("node1"), cluster=cluster)

    assert f"Service shop/web has no IPv4 cluster IP {words}" == str(caught.value)


def test_an_address_of_the_node_object_that_no_interface_has_is_no_pod() -> None:
    """The node does not accept packets for it: nobody is known to have it."""
    facts = {"interfaces": {"eth0": ["192.168.0.99/24"]}}
    here = CLUSTER.node("node1", facts=facts)
    rules = translate(CLUSTER, here, ProxyConfig(), Family.IPV4)
    packet = packet_between("outside", "nodeport:30080", node=here, cluster=CLUSTER)

    answer = trace(rules, packet, here, CLUSTER)

    assert [outcome.verdict for outcome in answer.outcomes] == [Verdict.LEAVES]
    assert answer.reasons[0].text == (
        "192.168.0.2 is an address of Node node1, but no interface of node1 has it, so the node "
        "does not accept packets for it"
    )
