"""The way of a packet through one node: hooks, tables and routing, as the kernel has them.

Hooks and the order of tables are those of `enum nf_ip_hook_priorities`. Connection tracking sees a
packet behind raw, unless a rule there exempts it. nat is looked at for the first packet of a
tracked connection only. A packet that the node sends to itself passes the hooks twice and keeps its
entry, so the second time nat is not looked at.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import NamedTuple

from nptables.family import Family
from nptables.immutable import frozen
from nptables.tracing.addressing import Address
from nptables.tracing.network import Network
from nptables.tracing.packet import Packet
from nptables.tracing.routing import LOOPBACK
from nptables.tracing.sets import Sets, Side
from nptables.tracing.state import (
    TEMPLATE,
    End,
    Ended,
    Flow,
    Flows,
    Questions,
    State,
    add,
    joined,
)
from nptables.tracing.traversal.rulebook import Rulebook
from nptables.tracing.traversal.walker import Budget, Walker

# `enum nf_ip_hook_priorities` in include/uapi/linux/netfilter_ipv4.h: raw -300, mangle -150, nat
# of destinations -100, filter 0, security 50, nat of sources (INPUT and POSTROUTING) 100.
PREROUTING = ("raw", "mangle", "nat")
INPUT = ("mangle", "filter", "security", "nat")
FORWARD = ("mangle", "filter", "security")
OUTPUT_BEFORE_ROUTING = ("raw", "mangle", "nat")
OUTPUT_AFTER_ROUTING = ("filter", "security")
POSTROUTING = ("mangle", "nat")


class Exit(enum.Enum):
    """Where possibilities are once a node is done with them."""

    DELIVERED = "delivered to the node itself"
    SENT = "sent on"


class Left(NamedTuple):
    """Possibilities that came through a node."""

    exit: Exit
    state: State
    flow: Flow


@frozen
class PacketView:
    """What rules on one node may look at while one packet passes it."""

    network: Network
    books: Sequence[Rulebook]
    packet: Packet
    original: State
    from_node: bool
    sets: Sets
    unknown_tables: frozenset[str] = frozenset()

    @property
    def family(self) -> Family:
        """The family of the packet."""
        return self.network.family

    @property
    def protocol(self) -> str:
        """The protocol in lower case."""
        return self.packet.protocol

    @property
    def tcp_flags(self) -> frozenset[str]:
        """The TCP flags that are set."""
        return self.packet.tcp_flags

    @property
    def icmp(self) -> tuple[int, int]:
        """The ICMP type and code."""
        return self.packet.icmp

    @property
    def place(self) -> str:
        """The node."""
        return self.network.node.name

    def is_local(self, address: Address, interface: str | None = "") -> bool | None:
        """Whether an address is the node's own, or that of one interface."""
        return self.network.is_local(address, interface)

    def is_broadcast(self, address: Address, interface: str | None = "") -> bool | None:
        """Whether an address is a broadcast address of a network, or of that of an interface."""
        return self.network.is_broadcast(address, interface)

    def is_anycast(self, address: Address, interface: str | None = "") -> bool | None:
        """Whether an address is that of all routers of a network, or of that of an interface."""
        return self.network.is_anycast(address, interface)

    def refusal(self, address: Address) -> str | None:
        """The kind of route that ends packets to an address."""
        return self.network.refusal(address)

    def lacks_interface(self, name: str) -> bool:
        """Whether the node surely has no interface of that name."""
        return self.network.lacks_interface(name)

    def endpoint_behind(self, chain: str) -> str | None:
        """The destination that a chain translates to, where it does."""
        found = {book.endpoint_behind(chain) for book in self.books} - {None}
        return found.pop() if len(found) == 1 else None

    def set_holds(self, name: str, sides: tuple[Side, ...]) -> bool | None:
        """Whether a set whose members are known holds a packet."""
        members = self.sets.get(name)
        return None if members is None else members(sides)

    def masquerade_address(self, state: State) -> Address:
        """The address that MASQUERADE takes: of the interface that the packet leaves through."""
        return self.network.address_on(state.out_interface, state.destination)

    def redirect_address(self, state: State) -> Address:
        """The loopback address for the node's own packets, else that of where it came in."""
        if self.from_node:
            # `nf_nat_redirect_ipv4` and `nf_nat_redirect_ipv6` in net/netfilter/nf_nat_redirect.c,
            # which look at the hook: OUTPUT is the node's own.
            return "127.0.0.1" if self.family is Family.IPV4 else "::1"
        return self.network.first_address_of(state.in_interface)


