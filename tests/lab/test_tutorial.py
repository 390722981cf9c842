"""What the tutorial says of its files, with packets: the laboratory has the addresses it names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.lab.laboratory.addresses import CLIENT, NODE1, NODE2, Dual
from tests.lab.laboratory.lab import REFUSED, SILENCE, Question, answered
from tests.lab.laboratory.probing import PATIENT, Probe
from tests.support.documentation import DOCS

if TYPE_CHECKING:
    from tests.lab.laboratory.lab import Expected, Laboratory

pytestmark = pytest.mark.lab

NODE_PORT = 30080
CLUSTER_IP = Dual("10.233.39.47", "")
# The pod of node1 that the tutorial sends from, and its two endpoints.
SENDER, FIRST, SECOND = "pod1e", "pod1a", "pod2d"
IN_A_ROW = 20


def start(lab: Laboratory, name: str) -> None:
    """Have both nodes serve the objects of a file."""
    objects: list[dict[str, Any]] = list(yaml.safe_load_all((DOCS / "files" / name).read_text()))
    lab.apply([each for each in objects if each["kind"] != "Node"])


def check(lab: Laboratory, expected: dict[Question, Expected]) -> None:
    """The Service of the tutorial is TCP over IPv4."""
    lab.check(expected, protocols=["tcp"], families=["IPV4"])


def answering(lab: Laboratory, node: Dual, times: int) -> list[str]:
    """Who answers so many new connections of one client."""
    probe = Probe("client", node.ipv4, NODE_PORT)
    answers = lab.prober.probe_all([probe] * times, patience=PATIENT)
    return [answer.endpoint for answer in answers]


AT_NODE1 = Question("client", NODE1.address, NODE_PORT)
AT_NODE2 = Question("client", NODE2.address, NODE_PORT)


def test_every_node_answers_and_the_pod_sees_the_node_as_the_source(lab: Laboratory) -> None:
    """A node has two addresses: its own pod sees that of the bridge."""
    start(lab, "one-pod.yaml")

    check(
        lab,
        {
            AT_NODE1: answered(FIRST, seeing=NODE1.bridge),
            AT_NODE2: answered(FIRST, seeing=NODE2.address),
            Question(SENDER, CLUSTER_IP, 80): answered(FIRST, seeing=NODE1.pods[4].address),
        },
    )


def test_two_pods_share_the_connections_of_either_node(lab: Laboratory) -> None:
    """All 40 at one Pod has a chance of 2 in 2^40."""
    start(lab, "two-pods.yaml")

    for node in (NODE1, NODE2):
        assert set(answering(lab, node.address, 2 * IN_A_ROW)) == {FIRST, SECOND}


def test_with_affinity_a_client_stays_with_its_pod(lab: Laboratory) -> None:
    start(lab, "sticky.yaml")

    (first,) = answering(lab, NODE1.address, 1)
    assert set(answering(lab, NODE1.address, IN_A_ROW)) == {first}


def test_local_keeps_the_source_and_does_not_forward(lab: Laboratory) -> None:
    start(lab, "local.yaml")

    check(
        lab,
        {
            AT_NODE1: answered(FIRST, seeing=CLIENT.address),
            AT_NODE2: SILENCE,
            # Local is for senders outside the cluster.
            Question("node2", NODE2.address, NODE_PORT): answered(FIRST, seeing=NODE2.address),
        },
    )


def test_without_a_ready_pod_both_nodes_refuse(lab: Laboratory) -> None:
    start(lab, "not-ready.yaml")

    check(lab, {AT_NODE1: REFUSED, AT_NODE2: REFUSED})
