"""Addresses as text and as bytes, as inet_pton(3) and inet_ntop(3) of glibc have them.

Not all systems have these for IPv6 (WebAssembly has not), nor do all print alike (an address that
ends in an IPv4 address). This is the same everywhere, and of the text alone.
"""

from __future__ import annotations

import re
from struct import pack, unpack

_OCTETS = {str(value): value for value in range(256)}
_GROUP = re.compile(r"[0-9a-fA-F]{1,4}", re.ASCII)

_RUNS_OF_ZEROS = tuple(f":{'0:' * length}" for length in range(8, 1, -1))


class _Groups(dict[str, int]):
    """The values of groups of an IPv6 address; those in the usual spelling are remembered."""

    def __missing__(self, text: str) -> int:
        if not _GROUP.fullmatch(text):
            raise KeyError(text)
        value = int(text, 16)
        if text == f"{value:x}":
            self[text] = value
        return value


_GROUPS = _Groups()


def pack_ipv4(text: str) -> bytes | None:
    """The four bytes of an address in decimal octets without leading zeros, or None."""
    try:
        a, b, c, d = text.split(".")
        return bytes((_OCTETS[a], _OCTETS[b], _OCTETS[c], _OCTETS[d]))
    except (KeyError, ValueError):
        return None


def pack_ipv6(text: str) -> bytes | None:
    """The sixteen bytes of an IPv6 address, or None."""
    head, gap, tail = text.partition("::")
    left = head.split(":") if head or not gap else []
    right = tail.split(":") if tail else []
    try:
        last = right if gap else left
        if "." in text and last:
            last[-1:] = _embedded(last[-1])
        missing = 8 - len(left) - len(right)
        if (missing < 1) if gap else missing:
            return None
        values = [_GROUPS[group] for group in left]
        values += [0] * missing
        values += [_GROUPS[group] for group in right]
    except KeyError:
        return None
    return pack("!8H", *values)


def _embedded(text: str) -> list[str]:
    """The two groups of an IPv4 address at the end of an IPv6 address."""
    packed = pack_ipv4(text)
    if packed is None:
        raise KeyError(text)
    return [packed[:2].hex(), packed[2:].hex()]


def with_port(address: str, port: int | str) -> str:
    """`address:port` as people and Go write it, an IPv6 address in brackets."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def unpack_ip(packed: bytes) -> str:
    """The text of an address of four or sixteen bytes.

    Of several longest runs of two or more zero groups the first is left out. An IPv4 address is
    written as one where it is all that an IPv6 address holds, or is mapped.
    """
    if len(packed) == 4:
        a, b, c, d = packed
        return f"{a}.{b}.{c}.{d}"
    a, b, c, d, e, f, g, h = unpack("!8H", packed)
    text = f":{a:x}:{b:x}:{c:x}:{d:x}:{e:x}:{f:x}:{g:x}:{h:x}:"
    if ":0:0:" not in text:
        return text[1:-1]
    for run in _RUNS_OF_ZEROS:
        head, found, tail = text.partition(run)
        if found:
            break
    if not head and (tail.count(":") == 2 or (tail.count(":") == 3 and tail.startswith("ffff:"))):
        prefix = "::ffff:" if tail.count(":") == 3 else "::"
        return prefix + unpack_ip(packed[12:])
    return f"{head[1:]}::{tail[:-1]}"
