"""Which endpoints a node uses, and the words for it."""

from __future__ import annotations

import pytest

from nptables import Family
from nptables.model.addresses import spelled_by_go
from nptables.translation import Translation
from tests.support.clusters import endpoint, endpoint_slice, node, rules_of, service


def used(rules: Translation) -> set[str]:
    """The destinations of all DNAT rules."""
    return {
        line.rpartition("--to-destination ")[2]
        for lines in rules.tables["nat"].chains.values()
        for line in lines
        if " -j DNAT " in line
    }


def reasons(rules: Translation) -> dict[str, str]:
    (decision,) = rules.decisions
    return {reason.code: reason.text for reason in decision.reasons}


NOT_READY = {"conditions": {"ready": False}}
DRAINING = {"conditions": {"ready": False, "serving": True, "terminating": True}}


def test_endpoints_that_are_not_ready_are_not_used_and_are_named() -> None:
    rules = rules_of(
        service(),
        endpoint_slice(endpoint("10.244.1.1"), endpoint("10.244.1.2", **NOT_READY)),
    )
    assert used(rules) == {"10.244.1.1:8080"}
    assert reasons(rules)["not-ready"] == "not ready: 10.244.1.2:8080"


def test_terminating_endpoints_that_serve_are_used_where_no_endpoint_is_ready() -> None:
    rules = rules_of(service(), endpoint_slice(endpoint("10.244.1.2", **DRAINING)))
    assert used(rules) == {"10.244.1.2:8080"}
    assert "terminating ones that still serve are used" in reasons(rules)["terminating-used"]


def test_terminating_endpoints_are_left_alone_while_another_is_ready() -> None:
    rules = rules_of(
        service(), endpoint_slice(endpoint("10.244.1.1"), endpoint("10.244.1.2", **DRAINING))
    )
    assert used(rules) == {"10.244.1.1:8080"}
    assert "10.244.1.2:8080" in reasons(rules)["terminating-ignored"]


def test_the_local_policy_drops_where_all_ready_endpoints_are_elsewhere() -> None:
    rules = rules_of(
        service(externalTrafficPolicy="Local"),
        endpoint_slice(
            endpoint("10.244.1.1", "node1"),
            endpoint("10.244.3.1", "node3"),
            endpoint("10.244.3.2", "node3"),
        ),
        node("node1"),
        node("node2"),
        node("node3"),
        on="node2",
    )
    (line,) = rules.lines("filter", "KUBE-EXTERNAL-SERVICES")
    assert line.endswith("-m tcp --dport 30080 -j DROP")
    assert reasons(rules)["external-local-none"] == (
        "dropped: external traffic policy is Local and none of its 3 ready endpoints is on node2 "
        "(they are on node1, node3)"
    )


def test_a_service_without_endpoints_refuses_packets() -> None:
    rules = rules_of(service())
    (line,) = rules.lines("filter", "KUBE-SERVICES")
    assert line.endswith("-j REJECT --reject-with icmp-port-unreachable")
    assert set(reasons(rules)) == {"no-endpoints", "no-slices"}


def test_a_slice_whose_port_does_not_match_is_named() -> None:
    rules = rules_of(
        service(),
        endpoint_slice(endpoint("10.244.1.1"), ports=[{"name": "http", "port": 8080}]),
    )
    assert used(rules) == set()
    assert reasons(rules)["port-mismatch"] == (
        'no EndpointSlice has a port ""/TCP; they have "http"/TCP'
    )


def test_a_service_of_the_other_family_is_skipped_with_a_reason() -> None:
    rules = rules_of(service(), endpoint_slice(endpoint("10.244.1.1")), family=Family.IPV6)
    assert reasons(rules) == {
        "other-family": "skipped: it has no IPv6 cluster IP, only IPv4",
    }


ZONE_A = {"hints": {"forZones": [{"name": "zone-a"}]}}
ZONE_B = {"hints": {"forZones": [{"name": "zone-b"}]}}
NODE_1 = {"hints": {"forNodes": [{"name": "node1"}]}}


def in_zone(zone: str) -> dict[str, object]:
    return node("node1", **({"topology.kubernetes.io/zone": zone} if zone else {}))


