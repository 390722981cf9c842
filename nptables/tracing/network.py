"""Where addresses are, as one node sees it: on it, on other nodes, in pods, or beyond.

What the node's own facts say is in `routing`. The rest comes from the addresses and podCIDRs of the
Node objects and from the node names of endpoints; everything else is unknown.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from operator import attrgetter

import attrs

from nptables.family import Family
from nptables.immutable import frozen
from nptables.model import Cluster, Node
from nptables.model.addresses import network_contains
from nptables.tracing.addressing import NOT_OF_HOSTS, Address, Net, Somewhere, is_in, net
from nptables.tracing.routing import Routing, host_of

# Stands for any address of the IPv6 Internet (RFC 4291, section 2.4).
_GLOBAL = "2000::"
# With more, what tells a client outside from nodes and pods would cost more than it is worth.
LISTED_NODES = 100
# How many addresses are looked for among all endpoints before a table of them is made.
_SINGLY = 32
_ENDPOINTS, _ADDRESS = attrgetter("endpoints"), attrgetter("address")


class Site(enum.Enum):
    """What kind of place an address is at."""

    HERE = "here"
    POD_HERE = "pod here"
    OTHER_NODE = "other node"
    POD_ELSEWHERE = "pod elsewhere"
    OUTSIDE = "outside"
    UNKNOWN = "unknown"


@frozen
class Place:
    """Where an address is; `node` is the name of the node it is on, empty where not known."""

    site: Site
    node: str = ""


class Network(Routing):
    """The network as one node sees it, for one family: its own part, and where all others are."""

    def __init__(self, node: Node, family: Family, cluster: Cluster | None = None) -> None:
        super().__init__(node, family)
        self._cluster = cluster
        self._node_of: dict[str, str] = {}
        self._node_of_endpoint: Mapping[str, str] | None = None

    def may_be_own(self, address: Address) -> bool:
        """Whether it is unknown if an address is one of the node's own.

        `is_local` takes such an address for somebody else's: who follows a packet to it, or from
        it, asks first, and goes on with `with_own` where it is the node's.
        """
        return (
            isinstance(address, str)
            and not self.node.knows_addresses(self.family)
            and not any(
                Family.of(n) is self.family and is_in(address, net(n)) for n in NOT_OF_HOSTS
            )
            and self.place(address).site in (Site.UNKNOWN, Site.OUTSIDE)
        )

    def with_own(self, address: str) -> Network:
        """The network of the node, if it has an address."""
        facts = self.node.facts
        facts = attrs.evolve(facts, addresses=(*facts.addresses, address))
        return Network(attrs.evolve(self.node, facts=facts), self.family, self._cluster)

    def boundaries(self) -> Iterator[Net]:
        """The networks at whose ends what this says of addresses may change."""
        yield from super().boundaries()
        for cidr in self.node.pod_cidrs:
            if Family.of(cidr) is self.family:
                yield net(cidr)

    def source_for(self, destination: Address) -> Address:
        """The source that the node itself gives to packets for a destination."""
        if self.is_local(destination):
            if self.is_loopback(destination) and self.family is Family.IPV4:
                return "127.0.0.1"
            return destination
        route = self.route(destination)
        if route.source is not None:
            return route.source
        # Without prefsrc the kernel takes the address as it does for MASQUERADE.
        found = self.address_on(route.interface, destination)
        if isinstance(found, str) or self.place(destination).site is Site.POD_HERE:
            return found
        known = self.node.address(self.family)
        return found if self.is_loopback(known) else known

    def usual_address(self) -> Address:
        """The address that others reach the node by: that of its Node object, else of its uplink.

        Where neither is known it is one of its addresses, whichever.
        """
        known = self.node.address(self.family)
        if any(known == address for _, address in self.node.addresses):
            return known
        for told in self.node.facts.addresses:
            if Family.of(told) is self.family and not self.is_loopback(told):
                return told
        outside = self.outside()
        uplink = self.route(outside).interface
        if uplink is None or self.family is Family.IPV4:
            return self.address_on(uplink, outside)
        return self.address_on(uplink, _GLOBAL)

    def place(self, address: Address) -> Place:
        """Where an address is."""
        here = self.node.name
        if self.is_local(address):
            return Place(Site.HERE, here)
        if isinstance(address, Somewhere):
            return Place(Site.OTHER_NODE if address.node else Site.UNKNOWN, address.node)
        if any(network_contains(cidr, address) for cidr in self.node.pod_cidrs):
            return Place(Site.POD_HERE, here)
        for name, node in self._others():
            # Before podCIDRs: the addresses of nodes may lie in a network that somebody gave to
            # pods.
            if any(address == known for _, known in node.addresses):
                return Place(Site.OTHER_NODE, name)
            if any(network_contains(cidr, address) for cidr in node.pod_cidrs):
                return Place(Site.POD_ELSEWHERE, name)
        if address not in self._node_of:
            self._node_of[address] = self._node_of_endpoint_at(address)
        name = self._node_of[address]
        if name:
            return Place(Site.POD_HERE if name == here else Site.POD_ELSEWHERE, name)
        return self._place_by_route(address)

    def _place_by_route(self, address: str) -> Place:
        """What the routes alone tell: a pod is behind an interface without a gateway of its own."""
        route = self.route(address)
        # Behind an uplink are the node's neighbours, which are no pods though no gateway leads to
        # them.
        uplinks = {self.default_route().interface}
        for interface, entry in self._interfaces:
            if host_of(entry) in {known for _, known in self.node.addresses}:
                uplinks.add(interface)
        if route.refused or route.interface is None:
            return Place(Site.UNKNOWN)
        # The Node object has it and no interface does: whoever it belongs to, it is no pod.
        if any(address == known for _, known in self.node.addresses):
            return Place(Site.OUTSIDE)
        if route.gateway is None and route.interface not in uplinks:
            return Place(Site.POD_HERE, self.node.name)
        for name, node in self._others():
            if route.gateway is not None and any(route.gateway == a for _, a in node.addresses):
                return Place(Site.POD_ELSEWHERE, name)
        return Place(Site.OUTSIDE)

    def _others(self) -> Iterator[tuple[str, Node]]:
        if self._cluster is not None:
            for name, node in self._cluster.nodes.items():
                if name != self.node.name:
                    yield name, node

    def _node_of_endpoint_at(self, address: str) -> str:
        """The node of the endpoint or the Pod that has an address, or an empty string."""
        if self._node_of_endpoint is not None:
            return self._node_of_endpoint.get(address, "")
        # One packet has few addresses, and a large cluster a hundred thousand endpoints: to look at
        # all of them once takes a tenth of what a table of them takes.
        if len(self._node_of) < _SINGLY:
            cluster = self._cluster or Cluster()
            of_slices = chain.from_iterable(map(_ENDPOINTS, cluster.slices.values()))
            places = self._places() if address in map(_ADDRESS, of_slices) else self._pods()
            return next((name for known, name in places if known == address), "")
        # Backwards, so that of two that have an address the first counts.
        self._node_of_endpoint = dict(reversed([*self._places()]))
        return self._node_of_endpoint.get(address, "")

    def _places(self) -> Iterator[tuple[str, str]]:
        """The addresses of endpoints and Pods, with their nodes; the first counts."""
        cluster = self._cluster or Cluster()
        for endpoint_slice in cluster.slices.values():
            for endpoint in endpoint_slice.endpoints:
                if endpoint.node_name:
                    yield endpoint.address, endpoint.node_name
        yield from self._pods()

    def _pods(self) -> Iterator[tuple[str, str]]:
        for pod in (self._cluster or Cluster()).pods.values():
            for address in pod.addresses if pod.node_name else ():
                yield address, pod.node_name

    def outside(self, cluster_cidrs: Sequence[str] = ()) -> Somewhere:
        """A client that is neither a node nor a pod, nor a loopback or multicast address."""
        without = ["127.0.0.0/8", "224.0.0.0/4", "0.0.0.0/32", "::/128", "::1/128", "ff00::/8"]
        without += [f"{address}/{self.family.host_prefix}" for address in sorted(self.own)]
        without += [*self.node.pod_cidrs, *cluster_cidrs]
        for _, (_, node) in zip(range(LISTED_NODES), self._others(), strict=False):
            without += [*node.pod_cidrs, *(address for _, address in node.addresses)]
        client = Somewhere.of("a client outside the cluster", self.family, tuple(without))
        return attrs.evolve(client, outside=True)
