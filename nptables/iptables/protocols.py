"""Protocol numbers and the names that `iptables-save` prints for them."""

from __future__ import annotations

import re
from collections.abc import Mapping

# First the names that iptables has of its own (`xtables_chain_protos` in libxtables/xtables.c),
# then what getprotobynumber gives on Debian (netbase, /etc/protocols). Where distributions
# disagree about a name (4, 94), it is left as it is written.
NAMES: Mapping[int, str] = {
    6: "tcp", 132: "sctp", 17: "udp", 136: "udplite", 1: "icmp", 58: "ipv6-icmp", 50: "esp",
    51: "ah", 135: "mobility-header",
    2: "igmp", 33: "dccp", 41: "ipv6", 43: "ipv6-route", 44: "ipv6-frag", 46: "rsvp", 47: "gre",
    59: "ipv6-nonxt", 60: "ipv6-opts", 88: "eigrp", 89: "ospf", 103: "pim", 108: "ipcomp",
    112: "vrrp", 115: "l2tp",
}  # fmt: skip

_ALIASES: Mapping[str, str] = {
    **{name: name for name in NAMES.values()},
    "icmpv6": "ipv6-icmp",
    "ipv6-mh": "mobility-header",
    "mh": "mobility-header",
}

# More digits than a number of 64 bits has are not read: they take long.
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]{0,19}", re.ASCII)


def c_number(text: str, most: int = 2**32 - 1) -> int | None:
    """The value of `text` as strtoul(3) with base 0 reads it (`0x` and `0` prefixes), or None.

    None also where it is larger than `most`. A sign or blanks are not taken.
    """
    if not _NUMBER.fullmatch(text):
        return None
    if text[:2] in ("0x", "0X"):
        value = int(text, 16)
    elif text[0] == "0":
        value = int(text, 8)
    else:
        value = int(text)
    return value if value <= most else None


def protocol_name(text: str) -> str | None:
    """The printed name of a protocol given by number or by name in any case, or None."""
    number = c_number(text, 255)
    if number is not None:
        return NAMES.get(number)
    return _ALIASES.get(text.lower())
