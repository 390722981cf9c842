"""Findings about endpoints: where they run, whether they are known, what they are hinted for."""

from __future__ import annotations

from typing import Any

import pytest

from nptables import Cluster, ProxyConfig
from nptables.checks import Finding, check_cluster
from nptables.sources import load, load_objects
from tests.support.scenarios import FIXTURES, NAMED, named_scenario
from tests.tracing.test_reasons import NODES, ON_BOTH, endpoint, endpoint_slice, nodes, service

CASES = FIXTURES / "cases"
LOCAL = {"externalTrafficPolicy": "Local"}
BALANCED = {
    "type": "LoadBalancer",
    "healthCheckNodePort": 32000,
    "status": {"loadBalancer": {"ingress": [{"ip": "198.51.100.9"}]}},
}
TWO_PORTS = [
    {"name": "http", "port": 80, "nodePort": 30080},
    {"name": "https", "port": 443, "nodePort": 30443},
]
SLICE_PORTS = [
    {"name": "http", "protocol": "TCP", "port": 8080},
    {"name": "https", "protocol": "TCP", "port": 8443},
]


def check(objects: list[dict[str, Any]], *, lenient: bool = False) -> list[Finding]:
    return check_cluster(Cluster.from_objects(objects, lenient=lenient))


def codes(objects: list[dict[str, Any]], **options: Any) -> list[str]:
    return [finding.what.code for finding in check(objects, **options)]


def case(path: str, *, lenient: bool = False) -> list[Finding]:
    return check_cluster(load(CASES / path, lenient=lenient).cluster)


def without_node(number: int = 5) -> dict[str, Any]:
    found = endpoint(f"10.244.1.{number}", "")
    del found["nodeName"]
    return found


def hinted(address: str, node: str, zone: str) -> dict[str, Any]:
    return endpoint(address, node, hints={"forZones": [{"name": zone}]})


def test_a_slice_that_was_left_out_leaves_open_what_its_service_has() -> None:
    found = case("old-objects/cluster.yaml", lenient=True)

    about = {(f.what.code, f.name): f.message for f in found}
    # The slice is that of web/shop. web/old has none, whatever the other slice holds.
    assert set(about) == {("NPT101", "old"), ("NPT107", "shop"), ("NPT402", "shop-x")}
    assert about["NPT107", "shop"] == (
        "not all of its endpoints are known: EndpointSlice web/shop-x was left out"
    )


def test_nothing_is_said_of_local_endpoints_that_may_have_been_left_out() -> None:
    objects = [*NODES, service(internalTrafficPolicy="Local", **LOCAL), endpoint_slice(*ON_BOTH)]
    more = endpoint_slice({"addresses": ["10.244.2.256"], "nodeName": "node2"})
    more["metadata"]["name"] = "web-2"

    assert codes(objects) == ["NPT102", "NPT105"]
    assert codes([*objects, more], lenient=True) == ["NPT107", "NPT402"]


def test_endpoints_over_capacity_are_not_all_of_them() -> None:
    (found,) = case("truncated-endpoints/endpoints-only.yaml")

    assert (found.what.code, found.subject) == ("NPT108", "Service web/big")
    assert "Endpoints web/big holds only some of them" in found.message


def test_endpoints_over_capacity_matter_to_nobody_who_has_slices() -> None:
    endpoints = {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {
            "name": "web",
            "annotations": {"endpoints.kubernetes.io/over-capacity": "truncated"},
        },
    }
    objects = [*NODES, service(), endpoint_slice(*ON_BOTH), endpoints]

    assert check_cluster(load_objects(objects).cluster) == []


def test_a_local_policy_without_any_node_name_drops_everywhere() -> None:
    (found,) = case("no-nodename/cluster.yaml")

    assert (found.what.code, found.severity.word) == ("NPT109", "error")
    assert "none of its 1 endpoints has a nodeName" in found.message


@pytest.mark.parametrize(
    ("spec", "endpoints", "expected"),
    [
        # The Cluster policy needs no node name.
        ({}, [without_node()], []),
        ({"internalTrafficPolicy": "Local"}, [without_node()], ["NPT109"]),
        # One name is enough for that node to take traffic.
        (LOCAL, [without_node(), endpoint("10.244.1.6", "node1")], ["NPT102"]),
        # Whoever is not ready takes none, with a name or without.
        (
            LOCAL,
            [without_node(), endpoint("10.244.1.6", "node1", conditions={"ready": False})],
            ["NPT109"],
        ),
    ],
)
def test_a_missing_node_name_matters_under_a_local_policy_alone(
    spec: dict[str, Any], endpoints: list[dict[str, Any]], expected: list[str]
) -> None:
    assert codes([*NODES, service(**spec), endpoint_slice(*endpoints)]) == expected


def test_load_balancers_keep_away_from_nodes_without_an_endpoint() -> None:
    objects = [*NODES, service(**LOCAL, **BALANCED), endpoint_slice(*ON_BOTH)]

    (found,) = check(objects)

    assert (found.what.code, found.severity.word) == ("NPT102", "info")
    assert found.message.endswith(
        "no endpoint is on node2; load balancers that ask healthCheckNodePort 32000 keep away "
        "from there"
    )
    assert found.to_json()["severity"] == "info"


def test_ports_of_which_the_same_is_to_be_said_share_a_finding() -> None:
    local = service(ports=TWO_PORTS, **LOCAL)

    (found,) = check([*NODES, local, endpoint_slice(*ON_BOTH, ports=SLICE_PORTS)])
    (other,) = check([*NODES, local])

    assert found.message == (
        'ports "http", "https": externalTrafficPolicy is Local and no endpoint is on node2'
    )
    assert other.message == (
        'ports "http", "https": no IPv4 endpoint: no EndpointSlice belongs to it'
    )


