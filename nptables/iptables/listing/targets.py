"""What targets print in a listing, as their options in a rule; see `matches`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from nptables.family import Family
from nptables.iptables import values
from nptables.iptables.listing.matches import MARK, Read
from nptables.iptables.values import FULL_MARK
from nptables.iptables.words import save_string

# `log_print` in libxt_LOG.c.
_LOG_FLAGS = {
    1: "--log-tcp-sequence", 2: "--log-tcp-options", 4: "--log-ip-options", 8: "--log-uid",
    32: "--log-macdecode",
}  # fmt: skip


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
    both = re.search(rf" mask ({MARK})", found[0])
    packet = both or re.search(rf" nfmask ~?({MARK})", found[0])
    connection = both or re.search(rf" ctmask ~?({MARK})", found[0])
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
    "MARK": [(rf"MARK (set|xset|or|and|xor) ({MARK}(?:/{MARK})?)", _set_mark)],
    "CONNMARK": [
        (rf"CONNMARK (set|xset|or|and|xor) ({MARK}(?:/{MARK})?)", _set_mark),
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
        (rf"TPROXY redirect (\S+):(\d+) mark ({MARK}/{MARK})",
            lambda m, _f: f"--on-port {m[2]} --on-ip {m[1]} --tproxy-mark {m[3]}"),
    ],
}  # fmt: skip
TARGETS = {
    name: [(re.compile(pattern), read) for pattern, read in forms]
    for name, forms in _TARGET_FORMS.items()
}
