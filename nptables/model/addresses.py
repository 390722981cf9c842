"""Addresses and networks as text: read strictly or as kube-proxy reads what is stored.

Canonical text is what the kernel's tools print (`inet_ntop`). An IPv4-mapped IPv6 address is
the IPv4 address, as it is for Kubernetes.
"""

from __future__ import annotations

import re

from nptables.family import Family
from nptables.inet import pack_ipv4, pack_ipv6, unpack_ip

_MAPPED = bytes(10) + b"\xff\xff"
_LEADING_ZEROS = re.compile(r"(?<![0-9])0+(?=[0-9])")
_PREFIX = re.compile(r"[0-9]{1,3}")


def parse_ip(text: str) -> str | None:
    """The canonical text of a correctly written address, or None.

    Leading zeros and IPv4-mapped addresses, which today's API server refuses, are None.
    """
    packed = pack_ip(text)
    if packed is None:
        return None
    if len(packed) == 4:
        return text
    return None if packed.startswith(_MAPPED) else unpack_ip(packed)


def parse_ip_sloppy(text: str) -> str | None:
    """The canonical text of an address as kube-proxy reads a stored one, or None.

    Leading zeros in IPv4 octets are decimal, IPv4-mapped addresses are IPv4.
    """
    packed = _pack_sloppy(text)
    return None if packed is None else _unpack(packed)


def parse_network(text: str) -> str | None:
    """The canonical network (host bits cleared) of a correctly written CIDR, or None."""
    address, slash, prefix = text.partition("/")
    packed = pack_ip(address)
    if (
        packed is None
        or not slash
        or packed.startswith(_MAPPED)
        or (len(prefix) > 1 and prefix[0] == "0")
    ):
        return None
    return _network(packed, prefix)


def parse_network_sloppy(text: str) -> str | None:
    """The canonical network of a CIDR as kube-proxy reads a stored one, or None."""
    address, slash, prefix = text.partition("/")
    packed = _pack_sloppy(address)
    if packed is None or not slash:
        return None
    return _network(packed, prefix)


def parse_ip_octal(text: str) -> str | None:
    """The canonical text of an address as iptables reads it, or None where it refuses it.

    It takes octets with leading zeros for octal; it knows IPv4-mapped addresses as IPv4.
    """
    if ":" in text:
        packed = pack_ip(text)
        return None if packed is None else _unpack(packed)
    octets = [_octal(octet) for octet in text.split(".")]
    if len(octets) != 4 or any(octet is None or octet > 255 for octet in octets):
        return None
    return ".".join(map(str, octets))


def parse_network_octal(text: str) -> str | None:
    """The canonical network of a CIDR as iptables reads it, or None where it refuses it."""
    base, _, prefix = text.partition("/")
    length = _octal(prefix)
    address = base if ":" in base else parse_ip_octal(base)
    packed = None if address is None else pack_ip(address)
    if packed is None or length is None or (packed.startswith(_MAPPED) and length >= 96):
        return None
    return _network(packed, str(length))


def spelled_by_go(address: str) -> str:
    """A canonical address as Go spells it: an IPv6 one never with an embedded IPv4 address."""
    head, _, tail = address.rpartition(":")
    if not head or "." not in tail:
        return address
    a, b, c, d = (int(octet) for octet in tail.split("."))
    high, low = a << 8 | b, c << 8 | d
    if high == 0 and head == ":":
        return f"::{low:x}"
    return f"{head}:{high:x}:{low:x}"


def pack_ip(text: str) -> bytes | None:
    """The bytes of a correctly written address, 4 or 16 of them, or None."""
    return pack_ipv6(text) if ":" in text else pack_ipv4(text)


def network_contains(network: str, address: str) -> bool:
    """Whether a canonical network holds a canonical address; never across families."""
    base, _, prefix = network.partition("/")
    network_bytes, address_bytes = pack_ip(base), pack_ip(address)
    if network_bytes is None or address_bytes is None or len(network_bytes) != len(address_bytes):
        return False
    shift = 8 * len(address_bytes) - int(prefix)
    return int.from_bytes(network_bytes) >> shift == int.from_bytes(address_bytes) >> shift


def is_loopback(address: str) -> bool:
    """Whether a canonical address is in 127.0.0.0/8 or is ::1."""
    return address.startswith("127.") or address == "::1"


def prefix_length(network: str) -> int:
    """The prefix length of a canonical network."""
    return int(network.rpartition("/")[2])


def with_host_prefix(address: str) -> str:
    """`address` as the network of itself alone, the way iptables prints it."""
    return f"{address}/{Family.of(address).host_prefix}"


def _octal(text: str) -> int | None:
    """A number as strtoul reads it without a given base, or None."""
    if not text.isascii() or not text.isdigit():
        return None
    try:
        # Hexadecimal, which strtoul takes as well, no API server lets through.
        return int(text, 8) if text[0] == "0" else int(text)
    except ValueError:
        return None


def _pack_sloppy(text: str) -> bytes | None:
    packed = pack_ip(text)
    if packed is None and "." in text:
        packed = pack_ip(_LEADING_ZEROS.sub("", text) if ":" not in text else _strip_embedded(text))
    return packed


def _strip_embedded(text: str) -> str:
    head, _, tail = text.rpartition(":")
    return f"{head}:{_LEADING_ZEROS.sub('', tail)}"


def _unpack(packed: bytes) -> str:
    return unpack_ip(packed[12:] if packed.startswith(_MAPPED) else packed)


def _network(packed: bytes, prefix_text: str) -> str | None:
    bits = 8 * len(packed)
    if not _PREFIX.fullmatch(prefix_text) or not prefix_text.isascii():
        return None
    prefix = int(prefix_text)
    if prefix > bits:
        return None
    # Go takes a network in ::ffff:0:0/96 for an IPv4 one (`networkNumberAndMask` in net/ip.go).
    if packed.startswith(_MAPPED) and prefix >= 96:
        packed, prefix, bits = packed[12:], prefix - 96, 32
    shift = bits - prefix
    masked = (int.from_bytes(packed) >> shift << shift).to_bytes(bits // 8)
    return f"{unpack_ip(masked)}/{prefix}"
