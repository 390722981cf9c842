"""How iptables 1.8.9 prints the options of each match.

A match without an entry here is left as it is written. The order of options is that of `tables`.
"""

from __future__ import annotations

from collections.abc import Mapping

from nptables.family import Family
from nptables.iptables import values
from nptables.iptables.protocols import NAMES, protocol_name
from nptables.iptables.rule import Option
from nptables.iptables.spelling.forms import (
    Forms,
    Named,
    ValueForm,
    Words,
    default,
    dropped,
    dscp,
    in_family,
    lists,
    text,
)
from nptables.iptables.values import Unsettled


def _range(most: int) -> ValueForm:
    return lambda words, _family: (values.number_range(words[0], most),)


_PORTS = text(values.port_range)
_DECIMAL = text(values.decimal)
_NETWORK = in_family(values.host_or_network)


def _ports(options: Named, _family: Family) -> Named:
    """All ports are not printed (`tcp_save`, `udp_save`); `--syn` is a pair of flag lists.

    A negated range that begins at 0 is left as it is, as legacy prints it: the nft backend prints
    the ports that are left over, which is another rule that matches the same packets.
    """
    for name in ("--sport", "--dport"):
        dropped(options, name, "0:65535")
    if "--syn" in options:
        if "--tcp-flags" in options:
            raise Unsettled("--syn and --tcp-flags")
        syn = options.pop("--syn")
        options["--tcp-flags"] = Option("--tcp-flags", ("FIN,SYN,RST,ACK", "SYN"), syn.negated)
    if "--tcp-flags" in options and options["--tcp-flags"].values[0] == "NONE":
        raise Unsettled("--tcp-flags NONE")
    return options


def _tcp_flags(words: Words, _family: Family) -> Words:
    return values.tcp_flags(words[0]), values.tcp_flags(words[1])


def _recent(options: Named, family: Family) -> Named:
    """List, mask and side are always printed (`recent_save` in libxt_recent.c)."""
    default(options, "--name", "DEFAULT")
    default(options, "--mask", values.FULL_MASKS[family])
    if "--rdest" not in options:
        default(options, "--rsource", "")
    elif "--rsource" in options:
        raise Unsettled("--rsource and --rdest")
    dropped(options, "--seconds", "0")
    dropped(options, "--hitcount", "0")
    return options


def _statistic(options: Named, _family: Family) -> Named:
    """`--packet 0` is printed (`print_match` in libxt_statistic.c); there are two modes."""
    mode = options.get("--mode")
    if mode is None:
        raise Unsettled("no --mode")
    if mode.value == "nth":
        if "--every" not in options or "--probability" in options:
            raise Unsettled("nth")
        default(options, "--packet", "0")
    elif mode.value != "random" or set(options) != {"--mode", "--probability"}:
        raise Unsettled(mode.value)
    return options


def _limit(options: Named, _family: Family) -> Named:
    """3/hour and 5 are the defaults; only the rate is always printed (`limit_save`)."""
    default(options, "--limit", "3/hour")
    dropped(options, "--limit-burst", "5")
    if any(option.negated for option in options.values()):
        raise Unsettled("! before --limit")
    return options


def _hashlimit(options: Named, family: Family) -> Named:
    """A burst of 5 is printed; not up to is above (`hashlimit_mt_save`)."""
    for name, other in (
        ("--hashlimit-upto", "--hashlimit-above"),
        ("--hashlimit-above", "--hashlimit-upto"),
    ):
        if name in options and options[name].negated:
            if other in options:
                raise Unsettled(name)
            options[other] = Option(other, options.pop(name).values)
            break
    if "--hashlimit-rate-match" in options or "--hashlimit-htable-expire" in options:
        raise Unsettled("--hashlimit-rate-match, --hashlimit-htable-expire")
    default(options, "--hashlimit-burst", "5")
    full = str(family.host_prefix)
    dropped(options, "--hashlimit-srcmask", full)
    dropped(options, "--hashlimit-dstmask", full)
    dropped(options, "--hashlimit-htable-gcinterval", "1000")
    return options


def _hashlimit_rate(given: str) -> str:
    """The unit decides when entries expire, so it must not change (`hashlimit_mt_check`)."""
    return values.rate(given, 1_000_000, keep_unit=True)


def _connlimit(options: Named, family: Family) -> Named:
    """Mask and side are printed; not above is up to (`connlimit_save4`)."""
    for name, other in (
        ("--connlimit-upto", "--connlimit-above"),
        ("--connlimit-above", "--connlimit-upto"),
    ):
        if name in options and options[name].negated:
            if other in options:
                raise Unsettled(name)
            options[other] = Option(other, options.pop(name).values)
            break
    default(options, "--connlimit-mask", str(family.host_prefix))
    if "--connlimit-daddr" not in options:
        default(options, "--connlimit-saddr", "")
    elif "--connlimit-saddr" in options:
        raise Unsettled("--connlimit-saddr and --connlimit-daddr")
    return options


def _set(options: Named, _family: Family) -> Named:
    """`--set` is what `--match-set` was called up to iptables 1.4.6 (`set_parse_v0`)."""
    if "--set" in options:
        if "--match-set" in options:
            raise Unsettled("--set and --match-set")
        old = options.pop("--set")
        options["--match-set"] = Option("--match-set", old.values, old.negated)
    return options


