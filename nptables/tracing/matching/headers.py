"""Matches on fields of the packet, and on the type of its addresses."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nptables.family import Family
from nptables.iptables.values import any_icmp_type, icmp_type, mark_and_mask, one_of, port
from nptables.tracing.addressing import Address, is_in, net, number
from nptables.tracing.matching.conditions import Answer, Condition, Setting, asking
from nptables.tracing.state import State

Words = tuple[str, ...]
Builder = Callable[[Words], Condition]
Ranges = tuple[tuple[int, int], ...]


def port_ranges(text: str, separator: str = ":") -> Ranges:
    """`80`, `80:90` or a list of them, as pairs of first and last."""
    found = []
    for part in text.split(","):
        low, dash, high = part.partition(separator)
        # `:90` is 0:90, and `80:` is 80:65535 (iptables-extensions(8), tcp, --source-port).
        first = port(low) if low else 0
        found.append((first, (port(high) if high else 65535) if dash else first))
    return tuple(found)


def _in_ranges(value: int, ranges: Ranges) -> bool:
    return any(low <= value <= high for low, high in ranges)


def source_port_in(state: State, setting: Setting, ranges: Ranges, text: str) -> Answer:
    """Whether the source port is in ranges; an unnamed ephemeral one is unknown."""
    if state.source_port is not None:
        return _in_ranges(state.source_port, ranges)
    # Any port will do, so there is nothing to ask.
    if ranges == ((0, 65535),):
        return True
    return asking(state, setting, ("source port", ranges), f"the source port is in {text}")


def _source_port(words: Words) -> Condition:
    ranges = port_ranges(words[0])
    return lambda state, setting: source_port_in(state, setting, ranges, words[0])


def port_in(state: State, setting: Setting, ranges: Ranges, text: str) -> Answer:
    """Whether the destination port is in ranges."""
    if state.port is not None:
        return _in_ranges(state.port, ranges)
    return asking(
        state, setting, ("port", state.destination, ranges), f"the destination port is in {text}"
    )


def _port(words: Words) -> Condition:
    ranges = port_ranges(words[0])

    def holds(state: State, setting: Setting) -> Answer:
        value = state.port
        if value is not None:
            return _in_ranges(value, ranges)
        return port_in(state, setting, ranges, words[0])

    return holds


def _either_port(words: Words) -> Condition:
    ranges = port_ranges(words[0])

    def holds(state: State, setting: Setting) -> Answer:
        if port_in(state, setting, ranges, words[0]) is True:
            return True
        return source_port_in(state, setting, ranges, words[0])

    return holds


def _tcp_flags(words: Words) -> Condition:
    looked_at, wanted = _flags(words[0]), _flags(words[1])
    return lambda _state, setting: (setting.tcp_flags & looked_at) == wanted


def _flags(text: str) -> frozenset[str]:
    if text.upper() == "NONE":
        return frozenset()
    if text.upper() == "ALL":
        return frozenset({"FIN", "SYN", "RST", "PSH", "ACK", "URG"})
    return frozenset(text.upper().split(","))


def _syn(_words: Words) -> Condition:
    # What --syn stands for, and how iptables-save prints it (iptables-extensions(8), tcp).
    return _tcp_flags(("FIN,SYN,RST,ACK", "SYN"))


def _icmp(words: Words) -> Condition:
    def holds(_state: State, setting: Setting) -> Answer:
        if any_icmp_type(words[0], setting.family):
            return True
        kind, slash, code = icmp_type(words[0], setting.family).partition("/")
        return int(kind) == setting.icmp[0] and (not slash or int(code) == setting.icmp[1])

    return holds


def _source_range(words: Words) -> Condition:
    return lambda state, setting: _between(state.source, state, setting, words[0])


def _destination_range(words: Words) -> Condition:
    return lambda state, setting: _between(state.destination, state, setting, words[0])


def _between(address: Address, state: State, setting: Setting, text: str) -> Answer:
    first, _, last = text.partition("-")
    if isinstance(address, str):
        return number(first) <= number(address) <= number(last or first)
    return asking(state, setting, (address, text), f"{address} is in {text}")


def _mark(words: Words) -> Condition:
    value, mask = mark_and_mask(words[0])
    return lambda state, _setting: state.mark & mask == value


# `supported_types` in libxt_pkttype.c.
_PACKET_TYPES = {
    "unicast": "unicast", "host": "unicast", "broadcast": "broadcast", "bcast": "broadcast",
    "multicast": "multicast", "mcast": "multicast",
}  # fmt: skip


def _packet_type(words: Words) -> Condition:
    """Whom the frame was for: as the destination when it came in, this node alone if it did not."""
    wanted = one_of(words[0], _PACKET_TYPES)

    def holds(_state: State, setting: Setting) -> Answer:
        destination = setting.original.destination
        if setting.from_node:
            return wanted == "unicast"
        if is_in(destination, MULTICAST[setting.family]):
            return wanted == "multicast"
        return wanted == ("broadcast" if setting.is_broadcast(destination) else "unicast")

    return holds


def _forbidden(_words: Words) -> Condition:
    return lambda _state, _setting: False


MULTICAST = {Family.IPV4: net("224.0.0.0/4"), Family.IPV6: net("ff00::/8")}
_PORTS: Mapping[str, Builder] = {"--sport": _source_port, "--dport": _port}

HEADER_MATCHES: Mapping[str, Mapping[str, Builder]] = {
    "tcp": {**_PORTS, "--tcp-flags": _tcp_flags, "--syn": _syn},
    "udp": _PORTS,
    "sctp": _PORTS,
    "dccp": _PORTS,
    "multiport": {"--sports": _source_port, "--dports": _port, "--ports": _either_port},
    "icmp": {"--icmp-type": _icmp},
    "icmp6": {"--icmpv6-type": _icmp},
    "iprange": {"--src-range": _source_range, "--dst-range": _destination_range},
    "mark": {"--mark": _mark},
    "pkttype": {"--pkt-type": _packet_type},
    # A routed packet is not being bridged; through which bridge port it came is another matter.
    "physdev": {"--physdev-is-bridged": _forbidden},
}
