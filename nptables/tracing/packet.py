"""The packet that is traced: the first of a connection."""

from __future__ import annotations

import enum

import attrs

from nptables.errors import InvalidInput, Problem
from nptables.family import Family
from nptables.immutable import frozen
from nptables.iptables.protocols import protocol_name
from nptables.model.addresses import parse_ip
from nptables.tracing.addressing import Address, family_of, with_port

TRACKING = ("NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED")
_ECHO_REQUEST = {Family.IPV4: (8, 0), Family.IPV6: (128, 0)}


class Origin(enum.Enum):
    """Where a packet comes from, as seen by the node."""

    OUTSIDE = "outside"
    POD = "pod"
    NODE = "node"


def _address(value: object) -> Address:
    if isinstance(value, str):
        canonical = parse_ip(value)
        if canonical is None:
            raise InvalidInput([Problem(f'"{value}" is not an IP address', "such as 10.9.8.7")])
        return canonical
    return value  # type: ignore[return-value]


def _protocol(value: str | int) -> str:
    found = protocol_name(str(value))
    if found is None:
        raise InvalidInput([Problem(f'"{value}" is not a protocol', hint="TCP, UDP, SCTP or ICMP")])
    return found


def _is_port(value: object) -> bool:
    return isinstance(value, int) and 0 < value < 65536


@frozen
class Packet:
    """The first packet of a connection.

    `destination` is an address. `source` is an address, or None if the sender chooses it: a client
    outside the cluster, or the node itself for `origin` NODE. `origin` is None if it follows from
    the source. `port` is None for protocols without ports, `source_port` is None for any port.
    `protocol` is a name in any case, or a number. `tracking` is the state in connection tracking:
    NEW for the first packet of a connection. Only NEW packets pass nat. `in_interface` is the
    interface by which it arrives, or None if that follows from the routes or is unknown.

    Raises InvalidInput for an invalid address, port, protocol or state, and for addresses of two
    families.
    """

    destination: Address = attrs.field(converter=_address)
    port: int | None = None
    protocol: str = attrs.field(default="tcp", converter=_protocol)
    source: Address | None = attrs.field(
        default=None, converter=attrs.converters.optional(_address)
    )
    source_port: int | None = None
    origin: Origin | None = None
    in_interface: str | None = None
    mark: int = 0
    tracking: str = attrs.field(default="NEW")
    tcp_flags: frozenset[str] = frozenset({"SYN"})
    icmp_type: tuple[int, int] | None = None
    source_node: str = ""

    def __attrs_post_init__(self) -> None:
        """Refuse what cannot be a packet."""
        problems = [
            Problem(f"{port!r} is not a port number", hint="a number from 1 to 65535")
            for port in (self.port, self.source_port)
            if port is not None and not _is_port(port)
        ]
        if self.tracking not in TRACKING:
            problems.append(
                Problem(f'"{self.tracking}" is not a state', hint="one of " + ", ".join(TRACKING))
            )
        if self.source is not None and family_of(self.source) is not self.family:
            problems.append(
                Problem(f"{self.source} and {self.destination} are not of the same family")
            )
        if problems:
            raise InvalidInput(problems)

    @property
    def family(self) -> Family:
        """The family of its addresses."""
        return family_of(self.destination)

    @property
    def icmp(self) -> tuple[int, int]:
        """ICMP type and code; an echo request unless another is given."""
        return self.icmp_type or _ECHO_REQUEST[self.family]

    def __str__(self) -> str:
        source = "the node" if self.origin is Origin.NODE else "outside"
        whence = source if self.source is None else with_port(self.source, self.source_port)
        return f"{self.protocol} {whence} -> {with_port(self.destination, self.port)}"
