"""Why a packet fares as it does, in the words of the cluster; and the ends people name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest

from nptables import Cluster, Family, InvalidInput, ProxyConfig, Ruleset, Trace, trace, translate
from nptables.tracing import Origin, Verdict, packet_between
from nptables.tracing.explanation.words import answer_line

if TYPE_CHECKING:
    from collections.abc import Sequence

Object = dict[str, Any]
HTTP = {"name": "http", "protocol": "TCP", "port": 8080}


def nodes(*names: str, zone: str = "") -> list[Object]:
    labels = {"topology.kubernetes.io/zone": zone} if zone else {}
    return [
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "labels": labels},
            "spec": {"podCIDRs": [f"10.244.{number}.0/24"]},
            "status": {
                "addresses": [{"type": "InternalIP", "address": f"192.168.0.1{number}"}],
            },
        }
        for number, name in enumerate(names, 1)
    ]


def service(**spec: Any) -> Object:
    status = spec.pop("status", {})
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "default", "labels": spec.pop("labels", {})},
        "spec": {
            "type": "NodePort",
            "clusterIP": "10.96.0.10",
            "clusterIPs": ["10.96.0.10"],
            "ports": [{"name": "http", "port": 80, "targetPort": 8080, "nodePort": 30080}],
            **spec,
        },
        "status": status,
    }


def endpoint(address: str, node: str, **more: Any) -> Object:
    number = address.rpartition(".")[2]
    return {
        "addresses": [address],
        "nodeName": node,
        "conditions": {"ready": True},
        "targetRef": {"kind": "Pod", "name": f"web-{number}", "namespace": "default"},
        **more,
    }


def endpoint_slice(*endpoints: Object, ports: Sequence[Object] = (HTTP,)) -> Object:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "web-1",
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": "web"},
        },
        "addressType": "IPv4",
        "ports": list(ports),
        "endpoints": list(endpoints),
    }


ON_BOTH = (endpoint("10.244.1.5", "node1"), endpoint("10.244.3.5", "node3"))
NODES = nodes("node1", "node2", "node3")


def ask(
    objects: Sequence[Object],
    source: str = "outside",
    destination: str = "nodeport:30080",
    *,
    node: str = "node2",
    config: ProxyConfig | None = None,
) -> Trace:
    cluster = Cluster.from_objects(objects)
    place = cluster.node(node)
    settings = config or ProxyConfig(cluster_cidrs=("10.244.0.0/16",))
    rules = translate(cluster, place, settings, Family.IPV4)
    packet = packet_between(source, destination, node=place, cluster=cluster)
    return trace(rules, packet, place, cluster, config=settings)


def first_reason(*args: Any, **options: Any) -> str:
    return ask(*args, **options).reasons[0].text


def test_a_local_policy_without_an_endpoint_here_names_the_nodes_that_have_one() -> None:
    objects = [*NODES, service(externalTrafficPolicy="Local"), endpoint_slice(*ON_BOTH)]

    assert first_reason(objects) == (
        "DROP: default/web has externalTrafficPolicy Local and none of its 2 ready endpoints is on "
        "node2 (they are on node1, node3)"
    )


def test_a_drop_on_another_node_is_explained_by_what_counts_there() -> None:
    """node1, which sends the packet, has an endpoint itself."""
    objects = [*NODES, service(externalTrafficPolicy="Local"), endpoint_slice(*ON_BOTH)]

    assert first_reason(objects, "node", "192.168.0.12:30080", node="node1") == (
        "DROP: default/web has externalTrafficPolicy Local and none of its 2 ready endpoints is on "
        "node2 (they are on node1, node3)"
    )


def test_an_internal_local_policy_is_named_for_the_cluster_ip() -> None:
    objects = [*NODES, service(internalTrafficPolicy="Local"), endpoint_slice(*ON_BOTH)]

    assert first_reason(objects, "node", "svc:web") == (
        "DROP: default/web has internalTrafficPolicy Local and none of its 2 ready endpoints is on "
        "node2 (they are on node1, node3)"
    )


@pytest.mark.parametrize(
    ("slices", "why"),
    [
        ([], "no EndpointSlice belongs to it"),
        (
            [endpoint_slice(endpoint("10.244.1.5", "node1", conditions={"ready": False}))],
            "not ready: 10.244.1.5:8080",
        ),
        (
            [endpoint_slice(*ON_BOTH, ports=[{**HTTP, "name": "web"}])],
            'no EndpointSlice has a port "http"/TCP; they have "web"/TCP',
        ),
        (
            [endpoint_slice(*ON_BOTH, ports=[{**HTTP, "protocol": "UDP"}])],
            'no EndpointSlice has a port "http"/TCP; they have "http"/UDP',
        ),
    ],
)
def test_a_refusal_says_why_no_endpoint_can_take_traffic(slices: list[Object], why: str) -> None:
    answer = ask([*NODES, service(), *slices])

    assert answer.outcomes[0].verdict is Verdict.REFUSED
    assert answer.reasons[0].text == (
        f"REJECT: default/web has no endpoint that can take traffic: {why}"
    )


def test_a_source_outside_the_ranges_is_told_which_they_are() -> None:
    balanced = {"loadBalancer": {"ingress": [{"ip": "198.51.100.9"}]}}
    objects = [
        *NODES,
        service(type="LoadBalancer", loadBalancerSourceRanges=["192.0.2.0/24"], status=balanced),
        endpoint_slice(*ON_BOTH),
    ]

    assert first_reason(objects, "203.0.113.9", "198.51.100.9:80") == (
        "DROP: default/web has loadBalancerSourceRanges 192.0.2.0/24, and 203.0.113.9 is in none "
        "of them"
    )
    assert ask(objects, "192.0.2.7", "198.51.100.9:80").arrives


def test_an_unnamed_client_is_asked_whether_the_ranges_hold_it() -> None:
    balanced = {"loadBalancer": {"ingress": [{"ip": "198.51.100.9"}]}}
    objects = [
        *NODES,
        service(type="LoadBalancer", loadBalancerSourceRanges=["192.0.2.0/24"], status=balanced),
        endpoint_slice(*ON_BOTH),
    ]

    answer = ask(objects, "outside", "198.51.100.9:80")

    found = {d.hypothesis: d.arrives for d in answer.distributions}
    assert found == {
        "a client outside the cluster outside 192.0.2.0/24": False,
        "a client outside the cluster in 192.0.2.0/24": True,
    }


def test_a_node_port_on_an_address_left_out_says_so() -> None:
    config = ProxyConfig(node_port_addresses=("10.0.0.0/8",))

    reason = first_reason([*NODES, service(), endpoint_slice(*ON_BOTH)], config=config)

    assert reason == (
        "192.168.0.12:30080 on node2 is not a node port of default/web:http here: "
        "nodePortAddresses has only 10.0.0.0/8"
    )


def test_a_service_of_another_proxy_is_skipped_and_says_whose_it_is() -> None:
    labels = {"service.kubernetes.io/service-proxy-name": "cilium"}

    reason = first_reason([*NODES, service(labels=labels), endpoint_slice(*ON_BOTH)])

    assert "gives it to the proxy" in reason
    assert "cilium" in reason


def test_external_ips_that_are_switched_off_are_named() -> None:
    config = ProxyConfig(allow_service_external_ips=False)
    objects = [*NODES, service(externalIPs=["198.51.100.7"]), endpoint_slice(*ON_BOTH)]

    assert "AllowServiceExternalIPs" in first_reason(
        objects, "outside", "198.51.100.7:80", config=config
    )


def test_hints_that_are_used_or_ignored_are_told() -> None:
    hinted = endpoint("10.244.1.5", "node1", hints={"forZones": [{"name": "a"}]})
    in_zone = nodes("node1", "node2", zone="a")
    used = ask(
        [
            *in_zone,
            service(),
            endpoint_slice(
                hinted, endpoint("10.244.1.6", "node1", hints={"forZones": [{"name": "b"}]})
            ),
        ]
    )
    ignored = ask([*in_zone, service(), endpoint_slice(hinted, ON_BOTH[1])])

    assert "hints-zone" in {reason.code for reason in used.reasons}
    assert "hints-zone-ignored" in {reason.code for reason in ignored.reasons}


def test_node_names_that_no_node_has_are_told() -> None:
    objects = [*NODES, service(), endpoint_slice(endpoint("10.9.9.9", "worker-1.example"))]

    assert "node-name-unknown" in {reason.code for reason in ask(objects).reasons}


def test_a_packet_is_followed_to_the_node_of_the_endpoint() -> None:
    answer = ask([*NODES, service(), endpoint_slice(*ON_BOTH)])

    assert {(o.where, o.node) for o in answer.outcomes} == {
        ("10.244.1.5:8080", "node1"),
        ("10.244.3.5:8080", "node3"),
    }
    visited = {tuple(dict.fromkeys(s.node for s in o.path)) for o in answer.outcomes}
    assert visited == {("node2", "node1"), ("node2", "node3")}


def test_a_pod_of_another_node_begins_on_its_own_node() -> None:
    objects = [*NODES, service(), endpoint_slice(*ON_BOTH)]

    answer = ask(objects, "pod:default/web-5", "svc:default/web:http", node="node2")

    assert answer.outcomes[0].path[0].node == "node1"


def test_an_affinity_is_told_for_the_client_that_is_not_remembered_and_for_each_that_is() -> None:
    objects = [*NODES, service(sessionAffinity="ClientIP"), endpoint_slice(*ON_BOTH)]

    answer = ask(objects)

    found = {d.hypothesis: [o.where for o in d.outcomes] for d in answer.distributions}
    client = "a client outside the cluster"
    assert {text: sorted(where) for text, where in found.items()} == {
        f"{client} not seen in the last 10,800 s": ["10.244.1.5:8080", "10.244.3.5:8080"],
        f"{client} seen at 10.244.1.5:8080 in the last 10,800 s": ["10.244.1.5:8080"],
        f"{client} seen at 10.244.3.5:8080 in the last 10,800 s": ["10.244.3.5:8080"],
    }
    assert answer_line(answer).startswith("arrives: default/web:http, one of 2 endpoints")


@pytest.mark.parametrize(
    ("source", "destination", "address", "port", "protocol"),
    [
        ("outside", "192.168.0.11:30080", "192.168.0.11", 30080, "tcp"),
        ("outside", "10.96.0.10:53/UDP", "10.96.0.10", 53, "udp"),
        ("node", "svc:default/web", "10.96.0.10", 80, "tcp"),
        ("node", "svc:web:http", "10.96.0.10", 80, "tcp"),
        ("10.1.2.3", "nodeport:30080", "192.168.0.12", 30080, "tcp"),
        ("10.1.2.3", "node:22", "192.168.0.12", 22, "tcp"),
        ("10.1.2.3", "node3:22", "192.168.0.13", 22, "tcp"),
        ("10.1.2.3", "pod:web-5:8080/sctp", "10.244.1.5", 8080, "sctp"),
        ("2001:db8::1", "[2001:db8::2]:80", "2001:db8::2", 80, "tcp"),
    ],
)
def test_ends_are_understood(
    source: str, destination: str, address: str, port: int, protocol: str
) -> None:
    cluster = Cluster.from_objects([*NODES, service(), endpoint_slice(ON_BOTH[0])])

    packet = packet_between(source, destination, node=cluster.node("node2"), cluster=cluster)

    assert (packet.destination, packet.port, packet.protocol) == (address, port, protocol)


def test_the_node_itself_and_other_nodes_can_be_the_sender() -> None:
    cluster = Cluster.from_objects(NODES)

    packet = packet_between("node3", "192.168.0.11:1", node=cluster.node("node2"), cluster=cluster)

    assert (packet.origin, packet.source_node) == (Origin.NODE, "node3")


@pytest.mark.parametrize(
    ("source", "destination", "says"),
    [
        ("nobody", "10.0.0.1:80", "is not a source"),
        ("outside", "nowhere", "is not a destination"),
        ("outside", "10.0.0.1", "is not a destination"),
        ("outside", "10.0.0.1:99999", "is not a port"),
        ("outside", "svc:default/other", "there are: default/web"),
        ("outside", "svc:web:https", "it has http:80/TCP"),
        ("pod:default/nobody", "10.0.0.1:80", "default/web-5"),
        ("outside", "fe80::1", "which port"),
        ("outside\x1b[2J", "10.0.0.1:80", "\\x1b[2J"),
    ],
)
def test_an_end_that_does_not_exist_says_what_would_be_right(
    source: str, destination: str, says: str
) -> None:
    cluster = Cluster.from_objects([*NODES, service(), endpoint_slice(*ON_BOTH)])

    with pytest.raises(InvalidInput) as refused:
        packet_between(source, destination, node=cluster.node("node2"), cluster=cluster)

    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("spec", "allowed", "code"),
    [
        ({"externalIPs": ["192.168.0.12"]}, False, "external-ips-off"),
        ({"externalIPs": ["192.168.0.12"]}, True, "rules-missing"),
        ({"clusterIP": "192.168.0.12", "clusterIPs": ["192.168.0.12"]}, False, "rules-missing"),
    ],
)
def test_what_the_node_itself_gets_is_explained_by_the_service_that_has_the_address(
    spec: Object, *, allowed: bool, code: str
) -> None:
    """The address is the node's own, and no rule translates packets to it."""
    cluster = Cluster.from_objects([*NODES, service(**spec), endpoint_slice(*ON_BOTH)])
    place = cluster.node("node2")
    config = ProxyConfig(allow_service_external_ips=allowed)
    packet = packet_between("outside", "192.168.0.12:80", node=place, cluster=cluster)

    answer = trace(Ruleset(Family.IPV4, {}), packet, place, cluster, config=config)

    assert [reason.code for reason in answer.reasons][:1] == [code]


