"""Two nodes, each with an agent, against one API server: what packets do as a cluster changes."""

from __future__ import annotations

import os
import signal
import statistics
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.lab.laboratory.addresses import (
    CLIENT,
    FAMILIES,
    NODE1,
    NODE2,
    OTHER_CLIENTS,
    PODS,
    cluster_ip,
)
from tests.lab.laboratory.cluster import NODE_PORT
from tests.lab.laboratory.manifests import PORT, service
from tests.lab.laboratory.probing import PATIENT, Probe
from tests.support.agents import LIMIT

if TYPE_CHECKING:
    from tests.lab.laboratory.cluster import Cluster
    from tests.support.netns import Namespace

pytestmark = pytest.mark.lab

POD1A, POD2A = NODE1.pods[0], NODE2.pods[0]
# How many changes are timed; the proof by hand takes 200.
CHANGES = int(os.environ.get("NPTABLES_CHANGES", "4"))


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


def test_a_change_reaches_packets_soon(cluster: Cluster) -> None:
    took: list[float] = []
    for number in range(CHANGES):
        pod = (POD1A, POD2A)[number % 2]
        started = time.monotonic()
        cluster.server.put(*service([pod], type="NodePort"))
        probe = Probe("client", NODE1.address.ipv4, NODE_PORT)
        while cluster.lab.probe_all([probe])[0].endpoint != pod.name:
            assert time.monotonic() - started < LIMIT
        took.append(time.monotonic() - started)
        time.sleep(0.05)
    took.sort()
    print(  # noqa: T201 - the figures of the proof by hand
        f"{cluster.lab.backend}: event to first correct packet over {CHANGES} changes: "
        f"p50 {statistics.median(took):.3f} s, p90 {took[int(len(took) * 0.9)]:.3f} s, "
        f"p99 {took[int(len(took) * 0.99)]:.3f} s"
    )


# Clients that differ in their address, and a pod.
STICKY_CLIENTS = [
    *(
        Probe("client", NODE1.address.of(family), NODE_PORT, source_address=address.of(family))
        for family in FAMILIES
        for address in (CLIENT.address, *OTHER_CLIENTS)
    ),
    *(Probe("pod1c", cluster_ip(1).of(family), PORT) for family in FAMILIES),
]


def altered(namespace: Namespace) -> None:
    """Change a chain that names no client."""
    for family in FAMILIES:
        namespace.iptables(family, "-t", "nat", "-A", "KUBE-MARK-MASQ", "-j", "RETURN")


def test_clients_stay_with_their_endpoint_when_the_agent_dies_and_when_it_repairs(
    cluster: Cluster,
) -> None:
    cluster.put(*service(PODS, type="NodePort", sessionAffinity="ClientIP"))

    def endpoints() -> list[str]:
        answers = cluster.lab.prober.probe_all(STICKY_CLIENTS, patience=PATIENT)
        return [answer.endpoint for answer in answers]

    first = endpoints()
    assert "" not in first
    # Of ten endpoints twelve clients choose the same ones again by chance once in 10^12 times.
    assert endpoints() == first
    for agent in cluster.agents:
        altered(agent.namespace)
    cluster.settle()
    assert endpoints() == first, "a chain beside theirs was repaired"
    for agent in cluster.agents:
        agent.stop(signal.SIGKILL)
        altered(agent.namespace)
        agent.start()
    cluster.settle()
    assert endpoints() == first, "the agent was killed, and has repaired a chain at its start"
