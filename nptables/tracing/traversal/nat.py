"""What DNAT, SNAT, MASQUERADE and REDIRECT do to a packet.

Connection tracking notes a translation only where it changes something (`nf_nat_setup_info` in
net/netfilter/nf_nat_core.c): DNAT to where the packet goes anyway leaves `--ctstate DNAT` false.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import attrs

from nptables.family import Family
from nptables.immutable import frozen
from nptables.iptables.rule import Target
from nptables.iptables.values import port as port_number
from nptables.model.addresses import parse_ip
from nptables.tracing.addressing import Address, Net, Somewhere, number
from nptables.tracing.state import State

# Protocols of whose packets nat can change the source port, or what stands for it.
_ICMP = frozenset({"icmp", "ipv6-icmp"})
_WITH_SOURCE_PORTS = _ICMP | {"tcp", "udp", "udplite", "sctp", "dccp"}


class Translator(Protocol):
    """What translations need to know about the node and the packet."""

    @property
    def family(self) -> Family:
        """The family of the packet."""

    @property
    def protocol(self) -> str:
        """The protocol in lower case."""

    def masquerade_address(self, state: State) -> Address:
        """The address that MASQUERADE gives to a packet."""

    def redirect_address(self, state: State) -> Address:
        """The address that REDIRECT sends a packet to."""


Change = Callable[[State, Translator], State]


@frozen
class Range:
    """Where a translation leads; None keeps what the packet has.

    Where `addresses` has a first and a last one, `address` is somewhere in between. `random`
    draws the port. With `base`, the packets to that port get the first of `ports`, those to the
    next port the next, and so on.
    """

    address: Address | None
    ports: tuple[int, int] | None
    addresses: tuple[int, int] | None = None
    random: bool = False
    base: int | None = None

    def port_for(self, port: int | None) -> int | None:
        """The port that a packet gets; None where the kernel chooses."""
        if self.ports is None:
            return port
        low, high = self.ports
        if low == high:
            return low
        if self.base is not None and not self.random:
            # Unsigned 16 bits, and round and round in the range (NF_NAT_RANGE_PROTO_OFFSET in
            # `nf_nat_l4proto_unique_tuple`). What --random does to it differs between kernels.
            return None if port is None else low + (port - self.base) % 65536 % (high - low + 1)
        # The kernel keeps what lies in the range already, unless it is told to draw
        # (`get_unique_tuple` in net/netfilter/nf_nat_core.c).
        kept = port is not None and low <= port <= high and not self.random
        return port if kept else None

    def has(self, address: Address, port: int | None) -> bool | None:
        """Whether an address and a port are within the range; None where that is unknown."""
        within: bool | None = self.address is None or address == self.address
        if self.addresses is not None and isinstance(address, str):
            first, last = self.addresses
            within = first <= number(address) <= last
        if not within or self.ports is None:
            return within
        return None if port is None else self.ports[0] <= port <= self.ports[1]


def new_destination(target: Target) -> Change:
    """The change that DNAT makes. Raises ValueError."""
    to = _needed_range(target, "--to-destination")
    return lambda state, node: _with_destination(state, to, node)


def new_source(target: Target) -> Change:
    """The change that SNAT makes. Raises ValueError."""
    to = _needed_range(target, "--to-source")
    return lambda state, node: _with_source(state, to, node)


def masquerade(target: Target) -> Change:
    """The change that MASQUERADE makes. Raises ValueError."""
    ports = _range_of(target, "--to-ports", before=":")

    def translated(state: State, node: Translator) -> State:
        return _with_source(
            state, attrs.evolve(ports, address=node.masquerade_address(state)), node
        )

    return translated


def redirect(target: Target) -> Change:
    """The change that REDIRECT makes. Raises ValueError."""
    ports = _range_of(target, "--to-ports", before=":")

    def translated(state: State, node: Translator) -> State:
        to = attrs.evolve(ports, address=node.redirect_address(state))
        return _with_destination(state, to, node)

    return translated


def _with_destination(state: State, to: Range, node: Translator) -> State:
    port = to.port_for(state.port)
    # What stands for the port of an echo request is drawn anew in either direction.
    changes = port != state.port or (to.random and node.protocol in _ICMP)
    if to.address is None or to.address == state.destination:
        return state._replace(port=port, dnat=True) if changes else state
    # Which address of a range it becomes, the kernel draws: perhaps the one that it had.
    perhaps = not changes and to.has(state.destination, port)
    return state._replace(destination=to.address, port=port, dnat=None if perhaps else True)


def _with_source(state: State, to: Range, node: Translator) -> State:
    # Without ports there is nothing to draw, and --random changes nothing.
    drawn = to.random and node.protocol in _WITH_SOURCE_PORTS
    within = False if drawn else to.has(state.source, state.source_port)
    if within:
        return state
    source = state.source if to.address is None else to.address
    # The port is kept where nobody else has it, which is not known here.
    port = to.port_for(state.source_port) if to.ports is not None and not drawn else None
    return state._replace(source=source, source_port=port, snat=None if within is None else True)


def _needed_range(target: Target, name: str) -> Range:
    """The range of a target that iptables takes with a range only: else words are missing."""
    if target.option(name) is None:
        raise ValueError(name)
    return _range_of(target, name)


def _range_of(target: Target, name: str, before: str = "") -> Range:
    option = target.option(name)
    text = before + option.value if option is not None else ""
    random = any(o.name in ("--random", "--random-fully") for o in target.options)
    return attrs.evolve(nat_range(text), random=random)


def nat_range(text: str) -> Range:
    """The range in `ADDRESS[-ADDRESS][:PORT[-PORT[/PORT]]]`. Raises ValueError."""
    address_text, ports_text = _split_ports(text)
    ports: tuple[int, int] | None = None
    base: int | None = None
    if ports_text:
        range_text, slash, base_text = ports_text.partition("/")
        low, _, high = range_text.partition("-")
        ports = port_number(low), port_number(high or low)
        base = port_number(base_text) if slash else None
    first, _, last = (_canonical(part) for part in address_text.strip("[]").partition("-"))
    if not first:
        return Range(None, ports, base=base)
    ends = number(first), number(last or first)
    if ends[0] == ends[1]:
        return Range(first, ports, base=base)
    common = _common(*ends, Family.of(first).host_prefix)
    return Range(Somewhere(f"one of {first} to {last}", common), ports, ends, base=base)


def _canonical(text: str) -> str:
    return parse_ip(text) or text


def _common(first: int, last: int, bits: int) -> Net:
    """The smallest network that holds two addresses."""
    # All bits from the first one in which the ends differ.
    rest = (1 << (first ^ last).bit_length()) - 1
    mask = ((1 << bits) - 1) ^ rest
    return Net(first & mask, mask, bits)


def _split_ports(text: str) -> tuple[str, str]:
    if text.startswith("["):
        address, _, ports = text.partition("]")
        return address + "]", ports.lstrip(":")
    if text.count(":") > 1:
        return text, ""
    address, _, ports = text.partition(":")
    return address, ports
