"""What probes are answered, what the store knows of health ports, and the status socket."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import pytest

from nptables.agent.core.health import Health
from nptables.agent.core.store import Store
from nptables.agent.serving import StatusSocket, ask_status
from nptables.agent.serving.responses import document, healthz, livez, readyz
from nptables.agent.serving.status import NotRunning
from nptables.model import Cluster, ProxyConfig
from nptables.sources.apiserver import ENDPOINT_SLICES, SERVICES, Changed, Listed
from tests.support.objects import endpoint_slice, node, service

if TYPE_CHECKING:
    from pathlib import Path


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


@pytest.mark.parametrize(
    ("healthy", "synced", "status"), [(True, True, 200), (True, False, 503), (False, True, 503)]
)
def test_readyz_waits_for_the_first_sync(*, healthy: bool, synced: bool, status: int) -> None:
    answer = readyz(healthy=healthy, synced=synced)
    assert answer.status == status
    assert json.loads(answer.body) == {"synced": synced}


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
    store = Store(name)
    store.take(Listed(SERVICES, cluster))
    store.take(Listed(ENDPOINT_SLICES, cluster))
    assert store.health_ports == {("default", "lb"): 32000}
    assert store.local_endpoints() == {("default", "lb"): count}
    store.take(Changed(ENDPOINT_SLICES, "default", "lb-a", None))
    assert store.local_endpoints() == {("default", "lb"): 0}
    store.take(Changed(SERVICES, "default", "lb", None))
    assert store.health_ports == {}


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
