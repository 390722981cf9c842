"""Findings about addresses and ports that collide, or that cannot be reached."""

from __future__ import annotations

from typing import Any

import pytest

from nptables import Cluster, ProxyConfig
from nptables.checks import Finding, check_cluster
from nptables.sources import load, read_config, read_facts
from tests.support.scenarios import FIXTURES
from tests.tracing.test_reasons import NODES, ON_BOTH, endpoint_slice, service

CASES = FIXTURES / "cases"
BALANCER = {
    "type": "LoadBalancer",
    "externalTrafficPolicy": "Local",
    "healthCheckNodePort": 32000,
    "status": {"loadBalancer": {"ingress": [{"ip": "198.51.100.9"}]}},
}
SLICE = endpoint_slice(*ON_BOTH)


def other(**spec: Any) -> dict[str, Any]:
    ports = [{"name": "http", "port": 80, "nodePort": 30081}]
    addresses = {"clusterIP": "10.96.0.11", "clusterIPs": ["10.96.0.11"]}
    found = service(**{"ports": ports, **addresses, **spec})
    found["metadata"]["name"] = "zebra"
    return found


def found(code: str, *objects: dict[str, Any], **config: Any) -> list[str]:
    cluster = Cluster.from_objects([*NODES, SLICE, *objects])
    return [
        f"{f.subject}: {f.message}"
        for f in check_cluster(cluster, ProxyConfig(**config))
        if f.what.code == code
    ]


def test_the_clashes_of_the_case_are_found() -> None:
    findings = check_cluster(load(CASES / "clash/cluster.yaml").cluster)
    every = {(finding.what.code, finding.subject): finding for finding in findings}

    taken = every["NPT206", "Service demo/heron"]
    assert taken.message == "healthCheckNodePort 30199 is also the nodePort of demo/crow:http"
    own = every["NPT207", "Service demo/nodeip"]
    assert (own.severity.word, own.message) == (
        "error",
        "external IP 192.0.2.11 is an address of node node-a: its port 22 (SSH) is the Service's",
    )
    assert {code for code, _ in every} == {"NPT203", "NPT205", "NPT206", "NPT207"}


def udp_or_tcp(protocol: str) -> dict[str, Any]:
    return other(ports=[{"name": "x", "port": 80, "nodePort": 32000, "protocol": protocol}])


def test_a_health_check_port_is_on_tcp() -> None:
    assert found("NPT206", service(**BALANCER), udp_or_tcp("UDP")) == []
    assert len(found("NPT206", service(**BALANCER), udp_or_tcp("TCP"))) == 1


def test_a_health_check_port_that_kube_proxy_does_not_serve_clashes_with_nobody() -> None:
    unused = service(**{**BALANCER, "externalTrafficPolicy": "Cluster", "healthCheckNodePort": 0})

    assert found("NPT206", unused, udp_or_tcp("TCP")) == []


def test_two_services_with_one_health_check_port_clash() -> None:
    assert found("NPT206", service(**BALANCER), other(**BALANCER)) == [
        "Service default/zebra: healthCheckNodePort 32000 is also that of default/web"
    ]


@pytest.mark.parametrize(
    ("address", "config", "count"),
    [
        ("192.168.0.12", {}, 1),
        ("192.168.0.99", {}, 0),
        # The addresses have no rules then.
        ("192.168.0.12", {"allow_service_external_ips": False}, 0),
    ],
)
def test_an_external_ip_that_is_a_nodes_own_is_found(
    address: str, config: dict[str, Any], count: int
) -> None:
    texts = found("NPT207", service(externalIPs=[address]), **config)

    assert len(texts) == count
    assert all("192.168.0.12 is an address of node node2: its port 80" in text for text in texts)


@pytest.mark.parametrize(
    ("protocol", "severity"),
    # The API server listens on TCP alone.
    [("TCP", "error"), ("UDP", "warning")],
)
def test_a_port_that_nodes_need_is_one_of_tcp(protocol: str, severity: str) -> None:
    ports = [{"name": "x", "port": 6443, "protocol": protocol}]
    taking = service(type="ClusterIP", ports=ports, externalIPs=["192.168.0.12"])
    findings = check_cluster(Cluster.from_objects([*NODES, taking]))

    assert [f.severity.word for f in findings if f.what.code == "NPT207"] == [severity]


def test_a_load_balancer_at_the_address_of_a_node_is_no_clash() -> None:
    # ServiceLB of k3s, for one, publishes the addresses of nodes.
    status = {"loadBalancer": {"ingress": [{"ip": "192.168.0.12"}]}}

    assert found("NPT207", service(type="LoadBalancer", status=status)) == []


def node_ports(config: str, *, facts: bool) -> list[Finding]:
    folder = CASES / "nodeport-addresses"
    cluster = load(folder / "cluster.yaml").cluster
    known = read_facts(str(folder / "facts.yaml")) if facts else None
    node = cluster.node("node-a", known)
    return check_cluster(cluster, read_config(str(folder / config)), nodes=[node])


def test_addresses_for_node_ports_that_no_node_has_are_found() -> None:
    (by_object,) = node_ports("kp.yaml", facts=False)

    # The Node object has 192.0.2.11 only; the facts have 10.50.0.11 on eth1 besides.
    assert (by_object.what.code, by_object.severity.word) == ("NPT403", "warning")
    assert by_object.message == (
        "none of its IPv4 addresses is in nodePortAddresses (10.50.0.0/24), as far as its Node "
        "object tells (give --facts to know)"
    )
    assert node_ports("kp.yaml", facts=True) == []


def test_node_ports_on_loopback_alone_are_found() -> None:
    (finding,) = node_ports("kp2.yaml", facts=True)

    assert (finding.what.code, finding.severity.word) == ("NPT403", "warning")
    assert finding.message == (
        "of its addresses only 127.0.0.1 is in nodePortAddresses (127.0.0.0/8)"
    )


def test_no_address_among_known_interfaces_is_an_error() -> None:
    cluster = Cluster.from_objects([*NODES, SLICE, service()])
    node = cluster.node("node1", {"interfaces": {"eth0": ["192.168.0.11/24"]}})
    config = ProxyConfig(node_port_addresses=("10.9.0.0/16",))

    (finding,) = check_cluster(cluster, config, nodes=[node])

    assert (finding.what.code, finding.severity.word) == ("NPT403", "error")


def test_without_node_ports_their_addresses_do_not_matter() -> None:
    plain = service(type="ClusterIP", ports=[{"name": "http", "port": 80}])

    assert found("NPT403", plain, node_port_addresses=("10.9.0.0/16",)) == []
    # A family of which nodePortAddresses names no network answers on all of its addresses.
    assert found("NPT403", service(), node_port_addresses=("fd00::/64",)) == []