@pytest.mark.parametrize(
    ("to", "networks", "verdict", "code"),
    [
        # `newServiceHealthServer` listens at the port with TCP, on the addresses of node ports.
        ("node:31999", (), Verdict.HOST_ENDPOINT, "health-check-port"),
        ("node/node1:31999", (), Verdict.HOST_ENDPOINT, "health-check-port"),
        ("node:31999", ("192.168.0.0/24",), Verdict.HOST_ENDPOINT, "health-check-port"),
        ("node:31999", ("10.0.0.0/8",), Verdict.NODE, "node-port-address"),
        ("node:31999/UDP", (), Verdict.NODE, "no-such-node-port"),
        ("10.96.0.10:31999", (), Verdict.LEAVES, "untranslated"),
    ],
)
def test_kube_proxy_itself_answers_health_checks(
    to: str, networks: tuple[str, ...], verdict: Verdict, code: str
) -> None:
    web = service(type="LoadBalancer", externalTrafficPolicy="Local", healthCheckNodePort=31999)
    config = ProxyConfig(node_port_addresses=networks)

    answer = ask([*NODES, web, endpoint_slice(*ON_BOTH)], destination=to, config=config)

    assert [verdict] == [outcome.verdict for outcome in answer.outcomes]
    assert answer.arrives is (verdict is Verdict.HOST_ENDPOINT)
    assert code == answer.reasons[-1].code


