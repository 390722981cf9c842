"""Which address a node's own packets have for their source."""

from __future__ import annotations

import pytest

from nptables import Cluster, Family
from nptables.tracing.network import Network
from tests.support.clusters import node

FACTS = {
    "interfaces": {
        "lo": ["127.0.0.1/8"],
        "eth0": ["192.168.0.1/24"],
        "eth1": ["10.1.0.2/24"],
        "cni0": ["10.244.1.1/24"],
    },
    "routes": [
        {"dst": "default", "gateway": "192.168.0.254", "dev": "eth0"},
        {"dst": "192.168.0.0/24", "dev": "eth0"},
        {"dst": "10.1.0.0/24", "dev": "eth1"},
        {"dst": "10.244.1.0/24", "dev": "cni0"},
        {"dst": "10.9.0.0/16", "gateway": "10.1.0.9", "dev": "eth1"},
        {"dst": "10.8.0.0/16", "gateway": "10.1.0.9", "dev": "eth1", "prefsrc": "192.168.0.1"},
    ],
}


@pytest.mark.parametrize(
    ("destination", "source"),
    [
        ("127.0.0.1", "127.0.0.1"), ("127.0.0.5", "127.0.0.1"),
        # Its own address is both.
        ("10.1.0.2", "10.1.0.2"),
        ("8.8.8.8", "192.168.0.1"), ("192.168.0.77", "192.168.0.1"),
        # The interface of the route has another address, which its own network or a route tells.
        ("10.1.0.7", "10.1.0.2"), ("10.9.3.4", "10.1.0.2"), ("10.244.1.5", "10.244.1.1"),
        # The route says it.
        ("10.8.3.4", "192.168.0.1"),
    ],
)  # fmt: skip
def test_the_source_is_that_of_the_route(destination: str, source: str) -> None:
    """As `ip route get` answers on such a node."""
    cluster = Cluster.from_objects([node("node1")])
    network = Network(cluster.node("node1", facts=FACTS), Family.IPV4, cluster)

    assert network.source_for(destination) == source