@pytest.mark.parametrize(
    ("zone", "endpoints", "expected", "code", "words"),
    [
        (
            "zone-a",
            [endpoint("10.0.0.1", **ZONE_A), endpoint("10.0.0.2", **ZONE_B)],
            {"10.0.0.1:8080"},
            "hints-zone",
            "hints: 1 endpoint for zone zone-a",
        ),
        (
            "zone-a",
            [endpoint("10.0.0.1", **ZONE_A), endpoint("10.0.0.2")],
            {"10.0.0.1:8080", "10.0.0.2:8080"},
            "hints-zone-ignored",
            "zone hints ignored: 10.0.0.2:8080 without",
        ),
        (
            "zone-c",
            [endpoint("10.0.0.1", **ZONE_A), endpoint("10.0.0.2", **ZONE_B)],
            {"10.0.0.1:8080", "10.0.0.2:8080"},
            "hints-zone-ignored",
            "zone hints ignored: none is for zone zone-c",
        ),
        (
            "",
            [endpoint("10.0.0.1", **ZONE_A)],
            {"10.0.0.1:8080"},
            "hints-zone-ignored",
            "zone hints ignored: node1 has no label topology.kubernetes.io/zone",
        ),
        (
            "",
            [
                endpoint("10.0.0.1", **NODE_1),
                endpoint("10.0.0.2", hints={"forNodes": [{"name": "x"}]}),
            ],
            {"10.0.0.1:8080"},
            "hints-node",
            "hints: 1 endpoint for node1",
        ),
    ],
)
def test_hints_narrow_the_choice_only_where_all_carry_them_and_one_fits(
    zone: str, endpoints: list[dict[str, object]], expected: set[str], code: str, words: str
) -> None:
    rules = rules_of(service(), endpoint_slice(*endpoints), in_zone(zone))
    assert used(rules) == expected
    assert reasons(rules)[code] == words


def test_of_an_endpoint_in_several_slices_the_last_entry_counts_that_is_not_terminating() -> None:
    slices = [
        endpoint_slice(endpoint("10.0.0.1"), name="web-a"),
        endpoint_slice(endpoint("10.0.0.1", **DRAINING), name="web-b"),
    ]
    for order in (slices, slices[::-1]):
        (rules,) = rules_of(service(), *order).ports.values()
        ((text, chosen),) = rules.selection.cluster
        assert (text, chosen.ready, chosen.terminating) == ("10.0.0.1:8080", True, False)


def test_the_last_slice_by_name_decides_between_ready_and_not_ready() -> None:
    slices = [
        endpoint_slice(endpoint("10.0.0.1"), name="web-a"),
        endpoint_slice(endpoint("10.0.0.1", **NOT_READY), name="web-b"),
    ]
    assert used(rules_of(service(), *slices)) == set()
    assert used(rules_of(service(), *slices[::-1])) == set()


@pytest.mark.parametrize(
    ("kernel", "go"),
    [
        ("fd00::1", "fd00::1"),
        # Go never writes the last 32 bits as an IPv4 address: 1.2.3.4 is 0102:0304.
        ("::1.2.3.4", "::102:304"),
        ("64:ff9b::1.2.3.4", "64:ff9b::102:304"),
    ],
)
def test_ipv6_addresses_are_hashed_as_go_spells_them(kernel: str, go: str) -> None:
    assert spelled_by_go(kernel) == go


def test_large_clusters_leave_out_comments_above_a_thousand_endpoints_ready_or_not() -> None:
    def lines(count: int) -> list[str]:
        addresses = [endpoint(f"10.1.{n // 250}.{n % 250}", **NOT_READY) for n in range(count - 1)]
        rules = rules_of(
            service(),
            endpoint_slice(endpoint("10.0.0.1"), *addresses[:900]),
            endpoint_slice(*addresses[900:], name="web-2"),
        )
        (chain,) = (c for c in rules.tables["nat"].chains if c.startswith("KUBE-SEP-"))
        return [line for line in rules.lines("nat", chain) if "--comment" in line]

    assert len(lines(1000)) == 2
    assert lines(1001) == []


def test_node_ports_that_answer_nowhere_are_a_warning() -> None:
    rules = rules_of(nodePortAddresses=["10.99.0.0/16"])
    (warning,) = rules.warnings
    assert str(warning) == (
        "no address of node1 is in nodePortAddresses (10.99.0.0/16): node ports answer nowhere"
    )


@pytest.mark.parametrize("bind_address", ["127.0.0.1", "127.0.0.2"])
def test_node_ports_on_a_primary_address_of_loopback_answer_everywhere(bind_address: str) -> None:
    """IsLoopback of Go holds for all of 127.0.0.0/8, and no address left means all of them."""
    rules = rules_of(bindAddress=bind_address, nodePortAddresses=["primary"])

    (jump,) = (
        line
        for line in rules.tables["nat"].chains["KUBE-SERVICES"]
        if line.endswith(" -j KUBE-NODEPORTS")
    )
    assert " -d " not in jump