def test_ports_of_which_not_the_same_is_to_be_said_have_a_finding_each() -> None:
    found = check(
        [*NODES, service(ports=TWO_PORTS), endpoint_slice(*ON_BOTH, ports=SLICE_PORTS[:1])]
    )

    assert [(f.what.code, f.path) for f in found] == [("NPT104", ("spec", "ports", 1))]


@pytest.mark.parametrize(
    ("path", "code", "says"),
    [
        ("hints/cluster.yaml", "NPT301", "zone hints ignored: 10.244.2.7:8080 without"),
        ("hints/hinted.yaml", "NPT301", "zone hints ignored: none is for zone z3 (on node-c)"),
        ("hints/nohints.yaml", "NPT306", "says Auto, and none of its 3 endpoints carries a hint"),
    ],
)
def test_hints_that_do_not_do_what_was_asked_are_found(path: str, code: str, says: str) -> None:
    (found,) = case(path)

    assert (found.what.code, found.severity.word) == (code, "warning")
    assert says in found.message


def test_hints_are_missed_where_they_were_asked_for_alone() -> None:
    zones = nodes("node1", "node3", zone="a")
    plain = endpoint_slice(*ON_BOTH)
    asked = service(trafficDistribution="PreferClose")
    disabled = service()
    disabled["metadata"]["annotations"] = {"service.kubernetes.io/topology-mode": "Disabled"}
    given = endpoint_slice(hinted("10.244.1.5", "node1", "a"), hinted("10.244.3.5", "node3", "a"))

    assert codes([*zones, asked, plain]) == ["NPT306"]
    assert codes([*zones, asked, given]) == []
    assert codes([*zones, disabled, plain]) == []
    assert codes([*zones, service(), plain]) == []


def test_hints_of_endpoints_that_are_not_ready_are_none() -> None:
    away = {**hinted("10.244.1.9", "node1", "a"), "conditions": {"ready": False}}
    asked = service(trafficDistribution="PreferClose")

    assert codes([*nodes("node1", "node3", zone="a"), asked, endpoint_slice(*ON_BOTH, away)]) == [
        "NPT306"
    ]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        # Every packet stays on the node, so there is nothing that a hint could keep near.
        ({"type": "ClusterIP", "ports": [{"name": "http", "port": 80}]}, []),
        # Packets to the node port may go to any endpoint.
        ({}, ["NPT306"]),
    ],
)
def test_hints_are_not_missed_where_only_endpoints_of_the_node_are_used(
    spec: dict[str, Any], expected: list[str]
) -> None:
    asked = service(trafficDistribution="PreferClose", internalTrafficPolicy="Local", **spec)
    here = [*nodes("node1", "node3", zone="a"), asked, endpoint_slice(*ON_BOTH)]

    assert codes(here) == expected


def test_the_older_annotation_for_hints_counts_before_the_newer() -> None:
    asked = service()
    asked["metadata"]["annotations"] = {
        "service.kubernetes.io/topology-aware-hints": "Disabled",
        "service.kubernetes.io/topology-mode": "Auto",
    }

    assert codes([*NODES, asked, endpoint_slice(*ON_BOTH)]) == []


def test_endpoints_that_no_controller_has_seen_are_not_missing_hints() -> None:
    asked = service()
    asked["metadata"]["annotations"] = {"service.kubernetes.io/topology-mode": "Auto"}
    subset = {
        "addresses": [{"ip": "10.244.1.5", "nodeName": "node1"}],
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
    }
    endpoints = {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": "web"},
        "subsets": [subset],
    }

    assert check_cluster(load_objects([*NODES, asked, endpoints]).cluster) == []


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        # Others are on Nodes that are there: the input may not hold every Node.
        (["node1", "node7"], []),
        (["node1", "node3.example"], ["NPT103"]),
        (["node7", "node8"], ["NPT103"]),
    ],
)
def test_node_names_without_a_node_are_a_mismatch_unless_nodes_may_be_missing(
    names: list[str], expected: list[str]
) -> None:
    endpoints = [endpoint(f"10.244.1.{n}", name) for n, name in enumerate(names, 5)]

    assert codes([*NODES, service(), endpoint_slice(*endpoints)]) == expected


@pytest.mark.parametrize(
    ("spec", "severity"),
    # kube-proxy asks for the node of an endpoint under a Local policy alone.
    [({}, "warning"), ({"internalTrafficPolicy": "Local"}, "error"), (LOCAL, "error")],
)
def test_a_node_name_without_a_node_breaks_a_local_policy_alone(
    spec: dict[str, Any], severity: str
) -> None:
    away = endpoint_slice(endpoint("10.244.1.5", "node7"))
    found = check([*NODES, service(**spec), away])

    assert [f.severity.word for f in found if f.what.code == "NPT103"] == [severity]


def test_the_recorded_scenarios_have_no_new_finding_but_those_they_were_made_for() -> None:
    new = {"NPT107", "NPT108", "NPT109", "NPT206", "NPT207", "NPT306", "NPT403"}
    found = {}
    for name in NAMED:
        scenario = named_scenario(name)
        cluster = Cluster.from_objects(scenario.objects, lenient=True)
        node = cluster.node(scenario.node, scenario.facts)
        config = ProxyConfig.from_kube_proxy(scenario.config)
        codes = {f.what.code for f in check_cluster(cluster, config, nodes=[node])} & new
        if codes:
            found[name] = codes

    assert found == {
        "nodeport-addresses-loopback": {"NPT403"},
        "nodeport-addresses-no-match": {"NPT403"},
    }
