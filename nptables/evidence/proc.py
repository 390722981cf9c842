"""Addresses and routes from files of /proc/net, where no program `ip` could be asked.

The formats are those of net/ipv4/fib_trie.c and net/ipv6/{addrconf,route}.c.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nptables.family import Family
from nptables.model.addresses import (
    network_contains,
    parse_ip_sloppy,
    parse_network_sloppy,
    prefix_length,
)

_LOCAL = re.compile(r"\|-- ([0-9.]+)\n\s+/32 host LOCAL")
_HEXADECIMAL = re.compile(r"[0-9a-fA-F]{1,8}")
_UP, _REJECT = 0x1, 0x200
_LOCAL_ROUTE, _ANYCAST = 0x80000000, 0x100000
_LOOPBACK = "lo"
# Where an address is put whose interface is unknown.
UNKNOWN = "(unknown)"

Route = Mapping[str, Any]


def interfaces_of_proc(
    names: Sequence[str], fib_trie: str, if_inet6: str, routes: Sequence[Route]
) -> dict[str, list[str]]:
    """Interface names to addresses with prefix length.

    Of IPv4 addresses the kernel shows no interface there: it is that of the network they are in,
    by the routes, and UNKNOWN for one that is in none.
    """
    found: dict[str, list[str]] = {name: [] for name in names if name}
    for address in dict.fromkeys(_LOCAL.findall(fib_trie)):
        name, prefix = _place(address, routes)
        found.setdefault(name, []).append(f"{address}/{prefix}")
    for line in if_inet6.splitlines():
        fields = line.split()
        if len(fields) == 6 and (written := _ipv6(fields[0])):
            found.setdefault(fields[5], []).append(f"{written}/{_number(fields[2])}")
    return found


def _place(address: str, routes: Sequence[Route]) -> tuple[str, int]:
    """The interface of an address of the node, and its prefix length."""
    if address.startswith("127."):
        return _LOOPBACK, 8
    for route in routes:
        network = parse_network_sloppy(str(route["dst"]))
        if "gateway" in route or network is None or Family.of(network) is not Family.IPV4:
            continue
        if network_contains(network, address):
            return str(route["dev"]), prefix_length(network)
    return UNKNOWN, 32


def routes_of_proc(route: str, ipv6_route: str) -> list[dict[str, Any]]:
    """The routes in /proc/net/route and /proc/net/ipv6_route as `ip -j route` has them."""
    return [*_routes(route), *_routes6(ipv6_route)]


def _routes(text: str) -> Iterator[dict[str, Any]]:
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 8 or _number(fields[3]) & (_UP | _REJECT) != _UP:
            continue
        destination, gateway = _ipv4(fields[1]), _ipv4(fields[2])
        length = _number(fields[7]).bit_count()
        written: dict[str, Any] = {
            "dst": "default" if not _number(fields[7]) else f"{destination}/{length}"
        }
        if _number(fields[2]):
            written["gateway"] = gateway
        written["dev"] = fields[0]
        yield written


def _routes6(text: str) -> Iterator[dict[str, Any]]:
    for line in text.splitlines():
        fields = line.split()
        if len(fields) != 10:
            continue
        if _number(fields[8]) & (_UP | _LOCAL_ROUTE | _ANYCAST | _REJECT) != _UP:
            continue
        destination, gateway, length = _ipv6(fields[0]), _ipv6(fields[4]), _number(fields[1])
        if destination is None or destination.startswith("ff"):
            continue
        written: dict[str, Any] = {"dst": f"{destination}/{length}" if length else "default"}
        if gateway not in (None, "::"):
            written["gateway"] = gateway
        written["dev"] = fields[9]
        yield written


def _ipv4(text: str) -> str:
    """An address as the kernel writes it there: hexadecimal, its bytes the other way round."""
    number = _number(text)
    return ".".join(str(number >> shift & 255) for shift in (0, 8, 16, 24))


def _ipv6(text: str) -> str | None:
    """An address in 32 hexadecimal digits."""
    return parse_ip_sloppy(":".join(text[i : i + 4] for i in range(0, 32, 4)))


def _number(text: str) -> int:
    """A hexadecimal number; what is none is 0."""
    return int(text, 16) if _HEXADECIMAL.fullmatch(text) else 0
