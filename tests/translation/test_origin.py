"""What made a rule."""

from __future__ import annotations

from nptables.translation import Origin, ServicePortName, Translation
from nptables.translation.explanation.grouping import without_services
from tests.support.clusters import endpoint, endpoint_slice, rules_of, service

BALANCED = service(
    type="LoadBalancer",
    externalIPs=["198.51.100.1", "198.51.100.2"],
    externalTrafficPolicy="Local",
    healthCheckNodePort=32000,
    sessionAffinity="ClientIP",
    loadBalancerSourceRanges=["203.0.113.0/24", "198.18.0.0/15"],
    status={"loadBalancer": {"ingress": [{"hostname": "x"}, {"ip": "203.0.113.10"}]}},
)
NAME = ServicePortName("default", "web")


def origins(rules: Translation, table: str, chain: str) -> list[Origin | None]:
    return [rules.origin(table, line) for line in rules.lines(table, chain)]


def fields(rules: Translation, table: str, chain: str) -> list[str]:
    return [origin.field for origin in origins(rules, table, chain) if origin is not None]


def test_lines_in_shared_chains_come_from_the_field_that_holds_their_address() -> None:
    rules = rules_of(BALANCED, endpoint_slice(endpoint("10.0.0.1")))
    assert fields(rules, "nat", "KUBE-SERVICES") == [
        "spec.clusterIPs[0]",
        "spec.externalIPs[0]",
        "spec.externalIPs[1]",
        "status.loadBalancer.ingress[1].ip",
        "nodePortAddresses",
    ]
    assert fields(rules, "nat", "KUBE-NODEPORTS") == ["spec.ports[0].nodePort"]
    assert fields(rules, "filter", "KUBE-NODEPORTS") == ["spec.healthCheckNodePort"]
    assert fields(rules, "filter", "KUBE-PROXY-FIREWALL") == ["status.loadBalancer.ingress[1].ip"]


def test_refusals_come_from_the_same_fields() -> None:
    rules = rules_of(BALANCED)
    assert fields(rules, "filter", "KUBE-SERVICES") == ["spec.clusterIPs[0]"]
    assert fields(rules, "filter", "KUBE-EXTERNAL-SERVICES") == [
        "spec.externalIPs[0]",
        "spec.externalIPs[1]",
        "status.loadBalancer.ingress[1].ip",
        "spec.ports[0].nodePort",
    ]


def test_lines_in_own_chains_name_the_endpoint_they_are_for() -> None:
    rules = rules_of(BALANCED, endpoint_slice(endpoint("10.0.0.1")))
    assert origins(rules, "nat", NAME.endpoint_chain("10.0.0.1:8080")) == [
        Origin(NAME, "10.0.0.1:8080", "endpoints"),
        Origin(NAME, "10.0.0.1:8080", "endpoints"),
    ]
    assert origins(rules, "nat", NAME.local_chain) == [
        Origin(NAME, "10.0.0.1:8080", "spec.sessionAffinity"),
        Origin(NAME, "10.0.0.1:8080", "endpoints"),
    ]
    assert fields(rules, "nat", NAME.source_ranges_chain) == [
        "spec.loadBalancerSourceRanges[0]",
        "spec.loadBalancerSourceRanges[1]",
        "spec.loadBalancerSourceRanges",
    ]
    assert set(fields(rules, "nat", NAME.external_chain)) == {"spec.externalTrafficPolicy"}


def test_fixed_lines_come_from_the_configuration() -> None:
    rules = rules_of()
    assert fields(rules, "filter", "KUBE-FORWARD") == [
        "conntrack.tcpBeLiberal",
        "iptables.masqueradeBit",
        "iptables.masqueradeBit",
    ]
    assert fields(rules, "filter", "KUBE-FIREWALL") == ["iptables.localhostNodePorts"]


def test_a_line_that_is_not_in_the_ruleset_has_no_origin() -> None:
    assert rules_of().origin("nat", "-A KUBE-SERVICES -j ACCEPT") is None


def test_without_the_rules_of_a_service_those_are_left_that_the_others_have() -> None:
    others = [
        service("api", clusterIP="10.96.0.11", ports=[{"port": 80, "nodePort": 30081}]),
        endpoint_slice(endpoint("10.0.0.2"), of="api"),
    ]
    both = rules_of(service(), endpoint_slice(endpoint("10.0.0.1")), *others)

    left, left_out = without_services(both, lambda name: name == "default/web")

    assert left_out == {"default/web"}
    wanted = rules_of(*others)
    assert {name: table.chains for name, table in left.tables.items()} == {
        name: table.chains for name, table in wanted.tables.items()
    }
