"""Which of its addresses a node gives to an IPv6 packet, after RFC 6724.

The rules are those of `ipv6_get_saddr_eval` in net/ipv6/addrconf.c, but for what facts do not say:
whether an address is deprecated, temporary or a home address.
"""

from __future__ import annotations

from collections.abc import Sequence

from nptables.tracing.surroundings.addressing import net, number

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
        alike = _BITS - (own ^ wanted).bit_length()
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
