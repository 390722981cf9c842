"""What the matches of extensions print in a listing, as options of a rule.

Each entry names what the `print` function of an extension writes, in the versions of iptables from
1.4 to 1.8. A function gives the text of a match, and may raise Unsettled: then the words are kept
as they are, and it is unknown whether they hold.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from nptables.family import Family
from nptables.iptables import values
from nptables.iptables.values import Unsettled
from nptables.iptables.words import save_string

Read = Callable[["re.Match[str]", Family], str]

# `tcp_flag_names` in libxt_tcp.c, by their bits.
_FLAGS = {1: "FIN", 2: "SYN", 4: "RST", 8: "PSH", 16: "ACK", 32: "URG"}
_STATES = ("INVALID", "NEW", "RELATED", "ESTABLISHED", "UNTRACKED")
# A word that is cut off is none of these.
_CONNECTION_WORDS: Mapping[str, Sequence[str]] = {
    "ctstate": (*_STATES, "SNAT", "DNAT"),
    "ctstatus": ("NONE", "EXPECTED", "SEEN_REPLY", "ASSURED", "CONFIRMED"),
    "ctdir": ("ORIGINAL", "REPLY"),
}
_ADDRESS_TYPES = (
    "UNSPEC", "UNICAST", "LOCAL", "BROADCAST", "ANYCAST", "MULTICAST", "BLACKHOLE", "UNREACHABLE",
    "PROHIBIT", "THROW", "NAT", "XRESOLVE",
)  # fmt: skip
MARK = r"0x[0-9a-fA-F]+"
# Of a probability that is printed with fewer digits than these the step is not known.
_EXACT_DIGITS = 10
# Nobody prints fewer: the line was cut off.
_FEWEST_DIGITS = 5
_MOST_ENDPOINTS = 1000


def _no(sign: str | None) -> str:
    return "! " if sign and "!" in sign else ""


def _comment(found: re.Match[str], _family: Family) -> str:
    return f"-m comment --comment {save_string(found[1] or '')}"


def _header(found: re.Match[str], _family: Family) -> str:
    """`tcp_print`, `udp_print`: the name, then ports, flags and options, as far as there are."""
    text = f"-m {found[1]}"
    for name, sign, value in re.findall(r" (spts?|dpts?|flags|option)[:=](!?)(\S+)", found[2]):
        option = {"s": "--sport", "d": "--dport", "f": "--tcp-flags", "o": "--tcp-option"}[name[0]]
        if option == "--tcp-flags":
            printed = " ".join(_flags(part) for part in value.split("/", 1))
        elif option == "--tcp-option":
            printed = values.decimal(value)
        else:
            printed = values.port_range(value)
        text += f" {_no(sign)}{option} {printed}"
    return text


def _flags(text: str) -> str:
    if not text.startswith("0x"):
        return values.tcp_flags(text)
    bits = int(text, 16)
    if bits > sum(_FLAGS):
        raise Unsettled(text)
    return ",".join(name for bit, name in _FLAGS.items() if bits & bit) or "NONE"


def _icmp(found: re.Match[str], family: Family) -> str:
    """`print_icmp` in libxt_icmp.h, by numbers; code 0 to 255 is every code."""
    sign, kind, first, last = found.groups()
    if last is not None and (first, last) != ("0", "255"):
        raise Unsettled(found[0])
    if kind == "255" and family is Family.IPV4:
        return _icmp_match(sign, "any", family)
    return _icmp_match(sign, kind if first is None or last else f"{kind}/{first}", family)


def _named_icmp(found: re.Match[str], family: Family) -> str:
    return _icmp_match(found[1], values.icmp_type(found[2], family), family)


def _icmp_match(sign: str | None, printed: str, family: Family) -> str:
    name, option = ("icmp", "--icmp-type") if family is Family.IPV4 else ("icmp6", "--icmpv6-type")
    return f"-m {name} {_no(sign)}{option} {printed}"


def _mark(found: re.Match[str], _family: Family) -> str:
    return f"-m {found[1].lower()} {_no(found[2])}--mark {values.mark_match(found[3])}"


def _address_type(found: re.Match[str], _family: Family) -> str:
    text = "-m addrtype"
    for side, sign, kinds in re.findall(r" (src|dst)-type (!?)([A-Z,]+)", found[0]):
        text += f" {_no(sign)}--{side}-type {values.listed(kinds, _ADDRESS_TYPES)}"
    for side in re.findall(r" limit-(in|out)", found[0]):
        text += f" --limit-iface-{side}"
    return text


def _connection(found: re.Match[str], family: Family) -> str:
    """`conntrack_dump`, which prints the names of options without their dashes."""
    parts: list[str] = []
    names: set[str] = {"-"}
    for sign, name, value in re.findall(r"(! )?(ct[a-z]+) (\S+)", found[0]):
        if name.startswith(("ctorig", "ctrepl")) and not name.endswith("port"):
            values.host_or_network(value, family)
        if name in _CONNECTION_WORDS:
            values.listed(value, _CONNECTION_WORDS[name])
        if names & {name, "-"}:
            parts.append("-m conntrack")
            names = set()
        names.add(name)
        parts.append(f"{_no(sign)}--{name} {value}")
    return " ".join(parts)


def _state(found: re.Match[str], _family: Family) -> str:
    return f"-m state {_no(found[1])}--state {values.listed(found[2], _STATES)}"


def _recent(found: re.Match[str], family: Family) -> str:
    """`recent_print`; versions before the mask compare whole addresses."""
    sign, kind, seconds, reap, hits, ttl, name, side, mask = found.groups()
    action = {"SET": "set", "CHECK": "rcheck", "UPDATE": "update", "REMOVE": "remove"}[kind]
    parts = [f"-m recent {_no(sign)}--{action}"]
    parts += [f"--seconds {seconds}"] if seconds else []
    parts += ["--reap"] if reap else []
    parts += [f"--hitcount {hits}"] if hits else []
    parts += ["--rttl"] if ttl else []
    full = values.FULL_MASKS[family]
    parts.append(f"--name {name} --mask {values.mask(mask, family) if mask else full}")
    parts.append("--rdest" if side == "dest" else "--rsource")
    return " ".join(parts)


def _random(found: re.Match[str], _family: Family) -> str:
    sign, text = found[1], found[2]
    if len(text.partition(".")[2]) < _FEWEST_DIGITS:
        raise Unsettled(text)
    if _is_rounded(text):
        # What is rounded is taken for one of several equals, as proxies write them.
        whole = round(1 / float(text)) if float(text) > 1 / _MOST_ENDPOINTS else 0
        digits = len(text.partition(".")[2])
        # Only if it rounds to just what is printed: kube-proxy writes 1/n with 10 digits
        # (computeProbability in kubernetes/pkg/proxy/iptables/proxier.go).
        if whole and f"{1 / whole:.{digits}f}" == f"{float(text):.{digits}f}":
            text = f"{1 / whole:.11f}"
    printed = values.probability(text)
    return f"-m statistic --mode random {_no(sign)}--probability {printed}"


def _is_rounded(probability: str) -> bool:
    """Whether a probability has fewer digits than tell its step (`%f` before iptables 1.4.12)."""
    return len(probability.partition(".")[2]) < _EXACT_DIGITS


def _nth(found: re.Match[str], _family: Family) -> str:
    sign, every, packet = found.groups()
    return f"-m statistic --mode nth {_no(sign)}--every {every} --packet {packet or 0}"


def _owner(found: re.Match[str], _family: Family) -> str:
    sign, kind, value = found.groups()
    option = "--socket-exists" if kind is None else f"--{kind.lower()}-owner {value}"
    return f"-m owner {_no(sign)}{option}"


def _multiport(found: re.Match[str], _family: Family) -> str:
    return f"-m multiport {_no(found[2])}--{found[1]} {values.port_list(found[3])}"


def _ranges(found: re.Match[str], family: Family) -> str:
    text = "-m iprange"
    for side, sign, value in re.findall(r"(source|destination) IP range (! )?(\S+)", found[0]):
        option = "--src-range" if side == "source" else "--dst-range"
        text += f" {_no(sign)}{option} {values.address_range(value, family)}"
    return text


def _limit(found: re.Match[str], _family: Family) -> str:
    return f"-m limit --limit {found[1]} --limit-burst {values.decimal(found[2])}"


def _connections(found: re.Match[str], _family: Family) -> str:
    side, mask, above, count = found.groups()
    option = "--connlimit-above" if above == ">" else "--connlimit-upto"
    by = "--connlimit-saddr" if side == "src" else "--connlimit-daddr"
    return f"-m connlimit {option} {count} --connlimit-mask {mask} {by}"


def _hops(found: re.Match[str], _family: Family) -> str:
    name, sign, value = found[1].lower(), found[2], found[3]
    kind = {"==": "eq", "!=": "eq", "<": "lt", ">": "gt"}[sign]
    return f"-m {name} {'! ' if sign == '!=' else ''}--{name}-{kind} {value}"


def _set(found: re.Match[str], _family: Family) -> str:
    return f"-m set {_no(found[1])}--match-set {found[2]} {found[3]}"


def _dashed(found: re.Match[str], _family: Family) -> str:
    """`socket`, `PHYSDEV match`: the options as they are written in a rule."""
    name = "physdev" if found[0].startswith("PHYSDEV") else "socket"
    return f"-m {name} {found[1] or ''}".rstrip()


_PORTS = r"((?: (?:spts?|dpts?)[:=]!?\S+| flags:!?\S+| option=!?\S+)*)"
_CONNECTION = r"(?:! )?ct(?:state|proto|status|expire|dir|(?:orig|repl)(?:src|dst)(?:port)?) \S+"
MATCHES: Sequence[tuple[re.Pattern[str], Read]] = [
    (re.compile(pattern, re.DOTALL), read)
    for pattern, read in (
        (r"/\*(?: (.*?))? \*/", _comment),
        (r"(tcp|udp|udplite|sctp|dccp)" + _PORTS, _header),
        (
            r"(?:ipv6-)?icmp(?:v6|6)? ?(!)?type (\d+)(?: codes? (\d+)(?:-(\d+))?)?(?= |$)",
            _icmp,
        ),
        (r"(?:ipv6-)?icmp(?:v6|6)? (!)?([a-z][a-z-]+)", _named_icmp),
        (rf"(?i:(connmark|mark) match) +(! ?)?({MARK}(?:/{MARK})?)", _mark),
        (
            (
                r"ADDRTYPE match(?= (?:src|dst)-type)(?: (?:src|dst)-type !?[A-Z,]+)+"
                r"(?: limit-(?:in|out))*"
            ),
            _address_type,
        ),
        (rf"{_CONNECTION}(?: {_CONNECTION})*", _connection),
        (r"(! )?state ([A-Z,]+)", _state),
        (
            (
                r"(! )?recent: (SET|UPDATE|CHECK|REMOVE)(?: seconds: (\d+))?( reap)?"
                r"(?: hit_count: (\d+))?( TTL-Match)? name: (\S+)(?: side: (source|dest))"
                r"(?: mask: (\S+))?"
            ),
            _recent,
        ),
        (r"statistic mode random (! )?probability ([0-9.]+)", _random),
        (r"statistic mode nth (! )?every (\d+)(?: packet (\d+))?", _nth),
        (r"(! )?owner (?:(UID|GID) match (\S+)|socket exists)", _owner),
        (r"multiport (sports|dports|ports) +(!)?(\S+)", _multiport),
        (
            (
                r"(?:source|destination) IP range (?:! )?\S+"
                r"(?: (?:source|destination) IP range (?:! )?\S+)*"
            ),
            _ranges,
        ),
        (r"limit: avg (\d+/[a-z]+) burst (\d+)", _limit),
        (r"#conn (src|dst)/(\d+) (<=|>) (\d+)", _connections),
        (r"(TTL|HL) match (?:TTL|HL) (==|!=|<|>) (\d+)", _hops),
        (r"length (!)?(\S+)", lambda m, _f: f"-m length {_no(m[1])}--length {m[2]}"),
        (r"MAC (! ?)?((?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2})",
            lambda m, _f: f"-m mac {_no(m[1])}--mac-source {values.mac(m[2])}"),
        (r"PKTTYPE (!?=) ([a-z]+)", lambda m, _f: f"-m pkttype {_no(m[1])}--pkt-type {m[2]}"),
        (r"nfacct-name +(\S+)", lambda m, _f: f"-m nfacct --nfacct-name  {save_string(m[1])}"),
        (
            # What may stand behind it changes what it means.
            (
                r"(! )?match-set (\S+) ((?:src|dst)(?:,(?:src|dst))*)(?= |$)"
                r"(?! (?:! )?(?:return-nomatch|update-|packets-|bytes-))"
            ),
            _set,
        ),
        (r'u32 (! )?("[^"]*")', lambda m, _f: f"-m u32 {_no(m[1])}--u32 {m[2]}"),
        (r"socket((?: --[a-z-]+)*)(?= |$)", _dashed),
        (r"PHYSDEV match((?: (?:! )?--physdev-(?:in|out) \S+| (?:! )?--physdev-is-[a-z]+)+)",
            _dashed),
    )
]  # fmt: skip
