"""Service ports that match the same packets."""

from __future__ import annotations

import itertools

from nptables.translation import Translation
from tests.support.clusters import endpoint, endpoint_slice, rules_of, service

OLD, NEW = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"


def owners(rules: Translation, table: str, chain: str) -> list[str]:
    """The Services in the order of their lines in a shared chain."""
    names = []
    for line in rules.lines(table, chain):
        origin = rules.origin(table, line)
        assert origin is not None
        if origin.service is not None:
            names.append(origin.service.name)
    return names


def node_port(name: str, number: int, cluster_ip: str, **more: str) -> dict[str, object]:
    return service(name, clusterIP=cluster_ip, ports=[{"port": 80, "nodePort": number}], **more)


def backends(*names: str) -> list[dict[str, object]]:
    return [endpoint_slice(endpoint(f"10.0.0.{n}"), of=name) for n, name in enumerate(names, 1)]


def test_the_oldest_service_wins_whatever_the_order_of_input() -> None:
    objects = [
        node_port("a", 30080, "10.96.0.1", creationTimestamp=NEW),
        node_port("b", 30080, "10.96.0.2", creationTimestamp=OLD),
        node_port("c", 30081, "10.96.0.3"),
        *backends("a", "b", "c"),
    ]
    for order in itertools.permutations(objects[:3]):
        rules = rules_of(*order, *objects[3:])
        assert owners(rules, "nat", "KUBE-NODEPORTS") == ["b", "a", "c"]


def test_a_service_without_a_timestamp_loses_to_every_service_with_one() -> None:
    rules = rules_of(
        node_port("a", 30080, "10.96.0.1"),
        node_port("b", 30080, "10.96.0.2", creationTimestamp=NEW),
        *backends("a", "b"),
    )
    assert owners(rules, "nat", "KUBE-NODEPORTS") == ["b", "a"]


def test_without_timestamps_the_names_decide() -> None:
    rules = rules_of(
        node_port("b", 30080, "10.96.0.2"), node_port("a", 30080, "10.96.0.1"), *backends("a", "b")
    )
    assert owners(rules, "nat", "KUBE-NODEPORTS") == ["a", "b"]


def test_a_collision_is_a_warning_that_names_the_winner() -> None:
    rules = rules_of(
        node_port("a", 30080, "10.96.0.1", creationTimestamp=NEW),
        node_port("b", 30080, "10.96.0.2", creationTimestamp=OLD),
        *backends("a", "b"),
    )
    (warning,) = (w for w in rules.warnings if w.code == "collision")
    assert str(warning) == (
        "default/b: nodePort 30080/TCP belongs to several Services: default/b gets the packets, "
        "default/a (TCP) none"
    )


def test_an_external_ip_that_is_another_services_cluster_ip_collides() -> None:
    rules = rules_of(
        service("a", clusterIP="10.96.0.1", externalIPs=["10.96.0.2"], creationTimestamp=NEW),
        node_port("b", 30081, "10.96.0.2", creationTimestamp=OLD),
        *backends("a", "b"),
    )
    assert owners(rules, "nat", "KUBE-SERVICES") == ["b", "a", "a"]


def test_different_protocols_do_not_collide() -> None:
    def one(name: str, protocol: str, address: str) -> dict[str, object]:
        port = {"port": 80, "nodePort": 30080, "protocol": protocol}
        return service(name, clusterIP=address, ports=[port])

    rules = rules_of(one("a", "TCP", "10.96.0.1"), one("b", "UDP", "10.96.0.2"))
    assert rules.collisions == ()


def test_ports_that_collide_through_a_third_stand_in_order_of_age_together() -> None:
    rules = rules_of(
        node_port("a", 30080, "10.96.0.1", creationTimestamp="2026-03-01T00:00:00Z"),
        service(
            "b",
            clusterIP="10.96.0.2",
            ports=[{"port": 80, "nodePort": 30080}],
            externalIPs=["198.51.100.1"],
            creationTimestamp=NEW,
        ),
        service(
            "c",
            clusterIP="10.96.0.3",
            ports=[{"port": 80, "nodePort": 30082}],
            externalIPs=["198.51.100.1"],
            creationTimestamp=OLD,
        ),
        *backends("a", "b", "c"),
    )
    assert owners(rules, "nat", "KUBE-NODEPORTS") == ["c", "b", "a"]
