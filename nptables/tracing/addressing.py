"""Addresses that are known, addresses that are known only to be somewhere, and networks.

"A client outside the cluster" has no address. Such an address is a `Somewhere`: whether it lies in
a network may be sure, impossible or open, and an answer to an open question narrows it down, so
that later questions are answered in agreement with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import attrs

from nptables import inet
from nptables.family import Family
from nptables.model.addresses import pack_ip


class Net(NamedTuple):
    """The addresses that agree with `base` in the bits of `mask`; masks may have gaps."""

    base: int
    mask: int
    bits: int

    def holds(self, address: int) -> bool:
        """Whether an address of the same family, as a number, is one of them."""
        return address & self.mask == self.base

    def covers(self, other: Net) -> bool:
        """Whether every address of `other` is one of these."""
        return other.mask & self.mask == self.mask and other.base & self.mask == self.base

    def apart_from(self, other: Net) -> bool:
        """Whether no address is in both."""
        return bool((self.base ^ other.base) & self.mask & other.mask)


# No address that a host has for others.
NOT_OF_HOSTS = (
    "127.0.0.0/8", "224.0.0.0/4", "0.0.0.0/8", "255.255.255.255/32",
    "::/128", "::1/128", "ff00::/8",
)  # fmt: skip


# What no packet has as its source (`ip_route_input_slow` and `ip6_rcv_core` in the kernel).
NO_SOURCE = {
    Family.IPV4: ("0.0.0.0/8", "224.0.0.0/4", "255.255.255.255/32"),
    Family.IPV6: ("::/128", "ff00::/8"),
}


@lru_cache(maxsize=4096)
def number(address: str) -> int:
    """A canonical address as a number."""
    packed = pack_ip(address)
    if packed is None:
        raise ValueError(address)
    return int.from_bytes(packed)


@lru_cache(maxsize=4096)
def net(text: str) -> Net:
    """The network that `ADDRESS`, `ADDRESS/LENGTH` or `ADDRESS/MASK` names.

    Raises ValueError for any other text.
    """
    address, slash, length = text.partition("/")
    packed = pack_ip(address)
    if packed is None:
        raise ValueError(text)
    bits = 8 * len(packed)
    full = (1 << bits) - 1
    if not slash:
        mask = full
    elif length.isascii() and length.isdigit() and len(length) < 4 and int(length) <= bits:
        mask = full ^ (full >> int(length))
    else:
        packed_mask = pack_ip(length)
        if packed_mask is None or len(packed_mask) != len(packed):
            raise ValueError(text)
        mask = int.from_bytes(packed_mask)
    return Net(int.from_bytes(packed) & mask, mask, bits)


@attrs.frozen(cache_hash=True)
class Somewhere:
    """An address of which only this is known: it is in `within` and in none of `without`.

    Nor is it one of `hosts`, which are numbers and may be many. `text` says whose address it is,
    such as "a client outside the cluster". `outside` tells that it is no node's, no pod's and no
    endpoint's; `node` names the node that it belongs to.
    """

    text: str
    within: Net
    without: tuple[Net, ...] = ()
    outside: bool = False
    node: str = ""
    hosts: frozenset[int] = frozenset()

    @staticmethod
    def of(text: str, family: Family, without: tuple[str, ...] = ()) -> Somewhere:
        """An address anywhere in a family but in some networks; those of the other are ignored."""
        anywhere = net("0.0.0.0/0" if family is Family.IPV4 else "::/0")
        return Somewhere(
            text, anywhere, tuple(net(n) for n in dict.fromkeys(without) if Family.of(n) is family)
        )

    @staticmethod
    def of_node(node: str, family: Family) -> Somewhere:
        """One of the addresses of a node that others can send to, whichever."""
        mine = Somewhere.of(f"an address of {node}", family, NOT_OF_HOSTS)
        return attrs.evolve(mine, node=node)

    def is_in(self, network: Net) -> bool | None:
        """Whether the address is in a network; None where that is unknown."""
        if network.covers(self.within):
            return True
        if network.apart_from(self.within) or any(n.covers(network) for n in self.without):
            return False
        # Hosts are apart from `without`, since they may be thousands and are asked for one by one.
        single = network.base in self.hosts and network.mask.bit_count() == network.bits
        return False if single else None

    def narrowed(self, network: Net, *, inside: bool) -> Somewhere:
        """The same address, once it is known whether a network holds it."""
        if inside:
            both = Net(
                self.within.base | network.base, self.within.mask | network.mask, network.bits
            )
            return attrs.evolve(self, within=both)
        return attrs.evolve(self, without=(*self.without, network))

    def __str__(self) -> str:
        return self.text


Address = str | Somewhere


def is_in(address: Address, network: Net) -> bool | None:
    """Whether an address is in a network; None where that is unknown."""
    if isinstance(address, Somewhere):
        return address.is_in(network)
    return network.holds(number(address))


def family_of(address: Address) -> Family:
    """The family of an address."""
    if isinstance(address, Somewhere):
        return Family.IPV4 if address.within.bits == 32 else Family.IPV6
    return Family.of(address)


def with_port(address: Address, port: int | None) -> str:
    """`address:port` as people write it."""
    text = str(address)
    if port is None:
        return text
    return inet.with_port(text, port) if isinstance(address, str) else f"{text}, port {port}"


_BITS = 128
_LINK_LOCAL = net("fe80::/10")
_LOOPBACK = number("::1")
# The policy table of the kernel, `ip6addrlbl_init_table`, the longest prefixes first.
_LABELS = tuple(
    (net(network), label)
    for network, label in (
        ("::1/128", 0), ("::/96", 3), ("::ffff:0:0/96", 4), ("2001::/32", 6), ("2001:10::/28", 7),
        ("2002::/16", 2), ("fc00::/7", 5), ("::/0", 1),
    )
)  # fmt: skip


def best_source(
    addresses: Sequence[tuple[str, str]], interface: str, destination: str
) -> str | None:
    """The best of `addresses` (interface, and address with prefix length) for a destination.

    `interface` is the one that the packet leaves through. None where there is no address.
    """
    wanted = number(destination)

    def rank(entry: tuple[str, str]) -> tuple[bool, bool, bool, bool, int]:
        name, text = entry
        address, _, length = text.partition("/")
        own = number(address)
        # The bits that both begin with.
        alike = _BITS - (own ^ wanted).bit_length()
        # The order of rules in `ipv6_get_saddr_eval` in net/ipv6/addrconf.c (RFC 6724, section 5).
        # Facts do not say which addresses are deprecated or temporary, so those two rules are left
        # out.
        return (
            own == wanted,
            _is_near(own) == _is_near(wanted),
            name == interface,
            _label(own) == _label(wanted),
            min(alike, int(length or _BITS)),
        )

    # Of equals the first is taken, as the kernel lists them.
    best = max(addresses, key=rank, default=None)
    return None if best is None else best[1].partition("/")[0]


def _is_near(address: int) -> bool:
    return address == _LOOPBACK or _LINK_LOCAL.holds(address)


def _label(address: int) -> int:
    return next(label for network, label in _LABELS if network.holds(address))