@pytest.mark.parametrize(("address", "known"), [("10.244.1.5", True), ("10.244.1.99", False)])
@pytest.mark.parametrize("node", ["node1", "node2"])
def test_that_nobody_is_known_at_an_address_of_the_pods_is_said(
    address: str, node: str, *, known: bool
) -> None:
    """Of the network of node1's Pods the input has 10.244.1.5 alone."""
    answer = ask(
        [*NODES, service(), endpoint_slice(*ON_BOTH)], "outside", f"{address}:80", node=node
    )

    assert [outcome.verdict for outcome in answer.outcomes] == [Verdict.POD]
    told = [note for note in answer.notes if note.startswith("no Pod and no endpoint in the input")]
    assert told == [] if known else len(told) == 1


@pytest.mark.parametrize(
    ("address", "protocol"),
    [
        ("192.168.0.12", "UDP"), ("192.168.0.11", "UDP"), ("127.0.0.1", "UDP"),
        # An address that an interface has, one that somebody named, and one that no node has.
        ("172.16.0.1", "UDP"), ("198.51.100.3", "UDP"), ("192.0.2.77", "TCP"),
    ],
)  # fmt: skip
def test_without_a_protocol_that_of_the_only_service_there_is_meant(
    address: str, protocol: str
) -> None:
    ports = [{"port": 53, "nodePort": 30053, "protocol": "UDP"}]
    cluster = Cluster.from_objects([*NODES, service(ports=ports)])
    place = cluster.node("node2", facts={"interfaces": {"docker0": ["172.16.0.1/24"]}})
    place = attrs.evolve(place, facts=attrs.evolve(place.facts, addresses=("198.51.100.3",)))

    packet = packet_between("outside", f"{address}:30053", node=place, cluster=cluster)

    assert packet.protocol.upper() == protocol


