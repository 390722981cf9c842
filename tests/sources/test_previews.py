"""What a server would have given is invented: the same each time, and never what is taken."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nptables import Family, InvalidInput
from nptables.sources import Loaded, load_objects
from nptables.sources.allocation import pick
from tests.support.clusters import node

Object = dict[str, Any]


def service(name: str = "web", **spec: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"type": "NodePort", "ports": [{"port": 80}], **spec},
    }


def read(*objects: Object, **options: Any) -> Loaded:
    loaded = load_objects(objects, **options)
    assert not loaded.problems
    return loaded


def cluster_ip(loaded: Loaded, name: str = "web", family: Family = Family.IPV4) -> str:
    return loaded.cluster.services["default", name].cluster_ips[family]


def node_port(loaded: Loaded, name: str = "web") -> int:
    return loaded.cluster.services["default", name].ports[0].node_port


def test_an_address_and_a_port_of_the_usual_ranges_are_made_up_and_listed() -> None:
    loaded = read(service())

    assert ip_address(cluster_ip(loaded)) in ip_network("10.96.0.0/12")
    assert 30000 <= node_port(loaded) <= 32767
    assert [str(preview) for preview in loaded.previews] == [
        f"Service default/web: spec.clusterIP is invented: {cluster_ip(loaded)}",
        f"Service default/web: spec.ports[0].nodePort is invented: {node_port(loaded)}",
    ]


def test_what_is_given_is_kept_and_not_listed() -> None:
    loaded = read(service(clusterIP="10.96.0.9", ports=[{"port": 80, "nodePort": 30099}]))

    assert (cluster_ip(loaded), node_port(loaded)) == ("10.96.0.9", 30099)
    assert loaded.previews == ()


@given(st.lists(st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True), unique=True, max_size=30))
def test_adding_objects_shifts_nothing(names: list[str]) -> None:
    before = read(service("first"), service("second"))
    others = [service(name) for name in names if name not in ("first", "second")]

    after = read(service("first"), service("second"), *others)

    for name in ("first", "second"):
        assert cluster_ip(before, name) == cluster_ip(after, name)
        assert node_port(before, name) == node_port(after, name)


def test_made_up_values_never_meet_each_other_or_given_ones() -> None:
    taken = read(service("a"))
    given_values = service(
        "b",
        clusterIP=cluster_ip(taken, "a"),
        ports=[{"port": 80, "nodePort": node_port(taken, "a")}],
    )

    services = read(
        service("a"), given_values, *(service(f"s{n}") for n in range(2000))
    ).cluster.services.values()

    assert len({s.cluster_ips[Family.IPV4] for s in services}) == 2002
    assert len({s.ports[0].node_port for s in services}) == 2002


def test_the_ranges_can_be_set() -> None:
    loaded = read(service(), service_cidrs=["172.20.0.0/16"], node_port_range="40000-40010")

    assert ip_address(cluster_ip(loaded)) in ip_network("172.20.0.0/16")
    assert 40000 <= node_port(loaded) <= 40010


@pytest.mark.parametrize(("last", "lowest"), [(30015, 30000), (30016, 30016), (30031, 30016)])
def test_the_first_16_ports_are_left_to_people_in_ranges_of_more_than_16(
    last: int, lowest: int
) -> None:
    """calculateRangeOffset gives 0 for 16 ports and 16 for 17 and for 32."""
    picked = {node_port(read(service(f"s{n}"), node_port_range=f"30000-{last}"), f"s{n}")
              for n in range(200)}  # fmt: skip

    assert picked == set(range(lowest, last + 1))


def test_a_range_that_is_used_up_is_a_problem() -> None:
    loaded = load_objects([service(f"s{n}") for n in range(3)], node_port_range="30000-30001")

    (problem,) = loaded.problems
    assert (
        str(problem) == "Service default/s2: spec: no port is left in 30000-30001 (a larger range)"
    )


@pytest.mark.parametrize(
    "options",
    [
        {"service_cidrs": ["10.96.0.0"]},
        {"service_cidrs": ["x"]},
        {"node_port_range": "30000"},
        {"node_port_range": "2-1"},
        {"node_port_range": "1-65536"},
    ],
)
def test_a_range_that_is_none_is_refused(options: Any) -> None:
    with pytest.raises(InvalidInput, match="is not a"):
        load_objects([], **options)


def test_without_previews_every_gap_is_a_problem() -> None:
    balanced = service(type="LoadBalancer", externalTrafficPolicy="Local")

    loaded = load_objects([balanced], preview=False)

    assert [problem.field for problem in loaded.problems] == [
        "spec.clusterIP",
        "spec.ports",
        "spec.healthCheckNodePort",
    ]
    assert loaded.previews == ()


def test_a_service_that_was_applied_needs_no_preview() -> None:
    applied = service(clusterIP="10.96.0.9", ports=[{"port": 80, "nodePort": 30080}])

    assert not load_objects([applied], preview=False).problems


def test_a_local_load_balancer_gets_a_health_check_port() -> None:
    loaded = read(service(type="LoadBalancer", externalTrafficPolicy="Local"))
    port = loaded.cluster.services["default", "web"].health_check_node_port

    assert 30000 <= port <= 32767
    assert port != node_port(loaded)
    assert "spec.healthCheckNodePort" in {preview.field for preview in loaded.previews}


def test_a_load_balancer_that_wants_no_node_ports_gets_none() -> None:
    assert node_port(read(service(type="LoadBalancer", allocateLoadBalancerNodePorts=False))) == 0


def test_one_port_of_two_protocols_gets_one_node_port_as_the_server_has_it() -> None:
    ports = [{"name": "t", "port": 53}, {"name": "u", "port": 53, "protocol": "UDP"}]

    (tcp, udp) = read(service(ports=ports)).cluster.services["default", "web"].ports

    assert tcp.node_port == udp.node_port != 0


@pytest.mark.parametrize(
    ("spec", "nodes", "families"),
    [
        ({}, [], ["IPv4"]),
        ({"ipFamilyPolicy": "PreferDualStack"}, [], ["IPv4"]),
        ({"ipFamilyPolicy": "PreferDualStack"}, [node()], ["IPv4", "IPv6"]),
        ({"ipFamilyPolicy": "RequireDualStack"}, [], ["IPv4", "IPv6"]),
        ({"ipFamilies": ["IPv6"]}, [], ["IPv6"]),
        ({"ipFamilies": ["IPv6"], "ipFamilyPolicy": "RequireDualStack"}, [], ["IPv6", "IPv4"]),
        ({"clusterIP": "fd00::7", "ipFamilyPolicy": "RequireDualStack"}, [], ["IPv6", "IPv4"]),
        ({"clusterIP": "None", "type": "ClusterIP"}, [], []),
        ({"type": "ExternalName", "externalName": "a.example"}, [], []),
    ],
)
def test_the_families_are_those_that_the_server_would_choose(
    spec: Object, nodes: list[Object], families: list[str]
) -> None:
    found = read(service(**spec), *nodes).cluster.services["default", "web"]

    assert [family.value for family in found.cluster_ips] == families


@given(st.text(), st.integers(1, 40), st.sets(st.integers(0, 39)))
def test_a_picked_slot_is_free_while_one_is(key: str, size: int, taken: set[int]) -> None:
    number = pick(key, size, taken.__contains__)

    if taken >= set(range(size)):
        assert number is None
    else:
        assert number is not None
        assert 0 <= number < size
        assert number not in taken
