"""Where addresses are, as one node sees it: its own, those of its pods, and what lies beyond.

Interfaces and routes come from the node's facts. What these do not say comes from the addresses
and podCIDRs of the Node objects and from the node names of endpoints; what nobody says stays open.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from nptables.family import Family
from nptables.model import Cluster, Node
from nptables.model.addresses import network_contains, parse_ip_sloppy, parse_network_sloppy
from nptables.tracing.surroundings.addressing import Address, Net, Somewhere, is_in, net, number

LOOPBACK = "lo"
_LISTED_NODES = 100


class Site(enum.Enum):
    """What kind of place an address is at."""

    HERE = "here"
    POD_HERE = "pod here"
    OTHER_NODE = "other node"
    POD_ELSEWHERE = "pod elsewhere"
    OUTSIDE = "outside"
    UNKNOWN = "unknown"


@attrs.frozen
class Place:
    """Where an address is; `node` is the name of the node it is on, empty where not known."""

    site: Site
    node: str = ""


@attrs.frozen
class Route:
    """How the node sends packets to an address.

    `interface` and `gateway` are None where they are not known or do not exist. `refused` is
    `blackhole`, `unreachable` or `prohibit` where packets end here, or `no route`.
    """

    interface: str | None = None
    gateway: str | None = None
    source: str | None = None
    refused: str = ""


class Network:
    """The network as one node sees it, for one family."""

    def __init__(self, node: Node, family: Family, cluster: Cluster | None = None) -> None:
        self.node = node
        self.family = family
        self._cluster = cluster
        self._interfaces = _interfaces(node, family)
        self.own = frozenset(
            (
                *node.interface_addresses(family),
                *(a.partition("/")[0] for _, a in self._interfaces),
            )
        )
        loopback = "127.0.0.0/8" if family is Family.IPV4 else "::1/128"
        self._loopback = net(loopback)
        self._own_nets = (self._loopback, *(net(address) for address in sorted(self.own)))
        self._routes = tuple(_routes(node, family))
        self.has_routes = bool(self._routes)
        self.has_interfaces = node.facts.interfaces is not None
        self._broadcasts = frozenset(_broadcasts(self._interfaces, family))
        self._node_of_address: dict[str, str] | None = None

    def is_local(self, address: Address) -> bool | None:
        """Whether an address is the node's own: on any interface, and all of 127.0.0.0/8."""
        if isinstance(address, str):
            return address in self.own or self._loopback.holds(number(address))
        if address.node:
            return address.node == self.node.name
        answers = {address.is_in(own) for own in self._own_nets}
        return False if answers == {False} else None

    def lacks_interface(self, name: str) -> bool:
        """Whether the node surely has no interface of that name.

        Who lists `lo` lists all interfaces, as `ip addr` and `nptables facts` do; a list by hand
        has the addresses that matter.
        """
        listed = self.node.facts.interfaces or {}
        return LOOPBACK in listed and name not in listed

    def is_loopback(self, address: Address) -> bool:
        """Whether an address is surely a loopback address."""
        return is_in(address, self._loopback) is True

    def is_broadcast(self, address: Address) -> bool | None:
        """Whether an address is a broadcast address of a network of this node."""
        if isinstance(address, str):
            return address in self._broadcasts
        return False

    def route(self, address: Address) -> Route:
        """How packets to an address leave, where that is known."""
        if self.is_local(address):
            return Route(LOOPBACK)
        if isinstance(address, Somewhere):
            return self._default_route()
        wanted = number(address)
        best = None
        for network, route in self._routes:
            if network.holds(wanted) and (best is None or network.mask > best[0].mask):
                best = network, route
        if best is not None:
            return best[1]
        for interface, entry in self._interfaces:
            if interface != LOOPBACK and net(entry).holds(wanted):
                return Route(interface)
        return Route(refused="no route") if self.has_routes else Route()

    def _default_route(self) -> Route:
        for network, route in self._routes:
            if network.mask == 0 and not route.refused:
                return route
        return Route()

    def source_for(self, destination: Address) -> Address:
        """The source that the node itself gives to packets for a destination."""
        if self.is_local(destination):
            if self.is_loopback(destination) and self.family is Family.IPV4:
                return "127.0.0.1"
            return destination
        route = self.route(destination)
        if route.source is not None:
            return route.source
        found = self.address_on(route.interface, route.gateway or destination)
        if isinstance(found, str) or self.place(destination).site is Site.POD_HERE:
            return found
        return self.node.address(self.family)

    def usual_address(self) -> Address:
        """The address that others reach the node by: that of its Node object, else of its uplink.

        Where neither is known it is one of its addresses, whichever.
        """
        known = self.node.address(self.family)
        if any(known == address for _, address in self.node.addresses):
            return known
        outside = self.outside()
        return self.address_on(self.route(outside).interface, outside)

    def address_on(self, interface: str | None, towards: Address) -> Address:
        """The address that the kernel takes for packets that leave through an interface.

        The one whose network holds the next hop, else the first of the interface, else the
        first of any (`inet_select_addr` in net/ipv4/devinet.c).
        """
        mine = Somewhere.of_node(self.node.name, self.family)
        if interface is None or not self.has_interfaces:
            return mine
        others = [(name, a) for name, a in self._interfaces if not self.is_loopback(_host(a))]
        on_it = [a for name, a in others if name == interface and not _link_local(a)]
        for entry in on_it:
            if isinstance(towards, str) and net(entry).holds(number(towards)):
                return _host(entry)
        if on_it:
            return _host(on_it[0])
        return next((_host(a) for _, a in others if not _link_local(a)), mine)

    def first_address_of(self, interface: str | None) -> Address:
        """The first address of an interface, as REDIRECT takes it."""
        for name, entry in self._interfaces:
            if name == interface:
                return _host(entry)
        return Somewhere.of_node(self.node.name, self.family)

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
            if any(address == known for _, known in node.addresses):
                return Place(Site.OTHER_NODE, name)
            if any(network_contains(cidr, address) for cidr in node.pod_cidrs):
                return Place(Site.POD_ELSEWHERE, name)
        name = self._endpoint_nodes().get(address, "")
        if name:
            return Place(Site.POD_HERE if name == here else Site.POD_ELSEWHERE, name)
        return self._place_by_route(address)

    def _place_by_route(self, address: str) -> Place:
        """What the routes alone tell: a pod is behind an interface without a gateway of its own."""
        route = self.route(address)
        uplinks = {self._default_route().interface}
        for interface, entry in self._interfaces:
            if _host(entry) in {known for _, known in self.node.addresses}:
                uplinks.add(interface)
        if route.refused or route.interface is None:
            return Place(Site.UNKNOWN)
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

    def _endpoint_nodes(self) -> Mapping[str, str]:
        if self._node_of_address is None:
            found: dict[str, str] = {}
            slices = self._cluster.slices.values() if self._cluster is not None else ()
            for endpoint_slice in slices:
                for endpoint in endpoint_slice.endpoints:
                    if endpoint.node_name:
                        found.setdefault(endpoint.address, endpoint.node_name)
            self._node_of_address = found
        return self._node_of_address

    def outside(self, cluster_cidrs: Sequence[str] = ()) -> Somewhere:
        """A client that is neither a node nor a pod, nor a loopback or multicast address."""
        without = ["127.0.0.0/8", "224.0.0.0/4", "0.0.0.0/32", "::/128", "::1/128", "ff00::/8"]
        without += [f"{address}/{self.family.host_prefix}" for address in sorted(self.own)]
        without += [*self.node.pod_cidrs, *cluster_cidrs]
        for _, (_, node) in zip(range(_LISTED_NODES), self._others(), strict=False):
            without += [*node.pod_cidrs, *(address for _, address in node.addresses)]
        client = Somewhere.of("a client outside the cluster", self.family, tuple(without))
        return attrs.evolve(client, outside=True)


