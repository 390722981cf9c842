"""Probes, health-check node ports and the status socket, asked over real sockets."""

from __future__ import annotations

import http.client
import json
import socket
from typing import TYPE_CHECKING, Any

import pytest

from nptables.agent.health import Health
from nptables.agent.picture import Picture
from nptables.agent.serving import Answer, HealthPorts, Server, StatusSocket, ask_status
from nptables.agent.serving.answers import healthz, livez
from nptables.agent.serving.configz import document
from nptables.agent.serving.http import by_path
from nptables.agent.serving.status import NotRunning
from nptables.model import Cluster, ProxyConfig
from nptables.sources.apiserver import ENDPOINT_SLICES, SERVICES, Changed, Listed
from tests.support.objects import endpoint_slice, node, service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


def get(port: int, path: str = "/", host: str = "127.0.0.1", method: str = "GET") -> Any:
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, dict(answer.headers), answer.read()
    finally:
        connection.close()


def test_a_path_is_answered_whatever_its_query_and_others_are_not_found(server: Server) -> None:
    port = server.listen("127.0.0.1", 0, by_path({"/x": lambda: Answer(200, b"yes")})).port
    assert get(port, "/x?y=1")[::2] == (200, b"yes")
    assert get(port, "/y")[0] == 404
    assert get(port, "/x", method="HEAD")[2] == b""
    assert get(port, "/x", method="POST")[0] == 501


def test_listening_everywhere_answers_both_families(server: Server) -> None:
    port = server.listen("", 0, lambda _: Answer(200, b"")).port
    assert get(port)[0] == 200
    assert get(port, host="::1")[0] == 200


def test_a_listener_that_was_closed_frees_its_port(server: Server) -> None:
    listener = server.listen("127.0.0.1", 0, lambda _: Answer(200, b""))
    port = listener.port
    assert get(port)[0] == 200
    server.close(listener)
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", port))


def test_a_port_in_use_is_an_error(server: Server) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="in use"):
            server.listen("127.0.0.1", taken.getsockname()[1], lambda _: Answer(200, b""))


def test_a_failing_handler_is_an_answer_without_its_reason(server: Server) -> None:
    port = server.listen("127.0.0.1", 0, by_path({"/": lambda: Answer(200, 1 / 0)})).port  # type: ignore[arg-type]
    status, _, body = get(port)
    assert (status, body) == (500, b"internal error\n")


def test_clients_that_say_nothing_do_not_keep_others_from_being_answered(server: Server) -> None:
    port = server.listen("127.0.0.1", 0, lambda _: Answer(200, b"")).port
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(10)]
    try:
        assert get(port)[0] == 200
    finally:
        for connection in silent:
            connection.close()


NOW = "2026-11-22T22:39:01Z"
THEN = "2026-11-22T22:00:00Z"


@pytest.mark.parametrize(
    ("healthy", "eligible", "status", "updated"),
    [(True, True, 200, NOW), (False, True, 503, THEN), (True, False, 503, THEN)],
)
def test_healthz_says_what_kube_proxy_says(
    *,
    healthy: bool,
    eligible: bool,
    status: int,
    updated: str,
) -> None:
    answer = healthz(healthy=healthy, eligible=eligible, updated=THEN, now=NOW)
    assert answer.status == status
    # The format string of kube-proxy's healthzHandler, filled in by hand.
    wanted = f'{{"lastUpdated": "{updated}","currentTime": "{NOW}", "nodeEligible": '
    assert answer.body.decode() == wanted + ("true}" if eligible else "false}")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_livez_does_not_care_for_the_node() -> None:
    assert livez(healthy=True, updated=THEN, now=NOW).status == 200
    answer = livez(healthy=False, updated=THEN, now=NOW)
    assert answer.status == 503
    assert json.loads(answer.body) == {"lastUpdated": THEN, "currentTime": NOW}


def test_health_fails_when_a_change_waits_longer_than_the_timeout() -> None:
    health = Health(timeout=60)
    assert health.healthy(1000)
    health.pending_since = 900
    assert health.healthy(959.9)
    assert not health.healthy(960)


@pytest.mark.parametrize(
    "change",
    [
        {"metadata": {"deletionTimestamp": "2026-11-22T22:39:01Z"}},
        {"spec": {"taints": [{"key": "ToBeDeletedByClusterAutoscaler", "effect": "NoSchedule"}]}},
    ],
)
def test_a_node_that_is_about_to_go_is_not_eligible(change: dict[str, Any]) -> None:
    health = Health(timeout=60)
    raw = node()
    health.take_node(Cluster.from_objects([raw]).node("node1"))
    assert health.node_eligible
    for part, more in change.items():
        raw[part] |= more
    health.take_node(Cluster.from_objects([raw], lenient=True).node("node1"))
    assert not health.node_eligible
    health.take_node(None)
    assert not health.node_eligible


