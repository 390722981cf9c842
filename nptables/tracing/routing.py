"""How one node routes: its addresses, interfaces and routes, as its kernel uses them.

All of it comes from the node's facts, and from its Node object where these do not say; everything
else is unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nptables.family import Family
from nptables.immutable import frozen
from nptables.model import Node
from nptables.model.addresses import parse_ip_sloppy, parse_network_sloppy
from nptables.tracing.addressing import Address, Net, Somewhere, best_source, is_in, net, number

LOOPBACK = "lo"
_THIS_NETWORK = net("0.0.0.0/8")


@frozen
class Route:
    """How the node sends packets to an address.

    `interface` and `gateway` are None where they are not known or do not exist. `refused` is
    `blackhole`, `unreachable` or `prohibit` where packets end here, or `no route`.
    """

    interface: str | None = None
    gateway: str | None = None
    source: str | None = None
    refused: str = ""


class Routing:
    """The addresses and routes of one node, for one family."""

    def __init__(self, node: Node, family: Family) -> None:
        self.node = node
        self.family = family
        self._interfaces = _interfaces(node, family)
        self.own = frozenset(
            (
                *node.interface_addresses(family),
                *(a.partition("/")[0] for _, a in self._interfaces),
            )
        )
        # The kernel puts all of 127.0.0.0/8 into its local table, but in IPv6 ::1 alone.
        loopback = "127.0.0.0/8" if family is Family.IPV4 else "::1/128"
        self._loopback = net(loopback)
        self._own_nets = (self._loopback, *(net(address) for address in sorted(self.own)))
        self._routes = tuple(_routes(node, family))
        self.has_routes = bool(self._routes)
        self.has_interfaces = node.facts.interfaces is not None
        self._broadcasts = _broadcasts(self._interfaces) if family is Family.IPV4 else {}

    def boundaries(self) -> Iterator[Net]:
        """The networks at whose ends what this says of addresses may change."""
        yield self._loopback
        yield from self._own_nets
        yield from (network for network, _ in self._routes)
        yield from (net(entry) for _, entry in self._interfaces)
        yield from (net(host_of(entry)) for _, entry in self._interfaces)
        yield from (net(address) for address in self._broadcasts)
        if self.family is Family.IPV4:
            yield from (_THIS_NETWORK, net("255.255.255.255"))
        yield from self._network_addresses()

    def is_local(self, address: Address, interface: str | None = "") -> bool | None:
        """Whether an address is the node's own: on any interface, and all of 127.0.0.0/8.

        With the name of an interface, whether it is an address of that one; None stands for an
        interface that is not known.
        """
        if isinstance(address, str):
            local = address in self.own or self._loopback.holds(number(address))
            return self._at(interface, self.interfaces_of(address)) if local else False
        # It is one of the addresses that others reach that node by, whichever: see
        # `Somewhere.of_node`.
        if address.node:
            return self._at(interface, frozenset()) if address.node == self.node.name else False
        answers = {address.is_in(own) for own in self._own_nets}
        return False if answers == {False} else None

    def interfaces_of(self, address: str) -> frozenset[str]:
        """The interfaces that have an address of the node, as far as they are known."""
        found = {name for name, entry in self._interfaces if host_of(entry) == address}
        return frozenset(found or ({LOOPBACK} if self._loopback.holds(number(address)) else ()))

    def _at(self, interface: str | None, those: frozenset[str]) -> bool | None:
        """Whether an interface is among those that something is true of."""
        if interface == "":
            return True
        return None if interface is None or not those else interface in those

    def _network_addresses(self) -> Iterator[Net]:
        """The first address of each network, which is that of all routers in IPv6."""
        for _, entry in self._interfaces:
            network = net(entry)
            full = (1 << network.bits) - 1
            yield Net(network.base, full, network.bits)

    def takes(self, address: Address) -> bool | None:
        """Whether packets to an address that come in are for this node, or for it too."""
        if self._is_bound(address):
            return False
        # The local table is asked first, and delivers all of these (`ip_route_input_slow` in
        # net/ipv4/route.c).
        return self.is_local(address) or self.is_broadcast(address) or self.is_anycast(address)

    def _is_bound(self, address: Address) -> bool:
        """Whether the routes to an address depend on the interface that a packet came in through.

        So it is with ::1, which is the node's own only for itself (`rt6_need_strict` in
        net/ipv6/route.c).
        """
        return self.family is Family.IPV6 and self.is_loopback(address)

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

    def is_broadcast(self, address: Address, interface: str | None = "") -> bool | None:
        """Whether an address is a broadcast address of a network of this node.

        With the name of an interface, of a network of that one.
        """
        if not isinstance(address, str) or self.family is Family.IPV6:
            return False
        # `__inet_dev_addr_type` in net/ipv4/fib_frontend.c takes these for broadcasts without a
        # look at any table.
        if address == "255.255.255.255" or _THIS_NETWORK.holds(number(address)):
            return True
        those = self._broadcasts.get(address)
        return False if those is None else self._at(interface, those)

    def is_anycast(self, address: Address, interface: str | None = "") -> bool | None:
        """Whether an address is that of all routers of an IPv6 network of this node.

        With the name of an interface, of a network of that one.
        """
        if not isinstance(address, str) or self.family is Family.IPV4:
            return False
        those = {
            name
            for name, entry in self._interfaces
            # A /127 has no such address (RFC 6164; `addrconf_join_anycast` in net/ipv6/addrconf.c).
            # A node forwards for its pods, so it is a router and has the others.
            if 0 < (network := net(entry)).mask.bit_count() < 127
            and network.base == number(address)
        }
        return self._at(interface, frozenset(those)) if those else False

    def refusal(self, address: Address) -> str | None:
        """The kind of route that ends packets to an address; None where that is unknown."""
        if isinstance(address, str):
            return self.route(address).refused
        refused = [network for network, route in self._routes if route.refused]
        return "" if all(address.is_in(network) is False for network in refused) else None

    def route(self, address: Address, *, came_through: str | None = "") -> Route:
        """How packets to an address leave, where that is known.

        `came_through` is the interface through which they came in, empty for the node's own.
        """
        bound = came_through != "" and self._is_bound(address)
        if self.is_local(address) and not bound:
            return Route(LOOPBACK)
        if isinstance(address, Somewhere):
            return self.default_route() if address.outside else Route()
        wanted = number(address)
        best = None
        for network, route in self._routes:
            if bound and route.interface != came_through:
                continue
            # The longest prefix wins, and of two alike the first, since `_routes` sorts by metric.
            if network.holds(wanted) and (best is None or network.mask > best[0].mask):
                best = network, route
        if best is not None:
            return best[1]
        for interface, entry in self._interfaces:
            # The kernel makes a route for the network of every address, so this is known without a
            # list of routes (`fib_add_ifaddr` in net/ipv4/fib_frontend.c).
            if interface != LOOPBACK and net(entry).holds(wanted):
                return Route(interface)
        return Route(refused="no route") if self.has_routes else Route()

    def default_route(self) -> Route:
        """The route that packets for everywhere take; an empty one where there is none."""
        for network, route in self._routes:
            if network.mask == 0 and not route.refused:
                return route
        return Route()

    def address_on(self, interface: str | None, destination: Address) -> Address:
        """The address that the kernel takes for packets that leave through an interface.

        In IPv4 the one whose network holds the next hop, else the first of the interface, else
        the first of any (`inet_select_addr` in net/ipv4/devinet.c).
        """
        mine = Somewhere.of_node(self.node.name, self.family)
        if interface is None or not self.has_interfaces:
            return mine
        if self.family is Family.IPV6:
            if not isinstance(destination, str):
                return mine
            return best_source(self._interfaces, interface, destination) or mine
        towards = self.route(destination).gateway or destination
        # The scope of 127.0.0.1 is the host, and what leaves the host asks for a wider one.
        others = [(name, a) for name, a in self._interfaces if not self.is_loopback(host_of(a))]
        on_it = [a for name, a in others if name == interface]
        for entry in on_it:
            if isinstance(towards, str) and net(entry).holds(number(towards)):
                return host_of(entry)
        if on_it:
            return host_of(on_it[0])
        return next((host_of(a) for _, a in others), mine)

    def first_address_of(self, interface: str | None) -> Address:
        """The first address of an interface, as REDIRECT takes it."""
        for name, entry in self._interfaces:
            if name == interface:
                return host_of(entry)
        return Somewhere.of_node(self.node.name, self.family)


def host_of(entry: str) -> str:
    """The address of an interface, without the length of its prefix."""
    return entry.partition("/")[0]


def _interfaces(node: Node, family: Family) -> tuple[tuple[str, str], ...]:
    listed = node.facts.interfaces or {}
    return tuple(
        (name, entry)
        for name, entries in listed.items()
        for entry in entries
        if Family.of(entry) is family
    )


def _broadcasts(interfaces: Sequence[tuple[str, str]]) -> dict[str, frozenset[str]]:
    """The broadcast addresses of IPv4 networks, and which interfaces are in those."""
    found: dict[str, frozenset[str]] = {}
    for name, entry in interfaces:
        network = net(entry)
        # A /31 joins two hosts and has no broadcast (RFC 3021; `fib_add_ifaddr`).
        if name != LOOPBACK and network.mask.bit_count() < 31:
            value = network.base | (network.mask ^ 0xFFFFFFFF)
            address = ".".join(str(value >> shift & 255) for shift in (24, 16, 8, 0))
            found[address] = found.get(address, frozenset()) | {name}
    return found


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
    # These are of table local, which is known from the addresses; a throw only ends the look into
    # its table (ip-route(8)).
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
