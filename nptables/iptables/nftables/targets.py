"""What `nft list` prints of the targets of iptables rules, back to the options of a rule.

See `matches`: nft's own forms, and those of the `xlate` functions of iptables.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from nptables.family import Family
from nptables.iptables import values
from nptables.iptables.nftables.parts import Parts, Read, readers
from nptables.iptables.tables import EFFECTLESS
from nptables.iptables.values import FULL_MARK, Unsettled
from nptables.iptables.words import bare, save_string

_NUMBER = r"(?:0x[0-9a-fA-F]+|\d+)"
_FLAGS = r"((?:[ ,]+(?:random|fully-random|random-fully|persistent))*)"
_OPTIONS = {
    "random": "--random", "fully-random": "--random-fully", "random-fully": "--random-fully",
    "persistent": "--persistent",
}  # fmt: skip
_ANSWERS: Mapping[Family, Mapping[str, str]] = {
    Family.IPV4: {
        "port-unreachable": "icmp-port-unreachable", "host-unreachable": "icmp-host-unreachable",
        "net-unreachable": "icmp-net-unreachable", "prot-unreachable": "icmp-proto-unreachable",
        "net-prohibited": "icmp-net-prohibited", "host-prohibited": "icmp-host-prohibited",
        "admin-prohibited": "icmp-admin-prohibited",
    },
    Family.IPV6: {
        "port-unreachable": "icmp6-port-unreachable", "no-route": "icmp6-no-route",
        "admin-prohibited": "icmp6-adm-prohibited", "addr-unreachable": "icmp6-addr-unreachable",
    },
}  # fmt: skip
_LEVELS = {
    "emerg": "0", "alert": "1", "crit": "2", "err": "3", "error": "3", "warn": "4",
    "warning": "4", "notice": "5", "info": "6", "debug": "7",
}  # fmt: skip
_LOG_FLAGS = {
    "tcp sequence": ["--log-tcp-sequence"], "tcp options": ["--log-tcp-options"],
    "tcp sequence,options": ["--log-tcp-sequence", "--log-tcp-options"],
    "ip options": ["--log-ip-options"], "skuid": ["--log-uid"], "ether": ["--log-macdecode"],
    "all": ["--log-tcp-sequence", "--log-tcp-options", "--log-ip-options", "--log-uid",
            "--log-macdecode"],
}  # fmt: skip
# What these do is known without their values, if not all of it.
_PLAIN = frozenset({"MASQUERADE", "REJECT", "NOTRACK", *EFFECTLESS})


def _verdict(m: re.Match[str], parts: Parts) -> None:
    parts.jump(f"-j {m[1].upper()}")


def _jump(m: re.Match[str], parts: Parts) -> None:
    parts.jump(f"-{m[1][0]} {bare(m[2].strip(chr(34)))}")


def _flags(text: str) -> list[str]:
    return [_OPTIONS[word] for word in re.split(r"[ ,]+", text) if word]


def _translation(m: re.Match[str], parts: Parts) -> None:
    kind, to, flags = m.groups()
    target, option = {
        "dnat": ("DNAT", "--to-destination"), "snat": ("SNAT", "--to-source"),
    }[kind]  # fmt: skip
    if not to.startswith(":"):
        # What is in brackets without a port behind it is printed without them.
        plain = re.fullmatch(r"\[([^\]]+)\](?:-\[([^\]]+)\])?", to)
        to = "-".join(filter(None, plain.groups())) if plain else to
        to = values.nat_address(to, parts.family)
    else:
        to = f":{values.nat_ports(to[1:])}"
    parts.jump(" ".join([f"-j {target} {option} {to}", *_flags(flags)]))


def _masquerade(m: re.Match[str], parts: Parts) -> None:
    ports = [f"--to-ports {values.nat_ports(m[1])}"] if m[1] else []
    if not m[2].strip() and not parts.exact:
        # `MASQUERADE_xlate` up to 1.8.7 forgets `--random-fully`.
        parts.holds("masquerade (with its flags)")
    parts.jump(" ".join(["-j MASQUERADE", *ports, *_flags(m[2])]))


def _redirect(m: re.Match[str], parts: Parts) -> None:
    ports = [f"--to-ports {values.nat_ports(m[1])}"] if m[1] else []
    parts.jump(" ".join(["-j REDIRECT", *ports, *_flags(m[2])]))


def _reject(m: re.Match[str], parts: Parts) -> None:
    kind, word = m.groups()
    if kind == "tcp":
        answer = "tcp-reset"
    elif kind is not None and (kind == "icmp") is not (parts.family is Family.IPV4):
        raise Unsettled
    else:
        answer = _ANSWERS[parts.family].get(word or "port-unreachable", "")
    if not answer:
        raise Unsettled
    parts.jump(f"-j REJECT --reject-with {answer}")


def _set_mark(m: re.Match[str], parts: Parts) -> None:
    whose, rest = m.groups()
    rest = re.sub(r"[()]", "", rest).strip()
    # Only an operation on the very mark that is set has a form in iptables.
    own = r"ct mark" if whose == "ct" else r"(?:meta )?mark"
    target = "CONNMARK" if whose == "ct" else "MARK"
    if re.fullmatch(_NUMBER, rest):
        parts.jump(f"-j {target} --set-xmark {values.number(rest):#x}/{FULL_MARK:#x}")
        return
    other = r"(?:meta )?mark" if whose == "ct" else r"ct mark"
    # On `ct mark set mark` the other mark is copied.
    copied = re.fullmatch(rf"{other}(?: (?:and|&) ({_NUMBER}))?", rest)
    if copied is not None:
        if not parts.exact:
            # `connmark_tg_xlate` up to 1.8.7 forgets masks that differ.
            raise Unsettled
        mask = values.number(copied[1]) if copied[1] else FULL_MARK
        action = "save" if whose == "ct" else "restore"
        parts.jump(f"-j CONNMARK --{action}-mark --nfmask {mask:#x} --ctmask {mask:#x}")
        return
    found = re.fullmatch(
        rf"{own} (and|or|xor|[&|^]) ({_NUMBER})(?: (and|xor|[&^]) ({_NUMBER}))?", rest
    )
    if found is None:
        raise Unsettled
    parts.jump(f"-j {target} --set-xmark {_xmark(*found.groups())}")


def _xmark(first: str, number: str, second: str | None, other: str | None) -> str:
    """The value and mask of one or two operations on a mark."""
    names = {"&": "and", "|": "or", "^": "xor"}
    operation, value = names.get(first, first), values.number(number)
    if second is None or other is None:
        value, mask = {
            "and": (0, ~value & FULL_MARK), "or": (value, value), "xor": (value, 0),
        }[operation]  # fmt: skip
        return f"{value:#x}/{mask:#x}"
    last = values.number(other)
    if (operation, names.get(second, second)) == ("and", "xor"):
        return f"{last:#x}/{~value & FULL_MARK:#x}"
    if (first, second) == ("xor", "and"):
        # So `connmark_tg_xlate` prints a value and the bits that it leaves alone.
        return f"{value:#x}/{~last & FULL_MARK:#x}"
    raise Unsettled(f"{first} {second}")


def _log(m: re.Match[str], parts: Parts) -> None:
    """What logs: `NFLOG` where it names a group, `LOG` otherwise. Another target may follow."""
    words = m[0]
    prefix = re.search(r' prefix "((?:\\.|[^"\\])*)"', words)
    group = re.search(r" group (\d+)", words)
    if " level audit" in words:
        text = "-j AUDIT"
    elif group is not None:
        threshold = re.search(r" queue-threshold (\d+)", words)
        size = re.search(r" snaplen (\d+)", words)
        options = [f"--nflog-prefix {save_string(prefix[1])}"] if prefix else []
        options += [f"--nflog-group {group[1]}"] if group[1] != "0" else []
        options += [f"--nflog-size {size[1]}"] if size else []
        options += [f"--nflog-threshold {threshold[1]}"] if threshold else []
        text = " ".join(["-j NFLOG", *options])
    else:
        level = re.search(r" level (\w+)", words)
        number = _LEVELS.get(level[1], level[1]) if level else "4"
        options = [f"--log-prefix {save_string(prefix[1])}"] if prefix else []
        options += [f"--log-level {number}"] if number != "4" else []
        for flags in re.findall(r" flags (tcp [a-z,]+|ip options|skuid|ether|all)", words):
            options += _LOG_FLAGS.get(flags, [])
        text = " ".join(["-j LOG", *options])
    parts.logs = text


def _queue(m: re.Match[str], parts: Parts) -> None:
    before, numbers, behind = m.groups()
    first, _, last = numbers.partition("-")
    queue = f"--queue-balance {first}:{last}" if last else f"--queue-num {first}"
    flags = f"{before or ''}{behind or ''}"
    options = ["--queue-bypass"] * ("bypass" in flags) + ["--queue-cpu-fanout"] * (
        "fanout" in flags
    )
    parts.jump(" ".join(["-j NFQUEUE", queue, *options]))


def _plain(text: str) -> Read:
    return lambda _m, parts: parts.jump(f"-j {text}")


def _hidden(m: re.Match[str], parts: Parts) -> None:
    """A target whose values are not printed: known only where they do not matter."""
    name = m[1]
    if name not in _PLAIN:
        raise Unsettled
    parts.holds(m[0])
    parts.jump(f"-j {name}")


_LOG = (
    r'log(?: (?:prefix "(?:\\.|[^"\\])*"|group \d+|queue-threshold \d+|snaplen \d+|level \w+'
    r"|flags (?:tcp [a-z,]+|ip options|skuid|ether|all)))*"
)
TARGETS = readers(
    (r"(accept|drop|return)", _verdict),
    (r"(jump|goto) (\S+)", _jump),
    (rf"(dnat|snat) (?:ip6? )?to ([\[\]0-9a-fA-F.:-]+){_FLAGS}", _translation),
    (rf"masquerade(?: to :([\d-]+))?{_FLAGS}", _masquerade),
    (rf"redirect(?: to :([\d-]+))?{_FLAGS}", _redirect),
    (r"reject(?: with (icmp|icmpv6|tcp) (?:type )?([a-z-]+))?", _reject),
    (
        (
            r"(meta|ct) mark set ((?:\(?(?:(?:meta|ct) )?mark\b\)?|0x[0-9a-fA-F]+|\d+"
            r"|\(?(?:and|or|xor|[&|^])\)?|\)|[()])(?: (?:\(?(?:(?:meta|ct) )?mark\b\)?"
            r"|0x[0-9a-fA-F]+\)?|\d+\)?|and|or|xor|[&|^]))*)"
        ),
        _set_mark,
    ),
    (_LOG, _log),
    (r"notrack", _plain("CT --notrack")),
    (r"meta nftrace set 1", _plain("TRACE")),
    (r"tcp option maxseg size set rt mtu", _plain("TCPMSS --clamp-mss-to-pmtu")),
    (r"tcp option maxseg size set (\d+)", lambda m, p: p.jump(f"-j TCPMSS --set-mss {m[1]}")),
    (r"ip6? dscp set \S+", _plain("DSCP")),
    (r"meta priority set \S+", _plain("CLASSIFY")),
    (
        r"dup to ([0-9a-fA-F.:]+)(?: device \S+)?",
        lambda m, p: p.jump(f"-j TEE --gateway {m[1]}"),
    ),
    (r"queue( flags [a-z,]+)? (?:num|to) (\d+(?:-\d+)?)((?:[ ,]+(?:bypass|fanout))*)", _queue),
    (r'(?:# ?xt_|xt target "?)([A-Z]+)"?', _hidden),
)  # fmt: skip
