"""Ports that are refused, tried again and moved: those of probes and of load balancers."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest

from nptables.agent.serving import Answer, HealthPorts, Ports, Server, health_check_hosts
from nptables.family import Family
from nptables.model import Cluster, ProxyConfig
from tests.support.objects import node
from tests.support.probing import free_port, get, listens, serving, taken

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = ("default", "lb")
# An address of the documentation, which no machine has.
NOT_OURS = "192.0.2.1"


class Clock:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


class Rig:
    """Ports of two names that answer with their name, and what was refused."""

    def __init__(self, server: Server, clock: Clock) -> None:
        self.refused: list[tuple[str, str, str]] = []
        self.ports = Ports(
            {
                "healthz": (server, lambda _: Answer(200, b"healthz")),
                "metrics": (server, lambda _: Answer(200, b"metrics")),
            },
            refused=lambda *words: self.refused.append(words),
            clock=clock,
        )

    def listen(self, **addresses: str) -> None:
        self.ports.listen(addresses)


@pytest.fixture
def rig(server: Server, clock: Clock) -> Rig:
    return Rig(server, clock)


def says(port: int, host: str = "127.0.0.1") -> str:
    body: bytes = get(port, host=host)[2]
    return body.decode()


def test_a_port_in_use_is_tried_again_after_five_seconds_until_it_is_free(
    rig: Rig, clock: Clock
) -> None:
    with taken() as port:
        address = f"127.0.0.1:{port}"
        rig.listen(healthz=address)
        assert rig.refused == [("healthz", address, "Address already in use")]
        assert rig.ports.refused == {address: "Address already in use"}
        clock.now += 4.5
        assert rig.ports.retry() == 0.5
        clock.now += 0.5
        assert rig.ports.retry() == 5.0
        assert len(rig.refused) == 2
    assert not listens(port)
    clock.now += 5
    assert rig.ports.retry() == float("inf")
    assert says(port) == "healthz"
    assert rig.ports.refused == {}


def test_a_refused_port_keeps_no_other_from_being_opened(rig: Rig) -> None:
    free = free_port()
    with taken() as port:
        rig.listen(healthz=f"127.0.0.1:{port}", metrics=f"127.0.0.1:{free}")
    assert says(free) == "metrics"


def test_the_new_address_is_open_before_the_old_one_is_closed(
    rig: Rig, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = free_port(), free_port()
    rig.listen(healthz=f"127.0.0.1:{old}")
    answers: list[str] = []
    close = server.close

    def ask_first(listener: Any) -> None:
        answers.extend((says(old), says(new)))
        close(listener)

    monkeypatch.setattr(server, "close", ask_first)
    rig.listen(healthz=f"127.0.0.1:{new}")
    assert answers == ["healthz", "healthz"]
    assert not listens(old)
    assert says(new) == "healthz"


def test_an_address_that_cannot_be_had_leaves_the_old_one_until_it_can(
    rig: Rig, clock: Clock
) -> None:
    old = free_port()
    rig.listen(healthz=f"127.0.0.1:{old}")
    with taken() as new:
        rig.listen(healthz=f"127.0.0.1:{new}")
        assert [refused[:2] for refused in rig.refused] == [("healthz", f"127.0.0.1:{new}")]
        assert says(old) == "healthz"
    clock.now += 5
    rig.ports.retry()
    assert says(new) == "healthz"
    assert not listens(old)


def test_the_old_address_may_be_asked_for_again_while_the_new_one_is_refused(
    rig: Rig, clock: Clock
) -> None:
    old = free_port()
    rig.listen(healthz=f"127.0.0.1:{old}")
    with taken() as new:
        rig.listen(healthz=f"127.0.0.1:{new}")
        rig.listen(healthz=f"127.0.0.1:{old}")
    clock.now += 5
    assert rig.ports.retry() == float("inf")
    assert says(old) == "healthz"
    assert not listens(new)


def test_a_port_moves_from_all_addresses_to_one_and_back(rig: Rig) -> None:
    port = free_port()
    rig.listen(healthz=f"0.0.0.0:{port}")
    assert says(port, "127.0.0.2") == "healthz"
    rig.listen(healthz=f"127.0.0.1:{port}")
    assert says(port) == "healthz"
    assert not listens(port, "127.0.0.2")
    rig.listen(healthz=f"[::]:{port}")
    assert says(port, "::1") == "healthz"
    assert rig.refused == []


def test_a_port_that_cannot_move_to_another_address_stays(rig: Rig) -> None:
    port = free_port()
    rig.listen(healthz=f"0.0.0.0:{port}")
    rig.listen(healthz=f"{NOT_OURS}:{port}")
    assert says(port) == "healthz"
    assert len(rig.refused) == 1


def test_two_ports_may_change_places(rig: Rig) -> None:
    one, two = free_port(), free_port()
    rig.listen(healthz=f"127.0.0.1:{one}", metrics=f"127.0.0.1:{two}")
    rig.listen(healthz=f"127.0.0.1:{two}", metrics=f"127.0.0.1:{one}")
    assert (says(one), says(two)) == ("metrics", "healthz")
    assert rig.refused == []


def test_a_port_may_move_to_where_another_one_leaves(rig: Rig) -> None:
    one, two, three = free_port(), free_port(), free_port()
    rig.listen(healthz=f"127.0.0.1:{one}", metrics=f"127.0.0.1:{two}")
    rig.listen(healthz=f"127.0.0.1:{two}", metrics=f"127.0.0.1:{three}")
    assert (says(two), says(three)) == ("healthz", "metrics")
    assert not listens(one)
    assert rig.refused == []


class HealthRig:
    """Health-check node ports, and what they complained of."""

    def __init__(self, server: Server, clock: Clock) -> None:
        self.healthy = True
        self.complaints: list[tuple[tuple[str, str], str, int, str]] = []
        self.ports = HealthPorts(
            server,
            healthy=lambda: self.healthy,
            complain=lambda *words: self.complaints.append(words),
            clock=clock,
        )


@pytest.fixture
def health(server: Server, clock: Clock) -> HealthRig:
    return HealthRig(server, clock)


def test_a_health_port_answers_as_kube_proxy_does_and_closes_with_its_service(
    health: HealthRig,
) -> None:
    port, hosts = free_port(), {KEY: ["127.0.0.1"]}
    health.ports.update({KEY: port}, {KEY: 2}, hosts)
    status, headers, body = get(port)
    assert (status, headers["X-Load-Balancing-Endpoint-Weight"]) == (200, "2")
    # The template of kube-proxy's hcHandler after dedenting, with the values put in by hand.
    assert body.decode() == (
        '{\n\t"service": {\n\t\t"namespace": "default",\n\t\t"name": "lb"\n\t},\n'
        '\t"localEndpoints": 2,\n\t"serviceProxyHealthy": true\n}'
    )
    health.ports.update({KEY: port}, {KEY: 0}, hosts)
    assert get(port)[0] == 503
    health.healthy = False
    health.ports.update({KEY: port}, {KEY: 2}, hosts)
    assert get(port)[0] == 503
    health.ports.update({}, {}, {})
    assert not listens(port)


def test_a_health_port_passes_from_one_service_to_another(health: HealthRig) -> None:
    port, other = free_port(), ("default", "other")
    health.ports.update({KEY: port}, {KEY: 1}, {KEY: ["127.0.0.1"]})
    health.ports.update({other: port}, {other: 1}, {other: [""]})
    assert b'"other"' in get(port)[2]
    assert health.complaints == []


def test_a_health_port_that_changes_is_closed_where_it_was_even_if_the_new_one_is_taken(
    health: HealthRig,
) -> None:
    port, hosts = free_port(), {KEY: ["127.0.0.1"]}
    health.ports.update({KEY: port}, {KEY: 1}, hosts)
    with taken() as new:
        health.ports.update({KEY: new}, {KEY: 1}, hosts)
    assert not listens(port)


def test_an_address_that_cannot_be_had_leaves_the_others_of_its_service(
    health: HealthRig, clock: Clock
) -> None:
    with taken() as port:
        hosts = {KEY: [NOT_OURS, "127.0.0.1", "127.0.0.2"]}
        health.ports.update({KEY: port}, {KEY: 1}, hosts)
        assert get(port, host="127.0.0.2")[0] == 200
        assert [complaint[:3] for complaint in health.complaints] == [
            (KEY, NOT_OURS, port),
            (KEY, "127.0.0.1", port),
        ]
    clock.now += 5
    assert health.ports.retry() == 5.0
    assert get(port, host="127.0.0.1")[0] == 200
    assert [complaint[1] for complaint in health.complaints[2:]] == [NOT_OURS]


def test_a_health_port_that_is_taken_is_tried_again_with_every_update(health: HealthRig) -> None:
    hosts = {KEY: ["127.0.0.1"]}
    with taken() as port:
        health.ports.update({KEY: port}, {KEY: 1}, hosts)
    health.ports.update({KEY: port}, {KEY: 1}, hosts)
    assert get(port)[0] == 200


def test_a_service_without_addresses_to_listen_on_listens_nowhere(health: HealthRig) -> None:
    port = free_port()
    health.ports.update({KEY: port}, {KEY: 1}, {KEY: []})
    assert not listens(port)
    assert health.ports.retry() == float("inf")


INTERFACES = {"lo": ["127.0.0.1/8", "::1/128"], "eth0": ["192.168.0.2/24", "fd00::2/64"]}
V4, V6 = (Family.IPV4,), (Family.IPV6,)


@pytest.mark.parametrize(
    ("networks", "families", "expected"),
    [
        # NewServiceHealthServer of kube-proxy: all addresses unless nodePortAddresses of the
        # family say otherwise (MatchAll), then those that match, of which there may be none.
        ([], V4, ("",)),
        ([], V4 + V6, ("",)),
        (["0.0.0.0/0", "::/0"], V4 + V6, ("",)),
        (["192.168.0.0/24"], V4, ("192.168.0.2",)),
        (["10.0.0.0/8"], V4, ()),
        (["10.0.0.0/8", "fd00:1::/64"], V4 + V6, ()),
        (["192.168.0.0/24", "fd00::/64"], V4 + V6, ("192.168.0.2", "fd00::2")),
        # A family without networks of its own has all of its addresses.
        (["192.168.0.0/24"], V6, ("",)),
        (["192.168.0.0/24"], V4 + V6, ("192.168.0.2", "::")),
        (["fd00::/64"], V4 + V6, ("0.0.0.0", "fd00::2")),
        (["10.0.0.0/8"], V4 + V6, ("::",)),
        # Loopback counts like any other, though node ports do not work on ::1.
        (["127.0.0.0/8", "::1/128"], V4 + V6, ("127.0.0.1", "::1")),
        # A Service that has no cluster IP is not proxied.
        ([], (), ()),
    ],
)
def test_health_ports_listen_on_the_node_port_addresses_of_their_service(
    networks: list[str], families: tuple[Family, ...], expected: tuple[str, ...]
) -> None:
    this = Cluster.from_objects([node()]).node("node1", facts={"interfaces": INTERFACES})
    config = ProxyConfig(node_port_addresses=tuple(networks))
    assert health_check_hosts(this, config, {KEY: families}) == {KEY: expected}


def test_the_wildcard_of_one_family_leaves_the_other_alone(server: Server) -> None:
    port = server.listen("::", 0, lambda _: Answer(200, b"")).port
    assert get(port, host="::1")[0] == 200
    assert not listens(port)
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