class NodeTraversal:
    """One packet on one node."""

    def __init__(self, view: PacketView, questions: Questions, budget: Budget) -> None:
        self._view = view
        self._network = view.network
        self._walker = Walker(view.books, view, questions, budget, view.unknown_tables)
        self.left: list[Left] = []

    @property
    def ended(self) -> list[Ended]:
        """What did not get through."""
        return self._walker.ended

    def arrive(self, flow: Flow) -> None:
        """Follow a packet that comes in through an interface."""
        flows = self._tables("PREROUTING", PREROUTING, {self._view.original: flow})
        here: Flows = {}
        onward: Flows = {}
        for state, found in flows.items():
            # Routed by the destination that nat has written in PREROUTING: this is why a translated
            # packet to an address of the node goes on through FORWARD, and never meets INPUT.
            if self._network.takes(state.destination):
                add(here, state, found)
            elif self._network.is_broadcast(self._view.original.destination):
                # `ip_forward` in net/ipv4/ip_forward.c
                text = f"{self._view.place} does not forward broadcasts"
                self._walker.ended.append(Ended(End.DROPPED, state, found, None, text))
            elif (routed := self._routed(state, found)) is not None:
                add(onward, routed, found)
        self._deliver(self._tables("INPUT", INPUT, here))
        forwarded = self._tables("FORWARD", FORWARD, onward)
        self._send(self._tables("POSTROUTING", POSTROUTING, forwarded))

    def leave(self, flow: Flow) -> None:
        """Follow a packet that the node itself sends."""
        first = self._view.original
        routed = self._routed(first, flow)
        if routed is None:
            return
        # A hook knows the interface from when it began: nat may send the packet elsewhere, and
        # the filter table still sees the first route's.
        flows = self._tables(
            "OUTPUT", (*OUTPUT_BEFORE_ROUTING, *OUTPUT_AFTER_ROUTING), {routed: flow}
        )
        leaving: Flows = {}
        for state, found in flows.items():
            # A new destination is routed anew (`ip_route_me_harder` in net/ipv4/netfilter.c).
            again = state
            if (state.destination, state.port) != (first.destination, first.port):
                moved = self._routed(state, found)
                if moved is None:
                    continue
                again = moved
            add(leaving, again, found)
        after = self._tables("POSTROUTING", POSTROUTING, leaving)
        # The loopback interface hands a packet back to the node with its conntrack entry, and that
        # has been through nat (`nf_nat_inet_fn` in net/netfilter/nf_nat_core.c translates once per
        # side).
        to_itself = {s: f for s, f in after.items() if s.out_interface == LOOPBACK}
        self._send({s: f for s, f in after.items() if s.out_interface != LOOPBACK})
        self._loop_back(to_itself)

    def _loop_back(self, flows: Flows) -> None:
        coming: Flows = {}
        for state, flow in flows.items():
            add(coming, state._replace(in_interface=LOOPBACK, out_interface=""), flow)
        without_nat = tuple(table for table in PREROUTING if table != "nat")
        coming = self._tables("PREROUTING", without_nat, coming)
        without_nat = tuple(table for table in INPUT if table != "nat")
        self._deliver(self._tables("INPUT", without_nat, coming))

    def _tables(self, hook: str, tables: tuple[str, ...], flows: Flows) -> Flows:
        for table in tables:
            apart: Flows = {}
            # Later packets of a connection follow its entry, and what has no entry is not
            # translated.
            if table == "nat":
                apart = {s: f for s, f in flows.items() if s.tracking != "NEW"}
                flows = {s: f for s, f in flows.items() if s.tracking == "NEW"}
            flows = self._walker.table(hook, table, flows)
            # Connection tracking has priority -200, between raw and mangle.
            if table == "raw":
                flows = self._tracked(flows)
            if apart:
                flows = joined((flows, apart))
        return flows

    def _tracked(self, flows: Flows) -> Flows:
        """The flows once connection tracking has seen those that no rule exempts."""
        seen: Flows = {}
        for state, flow in flows.items():
            if state.tracking == TEMPLATE:
                # The entry that the packet gets now is not the one that was marked.
                state = state._replace(connection_mark=0)  # noqa: PLW2901
            if state.tracking in ("INVALID", TEMPLATE):
                state = state._replace(tracking=self._view.packet.tracking)  # noqa: PLW2901
            add(seen, state, flow)
        return seen

    def _routed(self, state: State, flow: Flow) -> State | None:
        """The packet with the interface that it leaves through; None where there is no route."""
        route = self._network.route(state.destination, came_through=state.in_interface)
        if route.refused:
            # A blackhole is silent; the other kinds answer with an ICMP error (ip-route(8)).
            end = End.DROPPED if route.refused == "blackhole" else End.REFUSED
            text = f"{self._view.place} has no route to {state.destination}"
            if route.refused != "no route":
                text = f"the route of {self._view.place} to {state.destination} is {route.refused}"
            self._walker.ended.append(Ended(end, state, flow, None, text))
            return None
        return state._replace(out_interface=route.interface)

    def _deliver(self, flows: Flows) -> None:
        self.left += [Left(Exit.DELIVERED, state, flow) for state, flow in flows.items()]

    def _send(self, flows: Flows) -> None:
        self.left += [Left(Exit.SENT, state, flow) for state, flow in flows.items()]