def _host(entry: str) -> str:
    return entry.partition("/")[0]


def _link_local(entry: str) -> bool:
    return entry.startswith("fe80:")


def _interfaces(node: Node, family: Family) -> tuple[tuple[str, str], ...]:
    listed = node.facts.interfaces or {}
    return tuple(
        (name, entry)
        for name, entries in listed.items()
        for entry in entries
        if Family.of(entry) is family
    )


def _broadcasts(interfaces: Sequence[tuple[str, str]], family: Family) -> Iterator[str]:
    if family is Family.IPV6:
        return
    yield "255.255.255.255"
    for name, entry in interfaces:
        network = net(entry)
        if name != LOOPBACK and network.mask.bit_count() < 31:
            value = network.base | (network.mask ^ 0xFFFFFFFF)
            yield ".".join(str(value >> shift & 255) for shift in (24, 16, 8, 0))


def _routes(node: Node, family: Family) -> Iterator[tuple[Net, Route]]:
    """The routes of the facts, as `ip -j route` prints them; the best metric first."""
    for raw in sorted(node.facts.routes or (), key=_metric):
        network = _route_network(raw, family)
        if network is None:
            continue
        kind = raw.get("type", "unicast")
        refused = kind if kind in ("blackhole", "unreachable", "prohibit") else ""
        device = raw.get("dev")
        source = parse_ip_sloppy(str(raw.get("prefsrc", "")))
        yield (
            network,
            Route(
                interface=device if isinstance(device, str) and not refused else None,
                gateway=parse_ip_sloppy(str(raw.get("gateway", ""))),
                source=source,
                refused=refused,
            ),
        )


def _metric(raw: Mapping[str, Any]) -> int:
    metric = raw.get("metric", 0)
    return metric if isinstance(metric, int) else 0


def _route_network(raw: Mapping[str, Any], family: Family) -> Net | None:
    text = str(raw.get("dst", ""))
    if raw.get("type") in ("local", "broadcast", "multicast", "anycast", "throw"):
        return None
    if text == "default":
        # `ip -j route` says of a default route only through its gateway which family it is.
        gateway = str(raw.get("gateway", ""))
        if gateway and parse_ip_sloppy(gateway) and Family.of(gateway) is not family:
            return None
        return net("0.0.0.0/0" if family is Family.IPV4 else "::/0")
    canonical = parse_network_sloppy(text) or parse_ip_sloppy(text)
    if canonical is None or Family.of(canonical) is not family:
        return None
    return net(canonical)
