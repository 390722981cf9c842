"""Two nodes, each with an agent, against one API server: what packets do as a cluster changes."""

from __future__ import annotations

import contextlib
import os
import statistics
import time
from typing import TYPE_CHECKING, Any

import pytest

from nptables.family import Family
from tests.lab.laboratory import manifests
from tests.lab.laboratory.addresses import (
    CLIENT,
    FAMILIES,
    NODE1,
    NODE2,
    NODES,
    POD_NETWORK,
    cluster_ip,
)
from tests.lab.laboratory.manifests import PORT, service
from tests.lab.laboratory.probing import Answer, Probe
from tests.support.agents import AgentProcess, running, wait_for
from tests.support.apiserver import ApiServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.laboratory.lab import Laboratory

pytestmark = pytest.mark.lab

POD1A, POD2A = NODE1.pods[0], NODE2.pods[0]
NODE_PORT = 30001
# How many changes are timed; the proof by hand takes 200.
CHANGES = int(os.environ.get("NPTABLES_CHANGES", "4"))


class Cluster:
    """The API server, and an agent on each node."""

    def __init__(self, lab: Laboratory, server: ApiServer, agents: list[AgentProcess]) -> None:
        self.lab = lab
        self.server = server
        self.agents = agents

    def put(self, *objects: dict[str, Any]) -> None:
        """Change objects; returns when both nodes have followed."""
        self.server.put(*objects)
        self.settle()

    def delete(self, name: str = "web") -> None:
        self.server.delete("Service", name, "lab")
        for family in FAMILIES:
            self.server.delete("EndpointSlice", f"{name}-{family.lower()}", "lab")
        self.settle()

    def settle(self) -> None:
        for agent in self.agents:
            for family in Family:
                agent.converges(20, family)
        # What is to be cleared of connections is so right after the rules.
        wait_for(lambda: all(a.log("synced") for a in self.agents))
        time.sleep(0.2)

    def ask(self, protocol: str = "tcp") -> dict[tuple[str, str], Answer]:
        """What the client gets from the node port of each node, by node and family."""
        ways = [(node, family) for node in NODES for family in FAMILIES]
        probes = [
            Probe("client", node.address.of(family), NODE_PORT, protocol) for node, family in ways
        ]
        answers = self.lab.probe_all(probes)
        return {(n.name, f): answer for (n, f), answer in zip(ways, answers, strict=True)}

    def outcomes(self) -> dict[str, set[str]]:
        """Who answers, or what comes of it instead, by node."""
        found: dict[str, set[str]] = {}
        for protocol in ("tcp", "udp"):
            for (node, _), answer in self.ask(protocol).items():
                found.setdefault(node, set()).add(answer.endpoint or answer.outcome)
        return found


