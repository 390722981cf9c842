"""What `nft list` prints of the matches of iptables rules, back to the options of a rule.

Some is nft's own form of what iptables-nft writes as nft expressions (`ip saddr`, `tcp dport`,
`meta mark`); the rest is what the `xlate` functions in extensions/ of iptables print, from 1.8.2
to 1.8.11, as `xt_stmt_xlate` in src/xt.c of nftables shows it. What these print in the same way for
different matches is not settled.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from nptables.family import Family
from nptables.iptables import values
from nptables.iptables.nftables.parts import Parts, readers
from nptables.iptables.values import Unsettled
from nptables.iptables.words import save_string

_ADDRESS = r"[0-9a-fA-F.:]*[.:][0-9a-fA-F.:]*"
_NUMBER = r"(?:0x[0-9a-fA-F]+|\d+)"
_NO = r"((?:!=|!|==) )?"
_SIDES = {"saddr": "src", "daddr": "dst"}
_CONNECTION_STATES = ("INVALID", "NEW", "RELATED", "ESTABLISHED", "UNTRACKED")
_STATUSES = {
    "expected": "EXPECTED", "seen-reply": "SEEN_REPLY", "assured": "ASSURED",
    "confirmed": "CONFIRMED",
}  # fmt: skip
_TYPES = {
    name: name.upper()
    for name in ("unspec", "unicast", "local", "broadcast", "anycast", "multicast", "blackhole",
                 "unreachable", "prohibit")
}  # fmt: skip
# Names of nft for what iptables calls otherwise, or prints by number.
_ICMP = {"info-request": "15", "info-reply": "16", "source-quench": "4"}
_ICMPV6 = {
    "nd-router-solicit": "133", "nd-router-advert": "134", "nd-neighbor-solicit": "135",
    "nd-neighbor-advert": "136", "nd-redirect": "137", "mld-listener-query": "130",
    "mld-listener-report": "131", "mld-listener-done": "132", "mld-listener-reduction": "132",
    "mld2-listener-report": "143", "router-renumbering": "138",
}  # fmt: skip
_UNITS = {"second": "sec", "minute": "min", "hour": "hour", "day": "day"}
# The number of random steps that a share is counted in (`libxt_statistic.c`).
_STEPS = 2**31


def _negated(sign: str | None) -> bool:
    return bool(sign) and "!" in str(sign)


def _interface(m: re.Match[str], parts: Parts) -> None:
    name = m[3]
    if "\\" in name or "*" in name[:-1] or not name:
        raise Unsettled(name)
    if name.endswith("*"):
        # The + of iptables: every interface whose name begins so.
        name = f"{name[:-1]}+"
    parts.base_option("-i" if m[1] == "i" else "-o", name, negated=_negated(m[2]))


def _address(m: re.Match[str], parts: Parts) -> None:
    option = "-s" if m[1] == "saddr" else "-d"
    parts.base_option(option, values.network(m[3], parts.family), negated=_negated(m[2]))


def _masked_address(m: re.Match[str], parts: Parts) -> None:
    option = "-s" if m[1] == "saddr" else "-d"
    printed = values.network(f"{m[4]}/{m[2]}", parts.family)
    if not printed.startswith(f"{m[4]}/"):
        raise Unsettled
    parts.base_option(option, printed, negated=m[3] == "!=")


def _address_range(m: re.Match[str], parts: Parts) -> None:
    value = values.address_range(m[3], parts.family)
    parts.option("iprange", f"--{_SIDES[m[1]]}-range", value, negated=_negated(m[2]))


def _protocol(m: re.Match[str], parts: Parts) -> None:
    if "-p" in parts.base and m[2] in ("icmp", "icmpv6", "ipv6-icmp"):
        # So `--icmp-type any` is printed, and what is not any as well.
        raise Unsettled
    parts.protocol(m[2], negated=_negated(m[1]))
    parts.told = True


def _ports(m: re.Match[str], parts: Parts) -> None:
    protocol, side, sign, text = m.groups()
    negated = _negated(sign)
    if (protocol, side) == ("udp", "dport") and parts.told and not parts.known_writer:
        # `udp_xlate` up to 1.8.9 says of it whether the other port is negated.
        raise Unsettled
    if sign and sign.strip()[0] in "<>":
        bound = int(values.decimal(text))
        low, high = {
            "<": (0, bound - 1), "<=": (0, bound), ">": (bound + 1, 65535), ">=": (bound, 65535),
        }[sign.strip()]  # fmt: skip
        if not low <= high <= 65535:
            raise Unsettled
        text = f"{low}-{high}"
    value = values.port_range(_range(text))
    parts.of_protocol(protocol, f"--{side}", value, negated=negated)
    if protocol == "sctp" and not parts.exact and not parts.known_writer:
        # `sctp_xlate` up to 1.8.7 forgets the kinds of chunks.
        parts.not_read(f"{m[0]} (and of chunks, perhaps)")


def _range(text: str) -> str:
    """`A-B` of ports, which may have names with dashes in them, as `A:B`."""
    found = re.fullmatch(r"(\d+)-(\d+)", text)
    return f"{found[1]}:{found[2]}" if found else text


def _port_list(m: re.Match[str], parts: Parts) -> None:
    protocol, side, sign, text = m.groups()
    ports = [_range(each.strip()) for each in text.split(",")]
    if not all(ports) or any("." in each for each in ports):
        raise Unsettled
    parts.protocol(protocol)
    value = values.port_list(",".join(ports))
    parts.option("multiport", f"--{side}s", value, negated=_negated(sign))


def _flag_list(text: str) -> str:
    names = [each for each in re.split(r"[,|() ]+", text) if each]
    # nft has no name for no flag at all.
    if names in (["0x0"], ["0"], ["0x00"]):
        return "NONE"
    return values.listed(",".join(names), values.TCP_FLAGS)


def _flags(m: re.Match[str], parts: Parts) -> None:
    sign, wanted, mask = m.groups()
    value = f"{_flag_list(mask)} {_flag_list(wanted)}"
    parts.of_protocol("tcp", "--tcp-flags", value, negated=_negated(sign))


def _masked_flags(m: re.Match[str], parts: Parts) -> None:
    mask, sign, wanted = m.groups()
    value = f"{_flag_list(mask)} {_flag_list(wanted)}"
    parts.of_protocol("tcp", "--tcp-flags", value, negated=sign == "!=")


def _any_flag(m: re.Match[str], parts: Parts) -> None:
    """`tcp flags syn,ack` holds where any of them is set, `tcp flags ! syn,ack` where none is."""
    value = f"{_flag_list(m[2])} NONE"
    parts.of_protocol("tcp", "--tcp-flags", value, negated=m[1] is None)


def _mark(m: re.Match[str], parts: Parts) -> None:
    name = "connmark" if m[1] == "ct" else "mark"
    value = values.mark_match(f"{values.number(m[3]):#x}")
    parts.option(name, "--mark", value, negated=_negated(m[2]))


def _masked_mark(m: re.Match[str], parts: Parts) -> None:
    name = "connmark" if m[1] == "ct" else "mark"
    value = values.mark_match(f"{values.number(m[4]):#x}/{values.number(m[2]):#x}")
    parts.option(name, "--mark", value, negated=m[3] == "!=")


def _address_type(m: re.Match[str], parts: Parts) -> None:
    side, interface, sign, text = m.groups()
    names = [each.strip() for each in text.strip("{} ").split(",")]
    if any(name not in _TYPES for name in names):
        raise Unsettled
    kinds = values.listed(",".join(_TYPES[name] for name in names), tuple(_TYPES.values()))
    option = "--src-type" if side == "s" else "--dst-type"
    parts.option("addrtype", option, kinds, negated=_negated(sign))
    if interface:
        parts.option("addrtype", f"--limit-iface-{'in' if interface == 'i' else 'out'}", "")
    if side == "s" and not parts.known_writer:
        # `addrtype_v1_xlate` forgets what is asked of the destination besides.
        parts.not_read(f"{m[0]} (and of the destination, perhaps)")


def _state(m: re.Match[str], parts: Parts) -> None:
    text = m[2].strip("{} ").replace(" ", "")
    value = values.listed(text, _CONNECTION_STATES)
    parts.option("conntrack", "--ctstate", value, negated=_negated(m[1]))


def _status(m: re.Match[str], parts: Parts) -> None:
    """`dnat` and `snat` are printed for whatever else is asked for, and even for the contrary."""
    names = m[2].replace(" ", "").split(",")
    if any(name not in _STATUSES for name in names):
        raise Unsettled
    value = values.listed(",".join(_STATUSES[name] for name in names), tuple(_STATUSES.values()))
    parts.option("conntrack", "--ctstatus", value, negated=_negated(m[1]))


def _tuple(m: re.Match[str], parts: Parts) -> None:
    direction, what, sign, text = m.groups()
    beginning = "--ctorig" if direction == "original" else "--ctrepl"
    negated = _negated(sign)
    if what == "protocol":
        if direction != "original":
            raise Unsettled
        known = values.decimal(text) if text[:1].isdigit() else None
        if known is None:
            raise Unsettled
        parts.option("conntrack", "--ctproto", known, negated=negated)
    elif what in _SIDES:
        value = values.host_or_network(text, parts.family)
        parts.option("conntrack", f"{beginning}{_SIDES[what]}", value, negated=negated)
    else:
        value = values.port_range(_range(text))
        side = what.removeprefix("proto-")
        parts.option("conntrack", f"{beginning}{side}port", value, negated=negated)


def _direction(m: re.Match[str], parts: Parts) -> None:
    parts.option("conntrack", "--ctdir", m[1].upper())


def _expiration(m: re.Match[str], parts: Parts) -> None:
    value = values.number_range(m[2].replace("-", ":"), values.FULL_MARK)
    parts.option("conntrack", "--ctexpire", value, negated=_negated(m[1]))


def _helper(m: re.Match[str], parts: Parts) -> None:
    parts.option("helper", "--helper", save_string(m[2]), negated=_negated(m[1]))


def _share(m: re.Match[str], parts: Parts) -> None:
    # xt_statistic looks at 31 random bits, which this mask says: with another one it is not its
    # rule.
    if values.number(m[1]) != _STEPS - 1:
        raise Unsettled
    share = values.number(m[3], _STEPS) / _STEPS
    parts.verbatim(
        f"-m statistic --mode random {'! ' if m[2] == '>=' else ''}--probability {share:.11f}"
    )


def _every(m: re.Match[str], parts: Parts) -> None:
    parts.verbatim(
        f"-m statistic --mode nth {'! ' if _negated(m[2]) else ''}--every {int(m[1])}"
        f" --packet {int(m[3])}"
    )


def _limit(m: re.Match[str], parts: Parts) -> None:
    rate, unit, burst = m.groups()
    if unit not in _UNITS:
        raise Unsettled
    parts.option("limit", "--limit", f"{int(rate)}/{_UNITS[unit]}")
    # iptables-save leaves out a burst of 5, its default, while nft always prints it.
    if burst is not None and int(burst) != 5:
        parts.option("limit", "--limit-burst", str(int(burst)))


def _icmp(m: re.Match[str], parts: Parts) -> None:
    family, sign, kind, code = m.groups()
    names: Mapping[str, str] = _ICMP if family == "icmp" else _ICMPV6
    kind = names.get(kind, kind)
    whose = Family.IPV4 if family == "icmp" else Family.IPV6
    text = values.icmp_type(kind, whose)
    if "/" in text or text == "any" or whose is not parts.family:
        raise Unsettled
    if code is not None:
        text = f"{text}/{values.number(code, 255)}"
    name, option = ("icmp", "--icmp-type") if family == "icmp" else ("icmp6", "--icmpv6-type")
    parts.protocol("icmp" if family == "icmp" else "ipv6-icmp")
    parts.option(name, option, text, negated=_negated(sign))


def _fragment(m: re.Match[str], parts: Parts) -> None:
    parts.base_option("-f", "", negated=m[1] == "==")


def _packet_type(m: re.Match[str], parts: Parts) -> None:
    kind = {"host": "unicast", "other": ""}.get(m[2], m[2])
    if kind not in ("unicast", "broadcast", "multicast"):
        raise Unsettled
    parts.option("pkttype", "--pkt-type", kind, negated=_negated(m[1]))


def _length(m: re.Match[str], parts: Parts) -> None:
    value = values.number_range(m[2].replace("-", ":"), 65535)
    parts.option("length", "--length", value, negated=_negated(m[1]))


def _mac(m: re.Match[str], parts: Parts) -> None:
    parts.option("mac", "--mac-source", values.mac(m[2]), negated=_negated(m[1]))


def _hops(m: re.Match[str], parts: Parts) -> None:
    name = "ttl" if m[1] == "ip ttl" else "hl"
    sign = (m[2] or "").strip()
    kind = {"": "eq", "==": "eq", "!=": "eq", "lt": "lt", "<": "lt", "gt": "gt", ">": "gt"}[sign]
    parts.option(name, f"--{name}-{kind}", str(int(m[3])), negated=sign == "!=")


def _owner(m: re.Match[str], parts: Parts) -> None:
    option = "--uid-owner" if m[1] == "u" else "--gid-owner"
    parts.option("owner", option, m[3], negated=_negated(m[2]))


def _comment(m: re.Match[str], parts: Parts) -> None:
    parts.option("comment", "--comment", save_string(m[1]))


MATCHES = readers(
    (rf'([io])ifname {_NO}"?([^\s"{{}}@]+)"?', _interface),
    (rf"(?:ip|ip6) ([sd]addr) {_NO}({_ADDRESS}(?:/\d+)?)", _address),
    (rf"(?:ip|ip6) ([sd]addr) (?:&|and) ({_ADDRESS}) (==|!=) ({_ADDRESS})", _masked_address),
    (rf"(?:ip|ip6) ([sd]addr) {_NO}({_ADDRESS}-{_ADDRESS})", _address_range),
    (rf"(?:meta l4proto|ip protocol|ip6 nexthdr) {_NO}([\w-]+)", _protocol),
    (r"(tcp|udp|udplite|sctp|dccp) ([sd]port) ((?:!=|==|<=|>=|<|>) )?([\w-]+)", _ports),
    (r"(tcp|udp|udplite|sctp|dccp) ([sd]port) (!= )?\{ ?([\w, -]+?),? ?\}", _port_list),
    (r"tcp flags (!= |== )?([a-z,]+|0x0) / ([a-z,]+)", _flags),
    (r"tcp flags (?:&|and) (\([a-z| ]+\)|[a-z,]+) (==|!=) ([a-z]+(?: ?[|,] ?[a-z]+)*|0x0+)",
        _masked_flags),
    (r"tcp flags (! )?([a-z]+(?:,[a-z]+)*)", _any_flag),
    (r"tcp option (\d+) exists",
        lambda m, p: p.of_protocol("tcp", "--tcp-option", values.decimal(m[1]))),
    (rf"(meta|ct)? ?mark {_NO}({_NUMBER})", _mark),
    (rf"(meta|ct)? ?mark (?:&|and) ({_NUMBER}) (==|!=) ({_NUMBER})", _masked_mark),
    (r"fib ([sd])addr(?: ?\. ?([io])if)? type (!= )?(\w+|\{ ?[\w, ]+ ?\})", _address_type),
    (rf"ct state {_NO}([a-z]+(?:,[a-z]+)*|\{{ [a-z, ]+ \}})", _state),
    (rf"ct status {_NO}([a-z-]+(?:,[a-z-]+)*)", _status),
    (rf"ct (original|reply) (?:ip6? )?([sd]addr|proto-src|proto-dst|protocol) {_NO}(\S+)",
        _tuple),
    (r"ct direction (original|reply)", _direction),
    (rf"ct expiration {_NO}(\d+(?:-\d+)?)s?", _expiration),
    (rf'ct helper {_NO}"([^"]*)"', _helper),
    (rf"meta random & ({_NUMBER}) (<|>=) ({_NUMBER})", _share),
    (r"numgen inc mod (\d+) (!= )?(\d+)", _every),
    (r"limit rate (\d+)/(\w+)(?: burst (\d+) packets)?", _limit),
    (rf"(icmp|icmpv6) type {_NO}([\w-]+)(?: (?:icmp|icmpv6) code (\d+))?", _icmp),
    (r"ip frag-off & (?:8191|0x1fff) (!=|==) (?:0x0|0)", _fragment),
    (rf"(?:meta )?pkttype {_NO}(\w+)", _packet_type),
    (rf"meta length {_NO}(\d+(?:-\d+)?)", _length),
    (rf"ether saddr {_NO}([0-9a-fA-F:]+)", _mac),
    (r"(ip ttl|ip6 hoplimit) ((?:!=|==|lt|gt|<|>) )?(\d+)", _hops),
    (rf"(?:meta )?sk([ug])id {_NO}(\d+(?:-\d+)?)", _owner),
    (r'comment "([^"]*)"', _comment),
    (r'(?:# ?xt_|xt match "?)(?:comment)"?', lambda _m, _p: None),
)  # fmt: skip