def _string(options: Named, _family: Family) -> Named:
    """The whole packet is the default and not printed (`string_save` in libxt_string.c)."""
    dropped(options, "--from", "0")
    dropped(options, "--to", "65535")
    return options


def _protocol_number(words: Words, _family: Family) -> Words:
    """`--ctproto` is printed by number, unlike `-p`."""
    name = protocol_name(words[0])
    if name is None:
        return (values.decimal(words[0]),)
    return (str(next(number for number, known in NAMES.items() if known == name)),)


def _id_owner(words: Words, _family: Family) -> Words:
    # The one user whose number is the same on every node. What others are called is the business of
    # the node that the rule is from.
    return ("0",) if words[0] == "root" else words


# `sctp_save` and `dccp_save` print all ports, too
_PORT_MATCH = Forms({"--sport": _PORTS, "--dport": _PORTS})

MATCH_FORMS: Mapping[str, Forms] = {
    # The names are read without case.
    "addrtype": Forms(dict.fromkeys(("--src-type", "--dst-type"), lists(*values.ADDRESS_TYPES))),
    "comment": Forms(),
    "connlimit": Forms({"--connlimit-upto": _DECIMAL, "--connlimit-above": _DECIMAL}, _connlimit),
    # `xtables_print_mark_mask`: a full mask is not printed
    "connmark": Forms({"--mark": text(values.mark_match)}),
    # `conntrack_dump` in libxt_conntrack.c: states and statuses in the order of `print_state` and
    # `print_status`, addresses without the length of a single one
    "conntrack": Forms(
        {
            "--ctstate": lists(*values.CONNECTION_STATES),
            "--ctstatus": lists(*values.CONNECTION_STATUSES),
            "--ctproto": _protocol_number,
            "--ctdir": lists("ORIGINAL", "REPLY"),
            "--ctorigsrc": _NETWORK,
            "--ctorigdst": _NETWORK,
            "--ctreplsrc": _NETWORK,
            "--ctrepldst": _NETWORK,
            "--ctorigsrcport": _PORTS,
            "--ctorigdstport": _PORTS,
            "--ctreplsrcport": _PORTS,
            "--ctrepldstport": _PORTS,
        }
    ),
    "dccp": _PORT_MATCH,
    "dscp": Forms(whole=dscp("--dscp-class", "--dscp")),
    "hashlimit": Forms(
        {
            "--hashlimit-upto": text(_hashlimit_rate),
            "--hashlimit-above": text(_hashlimit_rate),
            "--hashlimit-burst": _DECIMAL,
            # `print_mode` in libxt_hashlimit.c
            "--hashlimit-mode": lambda words, _family: (
                values.listed(words[0].upper(), ("SRCIP", "SRCPORT", "DSTIP", "DSTPORT")).lower(),
            ),
        },
        _hashlimit,
    ),
    "helper": Forms(),
    "hl": Forms(dict.fromkeys(("--hl-eq", "--hl-lt", "--hl-gt"), _DECIMAL)),
    "icmp": Forms({"--icmp-type": in_family(values.icmp_type)}),
    "icmp6": Forms({"--icmpv6-type": in_family(values.icmp_type)}),
    "iprange": Forms(
        {name: in_family(values.address_range) for name in ("--src-range", "--dst-range")}
    ),
    # `length_save` in libxt_length.c
    "length": Forms({"--length": _range(65535)}),
    "limit": Forms(
        {
            "--limit": lambda words, _family: (values.rate(words[0], 10_000),),
            "--limit-burst": _DECIMAL,
        },
        _limit,
    ),
    "mac": Forms({"--mac-source": text(values.mac)}),
    "mark": Forms({"--mark": text(values.mark_match)}),
    # `multiport_save` in libxt_multiport.c: numbers, in the order given
    "multiport": Forms(
        {name: text(values.port_list) for name in ("--sports", "--dports", "--ports")}
    ),
    "nfacct": Forms(),
    "owner": Forms({"--uid-owner": _id_owner, "--gid-owner": _id_owner}),
    "physdev": Forms(),
    # `pkttype_save`: in lower case
    "pkttype": Forms(
        {
            "--pkt-type": lambda words, _family: (
                values.one_of(
                    words[0], {name: name for name in ("unicast", "broadcast", "multicast")}
                ),
            )
        }
    ),
    "recent": Forms(
        {
            "--seconds": _DECIMAL,
            "--hitcount": _DECIMAL,
            "--mask": in_family(values.mask),
        },
        _recent,
    ),
    "rpfilter": Forms(),
    "sctp": _PORT_MATCH,
    "set": Forms(whole=_set),
    "socket": Forms(),
    # `state_print_state` in libxt_conntrack.c
    "state": Forms({"--state": lists("INVALID", "NEW", "RELATED", "ESTABLISHED", "UNTRACKED")}),
    "statistic": Forms(
        {
            "--probability": text(values.probability),
            "--every": _DECIMAL,
            "--packet": _DECIMAL,
        },
        _statistic,
    ),
    "string": Forms(whole=_string),
    "tcp": Forms({"--sport": _PORTS, "--dport": _PORTS, "--tcp-flags": _tcp_flags}, _ports),
    "tcpmss": Forms({"--mss": _range(65535)}),
    "ttl": Forms(dict.fromkeys(("--ttl-eq", "--ttl-lt", "--ttl-gt"), _DECIMAL)),
    "udp": Forms({"--sport": _PORTS, "--dport": _PORTS}, _ports),
}
