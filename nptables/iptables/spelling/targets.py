"""How iptables 1.8.9 prints the options of each target.

A target without an entry here is left as it is written. The order of options is that of `tables`.
"""

from __future__ import annotations

from collections.abc import Mapping

from nptables.family import Family
from nptables.iptables import values
from nptables.iptables.rule import Option
from nptables.iptables.spelling.forms import (
    Forms,
    Named,
    Words,
    default,
    dropped,
    dscp,
    in_family,
    set_mark,
    text,
)
from nptables.iptables.values import FULL_MARK, Unsettled

_DECIMAL = text(values.decimal)


def _connmark(options: Named, family: Family) -> Named:
    """Like MARK, and copying a mark prints both masks (`connmark_tg_save` in libxt_CONNMARK.c)."""
    copying = [name for name in ("--save-mark", "--restore-mark") if name in options]
    if not copying:
        return set_mark(options, family)
    if len(copying) > 1 or not set(options) <= {*copying, "--mask", "--nfmask", "--ctmask"}:
        raise Unsettled("CONNMARK")
    # One mask for both marks, which is printed as two.
    both = options.pop("--mask", None)
    if both is not None and len(options) > 1:
        raise Unsettled("--mask with another mask")
    for name in ("--nfmask", "--ctmask"):
        given = both or options.get(name)
        mask = FULL_MARK if given is None else values.number(given.value)
        options[name] = Option(name, (f"{mask:#x}",))
    return options


_REJECT_NAMES = {
    # `reject_table` in libipt_REJECT.c: printed name and alias
    Family.IPV4: {
        "net-unreach": "icmp-net-unreachable",
        "host-unreach": "icmp-host-unreachable",
        "proto-unreach": "icmp-proto-unreachable",
        "port-unreach": "icmp-port-unreachable",
        "net-prohib": "icmp-net-prohibited",
        "host-prohib": "icmp-host-prohibited",
        "admin-prohib": "icmp-admin-prohibited",
        "tcp-rst": "tcp-reset",
    },
    # the same in libip6t_REJECT.c
    Family.IPV6: {
        "no-route": "icmp6-no-route",
        "adm-prohibited": "icmp6-adm-prohibited",
        "addr-unreach": "icmp6-addr-unreachable",
        "port-unreach": "icmp6-port-unreachable",
        "policy-fail": "icmp6-policy-fail",
        "reject-route": "icmp6-reject-route",
        "tcp-reset": "tcp-reset",
    },
}


def _reject_with(words: Words, family: Family) -> Words:
    names = _REJECT_NAMES[family]
    return (values.one_of(words[0], names | {name: name for name in names.values()}),)


def _reject(options: Named, family: Family) -> Named:
    """The default is printed (`REJECT_save`)."""
    kind = "icmp-port-unreachable" if family is Family.IPV4 else "icmp6-port-unreachable"
    default(options, "--reject-with", kind)
    return options


_LOG_LEVELS = {
    # `log_names` in libxtables/xtoptions.c
    "emerg": "0", "panic": "0", "alert": "1", "crit": "2", "error": "3", "warning": "4",
    "notice": "5", "info": "6", "debug": "7", **{str(level): str(level) for level in range(8)},
}  # fmt: skip


def _log_level(words: Words, _family: Family) -> Words:
    if words[0] not in _LOG_LEVELS:
        raise Unsettled(words[0])
    return (_LOG_LEVELS[words[0]],)


def _log(options: Named, _family: Family) -> Named:
    """Level 4 and an empty prefix are not printed (`LOG_save` in libxt_LOG.c)."""
    dropped(options, "--log-level", "4")
    dropped(options, "--log-prefix", "")
    return options


def _nflog(options: Named, _family: Family) -> Named:
    """Group 0 is not printed (`nflog_print`); `--nflog-range` differs by backend."""
    if "--nflog-range" in options:
        raise Unsettled("--nflog-range")
    dropped(options, "--nflog-group", "0")
    return options


def _nfqueue(options: Named, _family: Family) -> Named:
    """Queue 0 is printed (`NFQUEUE_save`)."""
    if "--queue-balance" not in options:
        default(options, "--queue-num", "0")
    elif "--queue-num" in options:
        raise Unsettled("--queue-num and --queue-balance")
    return options


def _tproxy(options: Named, family: Family) -> Named:
    """Address and mark are printed, also where they are nothing (`tproxy_tg_save4`)."""
    default(options, "--on-ip", "0.0.0.0" if family is Family.IPV4 else "::")  # noqa: S104 - printed, not bound
    mark = options.get("--tproxy-mark")
    if mark is None:
        value, mask = 0, 0
    else:
        value, mask = values.mark_and_mask(mark.value)
    options["--tproxy-mark"] = Option("--tproxy-mark", (f"{value:#x}/{mask:#x}",))
    return options


_NAT_ADDRESS = in_family(values.nat_address)
_NAT_PORTS = Forms({"--to-ports": text(values.nat_ports)})

TARGET_FORMS: Mapping[str, Forms] = {
    **{name: Forms() for name in ("ACCEPT", "DROP", "RETURN", "QUEUE", "NOTRACK", "TRACE")},
    "CONNMARK": Forms(whole=_connmark),
    "CT": Forms(),
    # `print_range` in libxt_NAT.c
    "DNAT": Forms({"--to-destination": _NAT_ADDRESS}),
    "DSCP": Forms(whole=dscp("--set-dscp-class", "--set-dscp")),
    "LOG": Forms({"--log-level": _log_level}, _log),
    "MARK": Forms(whole=set_mark),
    "MASQUERADE": _NAT_PORTS,
    "NETMAP": Forms({"--to": in_family(values.network)}),
    "NFLOG": Forms({"--nflog-group": _DECIMAL}, _nflog),
    "NFQUEUE": Forms({"--queue-num": _DECIMAL}, _nfqueue),
    "REDIRECT": _NAT_PORTS,
    "REJECT": Forms({"--reject-with": _reject_with}, _reject),
    "SNAT": Forms({"--to-source": _NAT_ADDRESS}),
    "TCPMSS": Forms({"--set-mss": _DECIMAL}),
    "TPROXY": Forms(
        {
            "--on-port": lambda words, _family: (str(values.port(words[0])),),
            "--on-ip": in_family(values.host),
        },
        _tproxy,
    ),
}
