"""Values of options as iptables 1.8.9 prints them: addresses, ports, marks, lists, rates.

Every function takes the text of one word and gives the printed text, or raises Unsettled where it
cannot be sure; then the line is left as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from nptables.family import Family
from nptables.inet import pack_ipv4, pack_ipv6, unpack_ip
from nptables.iptables.names import ICMP_TYPES, ICMPV6_TYPES, SERVICES
from nptables.iptables.protocols import c_number


class Unsettled(Exception):
    """This value may mean something that the function does not know."""


_DECIMAL = re.compile(r"0|[1-9][0-9]{0,9}", re.ASCII)
_MAC = re.compile(r"[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){5}", re.ASCII)
_PROBABILITY = re.compile(r"(?:0?\.[0-9]{1,30}|[01](?:\.[0-9]{0,30})?)", re.ASCII)
_RATE = re.compile(r"([1-9][0-9]{0,7})(?:/([a-zA-Z]+))?", re.ASCII)
FULL_MARK = 0xFFFFFFFF
FULL_MASKS: Mapping[Family, str] = {
    Family.IPV4: "255.255.255.255",
    Family.IPV6: ":".join(["ffff"] * 8),
}


def number(text: str, most: int = FULL_MARK) -> int:
    """A number in C notation."""
    value = c_number(text, most)
    if value is None:
        raise Unsettled(text)
    return value


def decimal(text: str) -> str:
    """A number, printed with `%u`."""
    return str(number(text))


def _packed(text: str, family: Family) -> bytes:
    packed = pack_ipv4(text) if family is Family.IPV4 else pack_ipv6(text)
    if packed is None:
        raise Unsettled(text)
    return packed


def host(text: str, family: Family) -> str:
    """One address in the notation of inet_ntop(3)."""
    return unpack_ip(_packed(text, family))


def _split_network(text: str, family: Family) -> tuple[int, int]:
    """Address (as given) and mask as numbers."""
    bits = family.host_prefix
    if text == "0/0" and family is Family.IPV4:
        return 0, 0
    address, slash, mask_text = text.partition("/")
    if not slash:
        mask = 2**bits - 1
    elif _DECIMAL.fullmatch(mask_text) and int(mask_text) <= bits:
        mask = 2**bits - 2 ** (bits - int(mask_text))
    else:
        mask = int.from_bytes(_packed(mask_text, family), "big")
    return int.from_bytes(_packed(address, family), "big"), mask


def _prefix(mask: int, family: Family) -> str:
    """The prefix length, or the mask itself where it has gaps (`mask_to_str`, xshared.c)."""
    bits = family.host_prefix
    length = mask.bit_count()
    if mask == 2**bits - 2 ** (bits - length):
        return str(length)
    return unpack_ip(mask.to_bytes(bits // 8))


def network(text: str, family: Family) -> str:
    """An address with the prefix length that is always printed: `10.1.2.3` is `10.1.2.3/32`.

    From `save_ipv4_addr` and `save_ipv6_addr` in iptables/xshared.c; host bits are cleared by
    `xtables_ipparse_multiple` in libxtables/xtables.c.
    """
    address, bits = _split_network(text, family)
    return f"{_address(address & bits, family)}/{_prefix(bits, family)}"


def _address(value: int, family: Family) -> str:
    return unpack_ip(value.to_bytes(family.host_prefix // 8))


def is_everything(printed: str, family: Family) -> bool:
    """Whether a printed network is the one that is not printed at all when it is not negated."""
    return printed == ("0.0.0.0/0" if family is Family.IPV4 else "::/0")


def host_or_network(text: str, family: Family) -> str:
    """An address, with a prefix length unless it is a single one (`xtables_ipmask_to_numeric`).

    Host bits are printed: matches like conntrack keep them and do not look at them.
    """
    address, bits = _split_network(text, family)
    printed = _address(address, family)
    length = _prefix(bits, family)
    if not length.isdecimal():
        raise Unsettled(text)  # 1.8.9 prints no mask at all then
    return printed if length == str(family.host_prefix) else f"{printed}/{length}"


def mask(text: str, family: Family) -> str:
    """A mask that is printed as an address (`-m recent --mask`)."""
    return host(text, family)


def address_range(text: str, family: Family) -> str:
    """`from-to` of addresses; one address is a range of one (`iprange_parse_spec`)."""
    first, dash, last = text.partition("-")
    start = host(first, family)
    return f"{start}-{host(last, family) if dash else start}"


def port(text: str) -> int:
    """A port by number or by the name that /etc/services has for it.

    Leading zeros mean octal to some extensions and nothing to others.
    """
    known = SERVICES.get(text)
    if text[:1] == "0" and text[1:].isdecimal():
        raise Unsettled(text)
    return known if known is not None else number(text, 65535)


def port_range(text: str) -> str:
    """`N` or `N:M`, with the open ends filled in (`parse_port_range`)."""
    low_text, colon, high_text = text.partition(":")
    if not colon:
        return str(port(low_text))
    low = port(low_text) if low_text else 0
    high = port(high_text) if high_text else 65535
    if low > high:
        raise Unsettled(text)
    return str(low) if low == high else f"{low}:{high}"


def port_list(text: str) -> str:
    """The list of multiport, in the order given."""
    parts = []
    for part in text.split(","):
        low, colon, high = part.partition(":")
        parts.append(f"{port(low)}:{port(high)}" if colon else str(port(low)))
    return ",".join(parts)


def nat_ports(text: str) -> str:
    """`N` or `N-M` of `--to-ports` (`parse_ports` in libxt_NAT.c); `ftp-data` is one port."""
    if text in SERVICES:
        return str(SERVICES[text])
    low_text, dash, high_text = text.partition("-")
    low = port(low_text)
    high = port(high_text) if dash else low
    if low > high:
        raise Unsettled(text)
    return str(low) if low == high else f"{low}-{high}"


def nat_address(text: str, family: Family) -> str:
    """`ADDRESS[-ADDRESS][:PORT[-PORT]]`, in brackets where an IPv6 address has a port."""
    if family is Family.IPV4:
        address, colon, ports = text.partition(":")
    elif text.startswith("["):
        address, bracket, rest = text[1:].partition("]")
        colon, ports = rest[:1], rest[1:]
        if not bracket or colon not in ("", ":"):
            raise Unsettled(text)
    else:
        address, colon, ports = text, "", ""
    first, dash, last = address.partition("-")
    if not first:
        raise Unsettled(text)
    start = host(first, family)
    end = host(last, family) if dash else start
    printed = start if start == end else f"{start}-{end}"
    if not colon:
        return printed
    if "/" in ports:
        raise Unsettled(text)
    return f"{printed if family is Family.IPV4 else f'[{printed}]'}:{nat_ports(ports)}"


def mark_and_mask(text: str) -> tuple[int, int]:
    """`VALUE[/MASK]` as numbers; without a mask all bits count."""
    value, slash, mask_text = text.partition("/")
    return number(value), number(mask_text) if slash else FULL_MARK


def mark_match(text: str) -> str:
    """A mark to compare with: lower-case hexadecimal, a full mask left out."""
    value, bits = mark_and_mask(text)
    return f"{value:#x}" if bits == FULL_MARK else f"{value:#x}/{bits:#x}"


# `rtn_names` in libxt_addrtype.c, and what `print_state` and `print_status` in libxt_conntrack.c
# print, in that order. iptables reads NONE for no status as well.
ADDRESS_TYPES = (
    "UNSPEC", "UNICAST", "LOCAL", "BROADCAST", "ANYCAST", "MULTICAST", "BLACKHOLE", "UNREACHABLE",
    "PROHIBIT", "THROW", "NAT", "XRESOLVE",
)  # fmt: skip
CONNECTION_STATES = ("INVALID", "NEW", "RELATED", "ESTABLISHED", "UNTRACKED", "SNAT", "DNAT")
CONNECTION_STATUSES = ("EXPECTED", "SEEN_REPLY", "ASSURED", "CONFIRMED")


def among(text: str, known: Sequence[str]) -> frozenset[str]:
    """The words of a list, each the first of `known` that begins so, in any case of letters.

    iptables compares no more letters than are given (`conntrack_ps_state` in libxt_conntrack.c,
    `parse_type` in libxt_addrtype.c).
    """
    found = [
        next((word for word in known if given and word.startswith(given)), None)
        for given in text.upper().split(",")
    ]
    if None in found:
        raise Unsettled(text)
    return frozenset(word for word in found if word is not None)


def listed(text: str, order: Sequence[str]) -> str:
    """A list of names, upper case, in the order and as often as they are printed: once."""
    names = [name.upper() for name in text.split(",")]
    if any(name not in order for name in names):
        raise Unsettled(text)
    return ",".join(name for name in order if name in names)


def one_of(text: str, names: Mapping[str, str]) -> str:
    """The printed name for an alias in lower case."""
    try:
        return names[text.lower()]
    except KeyError:
        raise Unsettled(text) from None


TCP_FLAGS = ("FIN", "SYN", "RST", "PSH", "ACK", "URG")


def tcp_flags(text: str) -> str:
    """Flags in the order of `tcp_flag_names` (libxt_tcp.c); `ALL` is spelled out."""
    if text.upper() == "NONE":
        return "NONE"
    if text.upper() == "ALL":
        return ",".join(TCP_FLAGS)
    return listed(text, TCP_FLAGS)


def probability(text: str) -> str:
    """A probability in the steps of 1/2^31 in which it is stored, with 11 digits.

    From `statistic_parse` and `print_match` in libxt_statistic.c.
    """
    if not _PROBABILITY.fullmatch(text) or float(text) > 1:
        raise Unsettled(text)
    scaled = float(text) * 2**31
    # As lround(3) does: a half goes up. Python's round() would take it to the even number.
    steps = int(scaled) + (scaled - int(scaled) >= 0.5)
    return f"{steps / 2**31:.11f}"


def icmp_type(text: str, family: Family) -> str:
    """A type, or type and code, by number (`icmp_save`, `icmp6_save`)."""
    names: Mapping[str, str] = ICMP_TYPES if family is Family.IPV4 else ICMPV6_TYPES
    known = names.get(text.lower())
    if known is not None:
        return known
    kind, slash, code = text.partition("/")
    # In IPv4 the type 255 stands for any (libxt_icmp.h).
    printed = str(number(kind, 254 if family is Family.IPV4 else 255))
    return f"{printed}/{number(code, 255)}" if slash else printed


def any_icmp_type(text: str, family: Family) -> bool:
    """Whether the text stands for every ICMP type: `any`, or 255, of IPv4 alone.

    In IPv6 255 is a type like others (`icmp_type_code_match` in net/ipv4/netfilter/ip_tables.c
    and `icmp6_type_code_match` in net/ipv6/netfilter/ip6_tables.c).
    """
    return family is Family.IPV4 and text.lower() in ("any", "255")


_SECONDS = {"day": 86400, "hour": 3600, "min": 60, "sec": 1}
_UNITS = {
    "d": "day", "da": "day", "day": "day",
    "h": "hour", "ho": "hour", "hou": "hour", "hour": "hour",
    "m": "min", "mi": "min", "min": "min", "minu": "min", "minut": "min", "minute": "min",
    "s": "sec", "se": "sec", "sec": "sec", "seco": "sec", "secon": "sec", "second": "sec",
}  # fmt: skip


def rate(text: str, scale: int, *, keep_unit: bool = False) -> str:
    """A rate in the unit in which it is printed: `60/minute` is `1/sec`.

    With `keep_unit` a rate that is printed in another unit is not settled.

    From `parse_rate` and `print_rate` in libxt_limit.c (scale 10,000) and libxt_hashlimit.c (scale
    1,000,000): stored is the time between two packets.
    """
    match = _RATE.fullmatch(text)
    if match is None:
        raise Unsettled(text)
    unit = _UNITS.get((match[2] or "second").lower())
    if unit is None:
        raise Unsettled(text)
    # A whole number of the kernel's units of time: what is lost by that is lost in print, too.
    period = scale * _SECONDS[unit] // int(match[1])
    if period == 0:
        raise Unsettled(text)
    printed = "day"
    for name in ("hour", "min", "sec"):
        units = scale * _SECONDS[name]
        if period > units or units // period < units % period:
            break
        printed = name
    if keep_unit and printed != unit:
        raise Unsettled(text)
    return f"{scale * _SECONDS[printed] // period}/{printed}"


# `ds_classes` in extensions/dscp_helper.c
_DSCP_CLASSES = {
    "BE": 0, "EF": 0x2E, **{f"CS{level}": level << 3 for level in range(8)},
    **{f"AF{high}{low}": (high << 3) | (low << 1) for high in (1, 2, 3, 4) for low in (1, 2, 3)},
}  # fmt: skip


def dscp(text: str) -> str:
    """A code point by number or by class, in two hexadecimal digits."""
    known = _DSCP_CLASSES.get(text.upper())
    return f"0x{number(text, 63) if known is None else known:02x}"


def mac(text: str) -> str:
    """A hardware address in lower case (upper case up to iptables 1.8.3)."""
    if not _MAC.fullmatch(text):
        raise Unsettled(text)
    return text.lower()


def number_range(text: str, most: int) -> str:
    """`N` or `N:M` with open ends filled in."""
    low_text, colon, high_text = text.partition(":")
    if not colon:
        return str(number(low_text, most))
    low = number(low_text, most) if low_text else 0
    high = number(high_text, most) if high_text else most
    if low > high:
        raise Unsettled(text)
    return str(low) if low == high else f"{low}:{high}"