def test_the_answer_names_the_service_and_where_its_only_endpoint_is() -> None:
    one = ask([*NODES, service(), endpoint_slice(ON_BOTH[0])])
    both = ask([*NODES, service(), endpoint_slice(*ON_BOTH)])
    sees = "which sees the source an address of node2 instead of the sender's"

    assert answer_line(one) == f"arrives: default/web:http at 10.244.1.5:8080 on node1, {sees}"
    assert answer_line(both) == f"arrives: default/web:http, one of 2 endpoints, {sees}"


def test_an_echo_has_no_port_to_name() -> None:
    answer = ask([*NODES], destination="10.244.1.5/icmp")

    assert answer_line(answer) == (
        "arrives: 10.244.1.5 on node1, which sees the sender's own address "
        "(a client outside the cluster)"
    )


def test_an_interface_that_the_node_surely_lacks_decides() -> None:
    """Nothing leaves by wg9, so that nobody need ask which way the packet goes."""
    cluster = Cluster.from_objects([*NODES])
    lacking, unknown = (
        cluster.node("node2", facts=facts)
        for facts in ({"interfaces": {"lo": ["127.0.0.1/8"], "eth0": ["192.168.0.12/24"]}}, {})
    )
    rules = Ruleset.from_save(
        "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
        "-A FORWARD -o wg9 -j DROP\nCOMMIT\n"
    )
    packet = packet_between("outside", "10.244.1.5:80", node=lacking, cluster=cluster)

    assert len(trace(rules, packet, lacking, cluster).distributions) == 1
    assert len(trace(rules, packet, unknown, cluster).distributions) == 2
