"""What extensions print behind the columns of a listing, as the options of a rule.

Each entry names what the `print` function of an extension writes, in the versions of iptables from
1.4 to 1.8. A function gives the text of a match or of a target's options, and may raise
Unsettled: then the words are kept as they are, and it is unknown whether they hold.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from nptables.family import Family
from nptables.immutable import frozen
from nptables.iptables import values
from nptables.iptables.unshown import UNREAD_MATCH
from nptables.iptables.values import FULL_MARK, Unsettled
from nptables.iptables.words import always_quoted, save_string

Read = Callable[["re.Match[str]", Family], str]

# `tcp_flag_names` in libxt_tcp.c, by their bits.
_FLAGS = {1: "FIN", 2: "SYN", 4: "RST", 8: "PSH", 16: "ACK", 32: "URG"}
# `log_print` in libxt_LOG.c.
_LOG_FLAGS = {
    1: "--log-tcp-sequence", 2: "--log-tcp-options", 4: "--log-ip-options", 8: "--log-uid",
    32: "--log-macdecode",
}  # fmt: skip
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
_MARK = r"0x[0-9a-fA-F]+"
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
    if is_rounded(text):
        # What is rounded is taken for one of several equals, as proxies write them.
        whole = round(1 / float(text)) if float(text) > 1 / _MOST_ENDPOINTS else 0
        digits = len(text.partition(".")[2])
        # Only if it rounds to just what is printed: kube-proxy writes 1/n with 10 digits
        # (computeProbability in kubernetes/pkg/proxy/iptables/proxier.go).
        if whole and f"{1 / whole:.{digits}f}" == f"{float(text):.{digits}f}":
            text = f"{1 / whole:.11f}"
    printed = values.probability(text)
    return f"-m statistic --mode random {_no(sign)}--probability {printed}"


def is_rounded(probability: str) -> bool:
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
_MATCHES: Sequence[tuple[re.Pattern[str], Read]] = [
    (re.compile(pattern, re.DOTALL), read)
    for pattern, read in (
        (r"/\*(?: (.*?))? \*/", _comment),
        (r"(tcp|udp|udplite|sctp|dccp)" + _PORTS, _header),
        (
            r"(?:ipv6-)?icmp(?:v6|6)? ?(!)?type (\d+)(?: codes? (\d+)(?:-(\d+))?)?(?= |$)",
            _icmp,
        ),
        (r"(?:ipv6-)?icmp(?:v6|6)? (!)?([a-z][a-z-]+)", _named_icmp),
        (rf"(?i:(connmark|mark) match) +(! ?)?({_MARK}(?:/{_MARK})?)", _mark),
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


def _set_mark(found: re.Match[str], _family: Family) -> str:
    """`mark_tg_print`, `connmark_tg_print`: by what the value and its mask amount to."""
    kind, (value, mask) = found[1], values.mark_and_mask(found[2])
    if kind == "or":
        mask = value
    elif kind == "xor":
        mask = 0
    elif kind == "and":
        value, mask = 0, ~value & FULL_MARK
    elif kind == "set":
        mask = FULL_MARK
    return f"--set-xmark {value:#x}/{mask:#x}"


def _copied_mark(found: re.Match[str], _family: Family) -> str:
    both = re.search(rf" mask ({_MARK})", found[0])
    packet = both or re.search(rf" nfmask ~?({_MARK})", found[0])
    connection = both or re.search(rf" ctmask ~?({_MARK})", found[0])
    nfmask, ctmask = (each[1] if each else f"{FULL_MARK:#x}" for each in (packet, connection))
    return f"--{found[1]}-mark --nfmask {nfmask} --ctmask {ctmask}"


def _with_flags(option: str) -> Read:
    """An option with its value, and words behind it that are options without one."""

    def read(found: re.Match[str], _family: Family) -> str:
        flags = [f"--{word}" for word in (found[2] or "").split()]
        return " ".join([f"{option} {found[1]}", *flags])

    return read


def _masquerade(found: re.Match[str], _family: Family) -> str:
    ports = f"--to-ports {found[1]}" if found[1] else ""
    flags = [f"--{word}" for word in (found[2] or "").split()]
    return " ".join(filter(None, [ports, *flags]))


def _log(found: re.Match[str], _family: Family) -> str:
    flags, level, prefix = found.groups()
    parts = [f"--log-prefix {save_string(prefix)}"] if prefix else []
    parts += [f"--log-level {level}"] if level != "4" else []
    parts += [name for bit, name in _LOG_FLAGS.items() if int(flags or "0", 0) & bit]
    return " ".join(parts)


_NAT = r"to:(\S+)((?: random-fully| random| persistent)*)"
_TARGET_FORMS: Mapping[str, Sequence[tuple[str, Read]]] = {
    "DNAT": [(_NAT, _with_flags("--to-destination"))],
    "SNAT": [(_NAT, _with_flags("--to-source"))],
    "NETMAP": [(r"(?:to:)?([0-9a-f.:]+/\d+)()", _with_flags("--to"))],
    "REDIRECT": [(r"redir ports (\S+)((?: random(?:-fully)?)*)", _with_flags("--to-ports"))],
    "MASQUERADE": [
        (r"masq ports: (\S+)((?: random(?:-fully)?)*)", _masquerade),
        (r"()(random(?:-fully)?(?: random-fully)?)(?= |$)", _masquerade),
    ],
    "REJECT": [(r"reject-with (\S+)()", _with_flags("--reject-with"))],
    "MARK": [(rf"MARK (set|xset|or|and|xor) ({_MARK}(?:/{_MARK})?)", _set_mark)],
    "CONNMARK": [
        (rf"CONNMARK (set|xset|or|and|xor) ({_MARK}(?:/{_MARK})?)", _set_mark),
        (
            (
                r"CONNMARK (save|restore)(?: mask 0x[0-9a-f]+"
                r"|(?: (?:nf|ct)mask ~?0x[0-9a-f]+){2})?(?= |$)"
            ),
            _copied_mark,
        ),
    ],
    "CT": [
        (r"(?:CT notrack|NOTRACK)", lambda _m, _f: "--notrack"),
        (r"CT (helper|zone|timeout|zone-orig|zone-reply) (\S+)",
            lambda m, _f: f"--{m[1]} {m[2]}"),
    ],
    "LOG": [
        (r"LOG (?:flags (\S+) )?level (\S+)(?: prefix [`\"](.*?)['\"](?= |$))?", _log),
    ],
    "NFQUEUE": [
        (r"NFQUEUE num (\d+)( bypass)?(?= |$)",
            lambda m, _f: f"--queue-num {m[1]}{' --queue-bypass' if m[2] else ''}"),
        (r"NFQUEUE balance (\d+:\d+)()", _with_flags("--queue-balance")),
    ],
    "TPROXY": [
        (rf"TPROXY redirect (\S+):(\d+) mark ({_MARK}/{_MARK})",
            lambda m, _f: f"--on-port {m[2]} --on-ip {m[1]} --tproxy-mark {m[3]}"),
    ],
}  # fmt: skip
_TARGETS = {
    name: [(re.compile(pattern), read) for pattern, read in forms]
    for name, forms in _TARGET_FORMS.items()
}


@frozen
class Words:
    """What stands behind the columns: matches and the target's options, as a rule has them.

    What cannot be understood is a match of its own (`UNREAD_MATCH`) among the others, and `unread`
    has it. `told` tells that there were words of the target, even if they say what is usual.
    """

    matches: tuple[str, ...]
    options: tuple[str, ...]
    unread: tuple[str, ...]
    told: bool


def read_words(rest: str, target: str, family: Family) -> Words:
    """The words behind the columns of a row; `target` is the name in the target column."""
    pieces = list(_pieces(rest, target, family))
    return Words(
        tuple(
            unread_match(text) if kind == "unread" else text
            for kind, text in pieces
            if kind != "target"
        ),
        tuple(text for kind, text in pieces if kind == "target" and text),
        tuple(text for kind, text in pieces if kind == "unread"),
        told=any(kind == "target" for kind, _ in pieces),
    )


def read_one(rest: str, position: int, family: Family) -> tuple[str, int] | None:
    """The match at a position, empty where its values are not understood, and where it ends."""
    found = _piece(rest, position, "", family)
    return None if found is None else ("" if found[0] == "unread" else found[1], found[2])


def unread_match(words: str) -> str:
    """The match that stands for words that cannot be understood."""
    return f"-m {UNREAD_MATCH} --words {always_quoted(words)}"


def _pieces(rest: str, target: str, family: Family) -> Iterator[tuple[str, str]]:
    if rest.count("/*") != rest.count("*/"):
        # A comment that does not end, or that has the end of a comment in it.
        yield "unread", rest.strip()
        return
    position, waiting = 0, ""
    while position < len(rest):
        if rest[position].isspace():
            position += 1
            continue
        found = _piece(rest, position, target, family)
        if found is None:
            end = _end_of_word(rest, position)
            waiting = f"{waiting} {rest[position:end]}".lstrip()
            position = end
            continue
        if waiting:
            yield "unread", waiting
            waiting = ""
        kind, text, position = found
        yield kind, text
    if waiting:
        yield "unread", waiting


def _piece(rest: str, position: int, target: str, family: Family) -> tuple[str, str, int] | None:
    """What is understood at a position: what it is, its text, and where it ends."""
    for kind, forms in (("target", _TARGETS.get(target, ())), ("match", _MATCHES)):
        for pattern, read in forms:
            found = pattern.match(rest, position)
            if found is None or not found[0]:
                continue
            end = found.end()
            if end < len(rest) and not rest[end].isspace():
                continue
            try:
                return kind, read(found, family), end
            except (Unsettled, ValueError):
                # Words of a match that is known, with a value that is not: unknown as a whole.
                return "unread", found[0], end
    return None


def _end_of_word(rest: str, position: int) -> int:
    end = position
    while end < len(rest) and not rest[end].isspace():
        end += 1
    return end
