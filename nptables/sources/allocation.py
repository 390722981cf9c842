"""Addresses and ports that follow from a name and are not taken yet."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container, Iterable
from ipaddress import IPv4Network, IPv6Network, ip_network

from nptables.family import Family
from nptables.model import addresses
from nptables.sources.ranges import Ranges

# So many places that follow from a name are tried. Only in a range that is almost full all are
# taken, and then the free ones are counted from the end.
_TRIES = 64


class Exhausted(Exception):
    """Nothing is left of a range; the text says of which."""


def pick(key: str, size: int, is_taken: Callable[[int], bool], *, above: int = 0) -> int | None:
    """A number below `size` that follows from `key` and is not taken, or None.

    Numbers below `above` are used only when the others are taken: an API server keeps them for
    values that people choose.
    """
    width = size - above
    if width <= 0:
        above, width = 0, size
    for attempt in range(_TRIES):
        digest = hashlib.sha256(f"{attempt}\n{key}".encode("utf-8", "surrogatepass")).digest()
        number = above + int.from_bytes(digest[:8]) % width
        if not is_taken(number):
            return number
    # A range of IPv6 is too large to be gone through.
    for step in range(min(size, 1 << 20)):
        if not is_taken(size - 1 - step):
            return size - 1 - step
    return None


def pick_address(
    key: str, network: IPv4Network | IPv6Network, taken: Container[str], *, above: int = 1
) -> str | None:
    """An address of a network, never its first or its last, that is not taken; canonical text."""
    size = network.num_addresses
    base = int(network.network_address)
    kind = type(network.network_address)
    # As an API server's allocator, which omits both (pkg/registry/core/service/ipallocator).
    last = size - 1 if size > 2 else size
    # The canonical text of an IPv4-compatible address is not ipaddress's; nobody picks those.
    number = pick(key, last, lambda n: n == 0 or str(kind(base + n)) in taken, above=above)
    return None if number is None else str(kind(base + number))


class Allocator:
    """Keeps what is taken of the ranges of a cluster."""

    def __init__(self, ranges: Ranges) -> None:
        self._ranges = ranges
        self._networks = {family: ip_network(text) for family, text in ranges.networks.items()}
        self._addresses: set[str] = set()
        self._ports: set[int] = set()

    def take_addresses(self, texts: Iterable[str]) -> None:
        """Note addresses that are given; what is no address is skipped."""
        for text in texts:
            canonical = addresses.parse_ip_sloppy(text)
            if canonical is not None:
                self._addresses.add(canonical)

    def take_ports(self, numbers: Iterable[int]) -> None:
        """Note ports that are given."""
        self._ports.update(numbers)

    def address(self, key: str, family: Family) -> str:
        """A free cluster IP. Raises Exhausted."""
        network = self._networks[family]
        # The lower band that the API server's own allocator leaves to people (KEP-3070).
        band = min(max(16, network.num_addresses // 16), 256)
        found = pick_address(f"clusterIP {key}", network, self._addresses, above=band)
        if found is None:
            raise Exhausted(f"no address is left in {network}")
        self._addresses.add(found)
        return found

    def port(self, key: str) -> int:
        """A free node port. Raises Exhausted."""
        first, last = self._ranges.first_port, self._ranges.last_port
        size = last - first + 1
        # The same for ports (KEP-3668), in ranges of more than 16 (`calculateRangeOffset` in
        # pkg/registry/core/service/portallocator): of a smaller one, nothing would be left.
        band = min(max(16, size // 32), 128)
        number = pick(f"nodePort {key}", size, lambda n: first + n in self._ports, above=band)
        if number is None:
            raise Exhausted(f"no port is left in {first}-{last}")
        self._ports.add(first + number)
        return first + number