BALANCED = service(
    "lb",
    node_port=30080,
    type="LoadBalancer",
    externalTrafficPolicy="Local",
    healthCheckNodePort=32000,
)


@pytest.mark.parametrize(("name", "count"), [("node1", 2), ("node2", 1), ("node3", 0)])
def test_health_ports_and_local_endpoints_are_those_of_local_load_balancers(
    name: str, count: int
) -> None:
    slices = endpoint_slice(
        "lb", "10.244.0.5", "10.244.0.6", "10.244.1.7", nodes={"10.244.1.7": "node2"}
    )
    cluster = Cluster.from_objects([BALANCED, service("web", node_port=30081), slices])
    picture = Picture(name)
    picture.take(Listed(SERVICES, cluster))
    picture.take(Listed(ENDPOINT_SLICES, cluster))
    assert picture.health_ports == {("default", "lb"): 32000}
    assert picture.local_endpoints() == {("default", "lb"): count}
    picture.take(Changed(ENDPOINT_SLICES, "default", "lb-a", None))
    assert picture.local_endpoints() == {("default", "lb"): 0}
    picture.take(Changed(SERVICES, "default", "lb", None))
    assert picture.health_ports == {}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_a_health_port_answers_as_kube_proxy_does_and_closes_with_its_service(
    server: Server,
) -> None:
    key, port = ("default", "lb"), free_port()
    healthy = [True]
    ports = HealthPorts(server, healthy=lambda: healthy[0], complain=lambda *_: None)
    ports.update({key: port}, {key: 2}, ["127.0.0.1"])
    status, headers, body = get(port)
    assert (status, headers["X-Load-Balancing-Endpoint-Weight"]) == (200, "2")
    # The template of kube-proxy's hcHandler after dedenting, with the values put in by hand.
    assert body.decode() == (
        '{\n\t"service": {\n\t\t"namespace": "default",\n\t\t"name": "lb"\n\t},\n'
        '\t"localEndpoints": 2,\n\t"serviceProxyHealthy": true\n}'
    )
    ports.update({key: port}, {key: 0}, ["127.0.0.1"])
    assert get(port)[0] == 503
    healthy[0] = False
    ports.update({key: port}, {key: 2}, ["127.0.0.1"])
    assert get(port)[0] == 503
    ports.update({}, {}, ["127.0.0.1"])
    with pytest.raises(ConnectionError):
        get(port)


def test_a_health_port_that_is_taken_is_complained_of_and_tried_again(server: Server) -> None:
    key, complaints = ("default", "lb"), []
    ports = HealthPorts(server, healthy=lambda: True, complain=lambda *c: complaints.append(c))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ports.update({key: port}, {key: 1}, ["127.0.0.1"])
    assert [(c[0], c[1]) for c in complaints] == [(key, port)]
    ports.update({key: port}, {key: 1}, ["127.0.0.1"])
    assert get(port)[0] == 200


def test_the_status_socket_answers_and_only_its_owner_may_use_it(tmp_path: Path) -> None:
    status = StatusSocket(tmp_path, lambda: {"healthy": True})
    try:
        assert ask_status(tmp_path) == {"healthy": True}
        assert (tmp_path / "agent.sock").stat().st_mode & 0o777 == 0o600
    finally:
        status.close()
    with pytest.raises(NotRunning, match="no agent answers"):
        ask_status(tmp_path)


def test_a_socket_that_a_killed_agent_left_is_replaced(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "agent.sock"))
    status = StatusSocket(tmp_path, lambda: {"a": 1})
    try:
        assert ask_status(tmp_path) == {"a": 1}
    finally:
        status.close()


def test_configz_is_a_configuration_that_reads_back_the_same() -> None:
    config = ProxyConfig(
        cluster_cidrs=("10.244.0.0/16", "fd00:1::/64"),
        node_port_addresses=("192.168.0.0/24",),
        masquerade_all=True,
        min_sync_period=0.25,
        kubeconfig="/etc/kubeconfig",
    )
    assert ProxyConfig.from_kube_proxy(document(config)) == config
    assert ProxyConfig.from_kube_proxy(document(ProxyConfig())) == ProxyConfig()
