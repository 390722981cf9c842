"""The matrix of who answers where: each cell is what a trace of that packet says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nptables import Cluster, Family, InvalidInput, ProxyConfig, reach, trace, translate
from nptables.reachability import Fares, columns, fare_of
from nptables.reachability.alike import Alike
from nptables.tracing import packet_between
from nptables.tracing.services import Services
from tests.support import clusters
from tests.support.crowd import fleet
from tests.support.scenarios import NAMED, named_scenario

if TYPE_CHECKING:
    from nptables.model import Node
    from nptables.reachability import Row
    from nptables.tracing import Trace


def traced(
    row: Row, node: Node, cluster: Cluster, config: ProxyConfig, source: str = "outside"
) -> Trace:
    """What `trace` says with all the rules of the node."""
    host = f"[{row.address}]" if ":" in row.address else row.address
    to = f"{host or 'nodeport'}:{row.number}/{row.name.protocol}"
    packet = packet_between(source, to, node=node, cluster=cluster, family=row.family)
    rules = translate(cluster, node, config, row.family)
    return trace(rules, packet, node, cluster, config=config)


def told(answer: Trace) -> dict[str, Any]:
    """An answer without the numbers of questions: texts and shares."""
    return answer.to_json()


def compare(
    cluster: Cluster, config: ProxyConfig, nodes: list[Node], source: str = "outside"
) -> int:
    """Compare every cell with the traces of all its nodes; returns how many there were."""
    found = reach(cluster, config=config, nodes=nodes, source=source)
    count = 0
    for row in found.rows:
        assert sorted(n for cell in row.cells for n in cell.nodes) == sorted(n.name for n in nodes)
        for node in nodes:
            answer = traced(row, node, cluster, config, source)
            cell = row.on(node.name)
            assert fare_of(answer) == cell.fare, (row.to, node.name)
            if cell.trace.node == node.name:
                assert told(answer) == told(cell.trace)
            count += 1
    return count


def has_frontends(name: str) -> bool:
    kinds = {
        thing["spec"].get("type")
        for thing in named_scenario(name).objects
        if thing["kind"] == "Service"
    }
    return bool(kinds & {"NodePort", "LoadBalancer"})


TEN = [name for name in NAMED if has_frontends(name)][::4][:10]


@pytest.mark.parametrize("name", TEN)
def test_every_cell_of_a_recorded_scenario_is_what_trace_says(name: str) -> None:
    """On the node that was recorded, with its facts, and on all that the scenario has."""
    scenario = named_scenario(name)
    cluster, config = scenario.cluster, scenario.proxy_config
    here = cluster.node(scenario.node, facts=scenario.facts)
    nodes = [here, *(node for node in cluster.nodes.values() if node.name != here.name)]
    assert compare(cluster, config, nodes) > 0


NODES = [clusters.node(f"node{number}") for number in range(1, 7)]


@st.composite
def cluster_of_six(draw: st.DrawFn) -> Cluster:
    """Services of all policies whose endpoints are on some of six nodes, in any state."""
    objects: list[Any] = [*NODES]
    for number in range(draw(st.integers(1, 2))):
        name = f"web{number}"
        spec: dict[str, Any] = {
            "clusterIP": f"10.96.0.{number + 10}",
            "ports": [{"port": 80, "nodePort": 30080 + number}],
            "externalTrafficPolicy": draw(st.sampled_from(["Local", "Cluster"])),
            "sessionAffinity": draw(st.sampled_from(["None", "None", "ClientIP"])),
        }
        if draw(st.booleans()):
            spec["externalIPs"] = draw(
                st.sampled_from([["203.0.113.7"], ["192.168.0.2"], ["10.244.3.9"]])
            )
        objects.append(clusters.service(name, **spec))
        places = draw(st.lists(st.integers(1, 6), max_size=4))
        on_node = draw(st.booleans()) and draw(st.booleans())
        endpoints = []
        for place, at in enumerate(places):
            address = f"192.168.0.{at}" if on_node else f"10.244.{at}.{10 * number + place + 2}"
            ready = draw(st.sampled_from([True, True, False]))
            conditions = {"ready": ready, "serving": True, "terminating": not ready}
            fields: dict[str, Any] = {"conditions": conditions}
            if draw(st.booleans()):
                fields["hints"] = {"forNodes": [{"name": f"node{draw(st.integers(1, 6))}"}]}
            endpoints.append(clusters.endpoint(address, f"node{at}", **fields))
            if draw(st.booleans()) and draw(st.booleans()):
                # It stands there twice, as while a pod moves, and on another node.
                endpoints.append(clusters.endpoint(address, f"node{draw(st.integers(1, 6))}"))
        target = draw(st.sampled_from([8080, 30080]))
        objects.append(
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "addressType": "IPv4",
                "metadata": {
                    "name": f"{name}-a",
                    "namespace": "default",
                    "labels": {"kubernetes.io/service-name": name},
                },
                "ports": [{"port": target, "protocol": "TCP"}],
                "endpoints": endpoints,
            }
        )
    return Cluster.from_objects(objects, lenient=True)


CONFIGS = [
    {},
    {"clusterCIDR": "10.244.0.0/16"},
    {"detectLocalMode": "NodeCIDR"},
    {"nodePortAddresses": ["192.168.0.2/31"]},
    {"nodePortAddresses": ["primary"]},
]


@settings(max_examples=25, deadline=None)
@given(
    cluster_of_six(),
    st.sampled_from(CONFIGS),
    st.sampled_from(["outside", "outside", "node"]),
    st.sampled_from([None, "1.31"]),
)
def test_nodes_that_share_a_trace_fare_as_their_own_would_say(
    cluster: Cluster, settings_of_kube_proxy: dict[str, Any], source: str, version: str | None
) -> None:
    """Endpoints elsewhere, on the network of nodes, hinted, draining; addresses of nodes."""
    config = ProxyConfig.from_kube_proxy(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            **settings_of_kube_proxy,
        },
        version=version,
    )
    compare(cluster, config, list(cluster.nodes.values()), source)


def test_nodes_to_which_an_endpoint_has_hints_differ_from_those_to_which_it_has_none() -> None:
    """Up to 1.31 an endpoint that stands twice is, to a node, what its own entry says."""
    hints = {"forNodes": [{"name": "node1"}]}
    cluster = Cluster.from_objects(
        [
            *NODES,
            clusters.service(externalTrafficPolicy="Local"),
            clusters.endpoint_slice(
                clusters.endpoint("10.244.1.2", "node1"),
                clusters.endpoint("10.244.1.2", "node3"),
                clusters.endpoint("10.244.1.3", "node1", hints=hints),
                clusters.endpoint("10.244.1.3", "node2"),
            ),
        ],
        lenient=True,
    )
    config = ProxyConfig.from_kube_proxy(
        {"apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration"},
        version="1.31",
    )

    assert compare(cluster, config, list(cluster.nodes.values())) > 0


def traces_for(
    monkeypatch: pytest.MonkeyPatch, cluster: Cluster, nodes: list[Node] | None = None
) -> list[str]:
    """The nodes that were traced for a matrix."""
    found: list[str] = []

    def counted(rules: Any, packet: Any, node: Node, *more: Any, **options: Any) -> Trace:
        found.append(node.name)
        return trace(rules, packet, node, *more, **options)

    monkeypatch.setattr("nptables.reachability.reaching.trace", counted)
    reach(cluster, nodes=nodes)
    return found


def test_a_hundred_nodes_take_two_traces(monkeypatch: pytest.MonkeyPatch) -> None:
    """One for those with an endpoint (nodes 1, 4 and 7), one for all the others."""
    assert sorted(traces_for(monkeypatch, fleet(1, 100))) == ["node1", "node2"]


def test_a_node_that_differs_is_traced_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = fleet(1, 20)
    facts = {"interfaces": {"eth0": ["192.168.0.9/24"]}}
    nodes = [cluster.node(name, facts if name == "node9" else None) for name in cluster.nodes]

    assert sorted(traces_for(monkeypatch, cluster, nodes)) == ["node1", "node2", "node9"]


def test_an_address_of_a_node_that_is_an_external_ip_makes_it_differ(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = fleet(1, 20)
    service = cluster.services["ns0", "web0"]
    cluster = attrs.evolve(
        cluster, services={service.key: attrs.evolve(service, external_ips=("192.168.0.9",))}
    )

    assert {"node1", "node2", "node9"} == set(traces_for(monkeypatch, cluster))


def test_nodes_fare_by_the_configuration_of_each() -> None:
    """On node2 node ports answer on addresses only that it does not have."""
    other = ProxyConfig.from_kube_proxy(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "nodePortAddresses": ["10.0.0.0/8"],
        }
    )
    found = reach(
        fleet(2, 4), config={"node2": other}, services=[("ns1", "web1")], families=[Family.IPV4]
    )
    (row,) = found.rows

    verdicts = {node: row.on(node).fare.fares for node in found.nodes}
    answers = dict.fromkeys(["node1", "node2", "node3", "node4"], Fares.ANSWERS)
    assert {**answers, "node2": Fares.LOST} == verdicts


def test_columns_are_the_nodes_that_are_alike_in_every_row() -> None:
    cluster = fleet(2, 6)
    found = reach(cluster)

    # Service 0 has endpoints on nodes 1 and 4, service 1 on nodes 2, 5 and 2 again.
    assert [column.nodes for column in columns(found.nodes, found.rows)] == [
        ("node1",),
        ("node2",),
        ("node3", "node6"),
        ("node4",),
        ("node5",),
    ]


def test_what_is_not_there_is_refused_by_name() -> None:
    cluster = fleet(1, 2)

    with pytest.raises(InvalidInput, match="there is no Service ns0/web1"):
        reach(cluster, services=[("ns0", "web1")])
    with pytest.raises(InvalidInput, match="there is no node to look at"):
        reach(Cluster())


def test_the_whole_matrix_is_plain_data() -> None:
    document = json.loads(json.dumps(reach(fleet(2, 3)).to_json()))

    assert document["from"] == "outside"
    assert {"service", "port", "protocol", "family", "kind", "address", "number", "cells"} == set(
        document["rows"][0]
    )


def _of_both_families(*more: dict[str, Any]) -> Cluster:
    service = clusters.service(
        clusterIPs=["10.96.0.10", "fd00:10:96::a"],
        ipFamilies=["IPv4", "IPv6"],
        ipFamilyPolicy="RequireDualStack",
    )
    endpoints = [
        clusters.endpoint_slice(clusters.endpoint("10.244.1.5")),
        clusters.endpoint_slice(
            clusters.endpoint("fd00:10:244:1::5"), name="web-6", addressType="IPv6"
        ),
    ]
    return Cluster.from_objects([*NODES[:2], service, *endpoints, *more])


def test_a_node_port_of_both_families_has_a_row_for_each() -> None:
    """Told apart in words, and each node is in both."""
    found = reach(_of_both_families())

    assert [row.to for row in found.rows] == ["nodePort 30080/TCP", "nodePort 30080/TCP (IPv6)"]
    assert {Fares.ANSWERS} == {cell.fare.fares for row in found.rows for cell in row.cells}


@pytest.mark.parametrize(
    ("source", "family"),
    [
        ("203.0.113.9", Family.IPV4),
        ("2001:db8:9::9", Family.IPV6),
        ("pod:default/old", Family.IPV4),
    ],
)
def test_a_sender_of_one_family_is_looked_at_in_that_one(source: str, family: Family) -> None:
    pod = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "old", "namespace": "default"},
        "spec": {"nodeName": "node1", "containers": [{"name": "old"}]},
        "status": {"phase": "Running", "podIP": "10.244.1.9", "podIPs": [{"ip": "10.244.1.9"}]},
    }  # fmt: skip

    found = reach(_of_both_families(pod), source=source)

    assert {family} == {row.family for row in found.rows}
    assert [row.kind for row in found.rows] == ["nodePort", "clusterIP"]
    with pytest.raises(InvalidInput):
        reach(_of_both_families(pod), source=source, families=[family.other])


def test_where_two_services_claim_an_address_each_node_is_looked_at() -> None:
    """The older gets the packets, by the endpoints that it has, whichever row is asked."""
    policy = {"externalIPs": ["203.0.113.7"], "externalTrafficPolicy": "Local"}
    older = clusters.service("a", creationTimestamp="2026-01-01T00:00:00Z", **policy)
    younger = clusters.service(
        "b", clusterIP="10.96.0.11", ports=[{"port": 80, "nodePort": 30081}], **policy
    )
    endpoints = clusters.endpoint_slice(clusters.endpoint("10.244.1.5"), of="a")
    cluster = Cluster.from_objects([*NODES, older, younger, endpoints])

    assert compare(cluster, ProxyConfig(), list(cluster.nodes.values())) == 24
    shared = [row for row in reach(cluster).rows if row.address]
    assert [row.on("node1").nodes for row in shared] == [("node1",), ("node1",)]


def test_a_node_that_the_cluster_does_not_have_so_is_like_no_other() -> None:
    cluster = Cluster.from_objects([clusters.node("node1"), clusters.node("node2")])
    alike = Alike(cluster, ProxyConfig(), Services(cluster, Family.IPV4))

    its_own, told, stranger = (
        cluster.node("node1"), cluster.node("node2", {"nfacct": True}), Cluster().node("stranger"),
    )  # fmt: skip
    assert alike.class_of(its_own) != "node1"
    assert [alike.class_of(told), alike.class_of(stranger)] == ["node2", "stranger"]
