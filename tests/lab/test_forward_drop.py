"""What arrives where FORWARD drops and nothing but kube-proxy's own rules accepts.

KUBE-FORWARD accepts what its own node masquerades, and answers. Whatever else is forwarded
needs a rule of the network, and here there is none: the other side of test_paths.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.lab.laboratory.addresses import NODE1, NODE2, POD_NETWORK, cluster_ip
from tests.lab.laboratory.lab import SILENCE, Question, answered
from tests.lab.laboratory.manifests import PORT, service

if TYPE_CHECKING:
    from tests.lab.laboratory.lab import Laboratory

pytestmark = pytest.mark.lab

NODE_PORT = 30001
CONFIG = {"clusterCIDR": ",".join(POD_NETWORK)}


def test_masqueraded_packets_are_forwarded_by_the_node_that_masquerades(lab: Laboratory) -> None:
    lab.apply(service([NODE1.pods[0]], type="NodePort"), CONFIG)
    lab.drop_forwarded("node1", "node2")

    seeing_the_bridge = answered("pod1a", seeing=NODE1.bridge)
    lab.check(
        {
            Question("client", NODE1.address, NODE_PORT): seeing_the_bridge,
            Question("pod1b", NODE1.address, NODE_PORT): seeing_the_bridge,
            Question("pod1a", cluster_ip(1), PORT): seeing_the_bridge,
            # What the node itself sends is not forwarded there.
            Question("node1", cluster_ip(1), PORT): seeing_the_bridge,
            # A pod keeps its address, so nothing marks its packets.
            Question("pod1b", cluster_ip(1), PORT): SILENCE,
            # node2 masquerades and forwards; for node1 it is a packet like any other.
            Question("client", NODE2.address, NODE_PORT): SILENCE,
            Question("node2", cluster_ip(1), PORT): SILENCE,
        }
    )


def test_packets_that_keep_their_source_are_not_forwarded(lab: Laboratory) -> None:
    objects = service([NODE1.pods[0]], type="NodePort", externalTrafficPolicy="Local")
    lab.apply(objects, CONFIG)
    lab.drop_forwarded("node1")

    lab.check(
        {
            Question("client", NODE1.address, NODE_PORT): SILENCE,
            Question("node1", NODE1.address, NODE_PORT): answered("pod1a", seeing=NODE1.bridge),
        }
    )
