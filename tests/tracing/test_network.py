"""Which address a node's own packets have for their source."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nptables import Cluster, Family
from nptables.model.endpointslice import Endpoint, EndpointSlice
from nptables.model.metadata import Metadata
from nptables.model.pod import Pod
from nptables.tracing import network as networks
from nptables.tracing.addressing import Somewhere, net
from nptables.tracing.network import Network, Place, Site
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


def test_an_address_of_a_node_is_not_outside_the_cluster() -> None:
    """Only a client's is, which `ends` says of it."""
    assert not Somewhere.of_node("node2", Family.IPV4).outside


def test_all_of_the_loopback_network_is_on_the_loopback_interface() -> None:
    """`ip address` shows 127.0.0.1/8 alone; of what no interface shows, the interface is open."""
    network = Network(Cluster().node("node1", facts=FACTS), Family.IPV4, Cluster())

    assert network.interfaces_of("127.0.0.5") == {"lo"}
    assert network.interfaces_of("10.1.0.2") == {"eth1"}
    assert network.interfaces_of("203.0.113.9") == set()


def test_no_route_refuses_what_is_surely_outside_of_those_that_do() -> None:
    """What may be inside is open, for nothing says that it is not."""
    routes = [*FACTS["routes"], {"dst": "198.51.100.0/24", "type": "blackhole"}]
    there = Cluster.from_objects([node("node1")]).node("node1", facts={**FACTS, "routes": routes})
    network = Network(there, Family.IPV4, Cluster())
    anybody = Somewhere.of("anybody", Family.IPV4)

    assert network.refusal(anybody.narrowed(net("198.51.100.0/24"), inside=False)) == ""
    assert network.refusal(anybody) is None
    assert network.refusal("198.51.100.7") == "blackhole"


ADDRESSES = st.sampled_from(["10.7.0.1", "10.7.0.2", "10.7.0.3"])
NODE_NAMES = st.sampled_from(["", "here", "there"])
PLACES = st.lists(st.tuples(ADDRESSES, NODE_NAMES), max_size=4)


@given(slices=st.lists(PLACES, max_size=3), pods=PLACES)
def test_an_address_is_where_the_first_endpoint_or_pod_that_has_it_and_a_node_is(
    slices: list[list[tuple[str, str]]], pods: list[tuple[str, str]]
) -> None:
    """Whether a few addresses are looked for, or so many that a table of all is made."""
    found = {
        ("shop", f"web-{number}"): EndpointSlice(
            Metadata(f"web-{number}", "shop"),
            Family.IPV4,
            (),
            tuple(Endpoint(address, node_name=name) for address, name in places),
        )
        for number, places in enumerate(slices)
    }
    there = {
        ("shop", f"pod-{number}"): Pod("shop", f"pod-{number}", (address,), name)
        for number, (address, name) in enumerate(pods)
    }
    cluster = Cluster(slices=found, pods=there)
    every = [*(place for places in slices for place in places), *pods]
    few, many = (Network(Cluster().node("here"), Family.IPV4, cluster) for _ in range(2))
    for number in range(networks._SINGLY):
        many.place(f"10.8.0.{number}")

    expected = []
    for address in ("10.7.0.1", "10.7.0.2", "10.7.0.3"):
        name = next((name for known, name in every if known == address and name), "")
        site = {"": Site.UNKNOWN, "here": Site.POD_HERE, "there": Site.POD_ELSEWHERE}[name]
        expected.append(Place(site, name))
    assert expected == [few.place(f"10.7.0.{number}") for number in (1, 2, 3)]
    assert expected == [many.place(f"10.7.0.{number}") for number in (1, 2, 3)]
