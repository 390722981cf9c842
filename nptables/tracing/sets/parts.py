"""The parts of a set's entry, such as the address and the port of `10.1.2.3,tcp:80`."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from nptables.family import Family
from nptables.iptables.protocols import protocol_name
from nptables.tracing.surroundings.addressing import Address, Net, is_in, net, number

_WITH_PORTS = ("tcp", "udp", "sctp", "udplite")


class Side(NamedTuple):
    """What `src` or `dst` of a set match stands for in a packet.

    `port` and `interface` are None where they are not known, `interface` is empty where there
    is none.
    """

    address: Address
    port: int | None
    interface: str | None
    protocol: str


class Part(Protocol):
    """One part of an entry."""

    @property
    def length(self) -> int:
        """How narrow it is: the kernel looks at long prefixes first."""

    def fits(self, side: Side) -> bool | None:
        """Whether a packet fits; None where that is unknown."""


class AddressPart(NamedTuple):
    """An address or a network."""

    network: Net

    @property
    def bits(self) -> int:
        """The length of an address of its family."""
        return self.network.bits

    @property
    def length(self) -> int:
        """The length of the prefix."""
        return self.network.mask.bit_count()

    def fits(self, side: Side) -> bool | None:
        """Whether the address is in it."""
        return is_in(side.address, self.network)


class RangePart(NamedTuple):
    """Addresses from one to another."""

    first: int
    last: int
    bits: int

    @property
    def length(self) -> int:
        """The length of the prefix that they have in common."""
        return self.bits - (self.first ^ self.last).bit_length()

    def fits(self, side: Side) -> bool | None:
        """Whether the address is one of them."""
        if not isinstance(side.address, str):
            return None
        return self.first <= number(side.address) <= self.last


class PortPart(NamedTuple):
    """A port or a range of them, of some protocols."""

    protocols: tuple[str, ...]
    low: int
    high: int
    length: int = 0

    def fits(self, side: Side) -> bool | None:
        """Whether protocol and port fit."""
        if side.protocol not in self.protocols:
            return False
        return None if side.port is None else self.low <= side.port <= self.high


class InterfacePart(NamedTuple):
    """An interface, or with `prefix` all whose names begin so."""

    name: str
    prefix: bool
    length: int = 0

    def fits(self, side: Side) -> bool | None:
        """Whether it is the interface of this side."""
        if side.interface is None:
            return None
        return side.interface.startswith(self.name) if self.prefix else side.interface == self.name


class OpenPart(NamedTuple):
    """What a trace does not know of a packet: a MAC address, a bridge port, an ICMP type."""

    protocol: str = ""
    length: int = 0

    def fits(self, side: Side) -> bool | None:
        """Open, unless the protocol is another."""
        return False if self.protocol and side.protocol != self.protocol else None


def read_part(kind: str, text: str, family: Family | None, *, mask: str, wildcard: bool) -> Part:
    """A part as `ipset save` writes it; `kind` is its word in the type of the set.

    `family` and `mask` (a netmask or bitmask, or empty) are the set's, `wildcard` is an option
    of the entry. Raises ValueError.
    """
    if kind in ("ip", "net"):
        part = _address_part(text, mask)
        if family is None or part.bits != family.host_prefix:
            raise ValueError(text)
        return part
    if kind == "port":
        return _port_part(text)
    if kind == "number":
        low, high = _ports(text)
        # bitmap_port_kadt looks at TCP and UDP only, and not which of them it is.
        return PortPart(("tcp", "udp"), low, high)
    if kind == "iface" and not text.startswith("physdev:"):
        return InterfacePart(text, wildcard)
    return OpenPart()


def _address_part(text: str, mask: str) -> AddressPart | RangePart:
    first, dash, last = text.partition("-")
    if dash:
        low, high = net(first), net(last)
        if low.bits != high.bits or low.base > high.base or mask or "/" in text:
            raise ValueError(text)
        return RangePart(low.base, high.base, low.bits)
    return AddressPart(net(f"{text}/{mask}" if mask and "/" not in text else text))


def _port_part(text: str) -> Part:
    word, colon, ports = text.rpartition(":")
    protocol = (protocol_name(word) or "") if colon else "tcp"
    if not protocol:
        raise ValueError(text)
    if protocol not in _WITH_PORTS:
        # An ICMP type, which has many spellings, or the 0 of a protocol without ports.
        return OpenPart(protocol)
    return PortPart((protocol,), *_ports(ports))


def _ports(text: str) -> tuple[int, int]:
    low, _, high = text.partition("-")
    first, last = _number(low), _number(high or low)
    if first > last:
        raise ValueError(text)
    return first, last


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6 and int(text) < 65536):
        raise ValueError(text)
    return int(text)