@pytest.fixture(scope="module")
def standing_cluster(
    standing_lab: Laboratory, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """A cluster whose nodes are kept by agents, for all tests of a backend."""
    lab, folder = standing_lab, tmp_path_factory.mktemp("agents")
    home = lab.namespaces["node1"]
    with ApiServer(namespace=home.name, host=NODE1.address.ipv4) as server:
        server.put(*manifests.nodes())
        agents = [
            AgentProcess(
                lab.namespaces[node.name],
                server,
                folder / node.name,
                node=node.name,
                config={
                    "clusterCIDR": ",".join(POD_NETWORK),
                    "iptables": {"minSyncPeriod": "10ms"},
                },
                hasty=True,
            )
            for node in NODES
        ]
        with contextlib.ExitStack() as stack:
            for agent in agents:
                stack.enter_context(running(agent))
            found = Cluster(lab, server, agents)
            found.settle()
            yield found
    lab.clear()


@pytest.fixture
def cluster(standing_cluster: Cluster) -> Iterator[Cluster]:
    """The cluster without Services."""
    yield standing_cluster
    if any(o["kind"] == "Service" for o in standing_cluster.server.objects()):
        standing_cluster.delete()


def terminating(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for obj in objects:
        for endpoint in obj.get("endpoints", ()):
            endpoint["conditions"] = {"ready": False, "serving": True, "terminating": True}
    return objects


def test_the_case_of_the_tutorial_as_it_unfolds(cluster: Cluster) -> None:
    node_port: dict[str, Any] = {"type": "NodePort"}
    local = {**node_port, "externalTrafficPolicy": "Local"}
    nobody = {"refused"}

    cluster.put(*service([], **node_port))
    assert cluster.outcomes() == {"node1": nobody, "node2": nobody}

    cluster.put(*service([POD1A], **node_port))
    assert cluster.outcomes() == {"node1": {"pod1a"}, "node2": {"pod1a"}}

    cluster.put(*service([POD1A, POD2A], **node_port))
    for outcomes in cluster.outcomes().values():
        assert outcomes <= {"pod1a", "pod2a"}

    cluster.put(*service([POD1A, POD2A], **local))
    assert cluster.outcomes() == {"node1": {"pod1a"}, "node2": {"pod2a"}}
    # The Local policy is there to let pods see the client itself.
    assert {answer.source for answer in cluster.ask().values()} == set(CLIENT.address)

    cluster.put(*service([POD1A], **local))
    assert cluster.outcomes() == {"node1": {"pod1a"}, "node2": {"silence"}}

    cluster.put(*terminating(service([POD1A], **local)))
    assert cluster.outcomes() == {"node1": {"pod1a"}, "node2": {"silence"}}

    cluster.delete()
    assert cluster.outcomes() == {"node1": nobody, "node2": nobody}


# One socket for the kernel each: the same addresses and ports every time.
FLOWS = [
    Probe(source, destination.of(family), port, "udp", source_port=40000)
    for family in FAMILIES
    for source, destination, port in (
        ("client", NODE1.address, NODE_PORT),
        ("pod1c", cluster_ip(1), PORT),
    )
]


def flows(cluster: Cluster) -> set[str]:
    """Where the datagrams of clients that keep their socket end up."""
    return {answer.endpoint or answer.outcome for answer in cluster.lab.probe_all(FLOWS)}


def test_a_udp_client_with_one_socket_follows_its_service(cluster: Cluster) -> None:
    assert "pod1a" not in flows(cluster)

    cluster.put(*service([POD1A], type="NodePort"))
    assert flows(cluster) == {"pod1a"}, "though it sent before the Service was there"

    cluster.put(*service([POD2A], type="NodePort"))
    assert flows(cluster) == {"pod2a"}, "the pod was replaced"

    cluster.put(*service([POD1A, POD2A], type="NodePort"))
    assert flows(cluster) == {"pod2a"}, "its endpoint is still there"

    cluster.put(*service([], type="NodePort"))
    assert flows(cluster) == {"refused"}, "scaled to zero"

    cluster.put(*service([POD1A], type="NodePort"))
    assert flows(cluster) == {"pod1a"}

    cluster.delete()
    assert "pod1a" not in flows(cluster), "the Service is gone"


def test_udp_to_the_same_port_elsewhere_is_not_cut(cluster: Cluster) -> None:
    cluster.put(*service([POD1A], type="NodePort"))
    passing = Probe("pod1c", CLIENT.address.ipv4, NODE_PORT, "udp", source_port=40001)
    cluster.lab.probe_all([passing])

    def remembered() -> bool:
        table = cluster.lab.namespaces["node1"].run(["conntrack", "-L", "-p", "udp"]).stdout
        return f"dst={CLIENT.address.ipv4} sport=40001 dport={NODE_PORT}" in table

    assert remembered()
    cluster.put(*service([POD2A], type="NodePort"))
    cluster.delete()
    assert remembered()


def test_a_change_reaches_packets_soon(cluster: Cluster) -> None:
    took: list[float] = []
    for number in range(CHANGES):
        pod = (POD1A, POD2A)[number % 2]
        started = time.monotonic()
        cluster.server.put(*service([pod], type="NodePort"))
        probe = Probe("client", NODE1.address.ipv4, NODE_PORT)
        while cluster.lab.probe_all([probe])[0].endpoint != pod.name:
            assert time.monotonic() - started < 20
        took.append(time.monotonic() - started)
        time.sleep(0.05)
    took.sort()
    print(  # noqa: T201 - the figures of the proof by hand
        f"{cluster.lab.backend}: event to first correct packet over {CHANGES} changes: "
        f"p50 {statistics.median(took):.3f} s, p90 {took[int(len(took) * 0.9)]:.3f} s, "
        f"p99 {took[int(len(took) * 0.99)]:.3f} s"
    )
