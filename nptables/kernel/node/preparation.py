"""Settings of the node that the rules need, as kube-proxy makes them; see `prepare`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import attrs

from nptables.kernel.node import nfacct
from nptables.model import ProxyConfig

PROC = Path("/proc/sys")
HASH_SIZE = Path("/sys/module/nf_conntrack/parameters/hashsize")
_LOCALNET = "net/ipv4/conf/all/route_localnet"


@attrs.frozen
class Setting:
    """One thing that was set, or could not be: `problem` is empty where it was."""

    name: str
    value: str
    before: str = ""
    problem: str = ""

    def __str__(self) -> str:
        if self.problem:
            return f"{self.name} could not be set to {self.value}: {self.problem}"
        was = f" (was {self.before})" if self.before else ""
        return f"{self.name} set to {self.value}{was}"


def prepare(config: ProxyConfig, *, localhost_node_ports: bool, proc: Path = PROC) -> list[Setting]:
    """Set what is not set yet; returns what was set, and what could not be.

    `localhost_node_ports`: the rules serve node ports on 127.0.0.0/8, which needs
    `route_localnet`. The nfacct counters are created, and the conntrack settings of the
    configuration written, where they differ.
    """
    found = [*_create_counters()]
    if localhost_node_ports:
        found += _write(_LOCALNET, 1, proc)
    for name, value in conntrack_settings(config, os.cpu_count() or 1).items():
        settings = list(_write(f"net/netfilter/{name}", value, proc))
        found += settings
        if name == "nf_conntrack_max" and all(not s.problem for s in settings):
            found += _grow_hash(value)
    return found


def conntrack_settings(config: ProxyConfig, cores: int) -> dict[str, int]:
    """The sysctls under net/netfilter that a configuration asks for, with their values."""
    conntrack = config.conntrack
    wanted: dict[str, int] = {}
    if conntrack.max_per_core:
        wanted["nf_conntrack_max"] = max(conntrack.max_per_core * cores, conntrack.min or 0)
    for name, seconds in (
        ("nf_conntrack_tcp_timeout_established", conntrack.tcp_established_timeout),
        ("nf_conntrack_tcp_timeout_close_wait", conntrack.tcp_close_wait_timeout),
        ("nf_conntrack_udp_timeout", conntrack.udp_timeout),
        ("nf_conntrack_udp_timeout_stream", conntrack.udp_stream_timeout),
    ):
        if seconds:
            wanted[name] = int(seconds)
    if conntrack.tcp_be_liberal:
        wanted["nf_conntrack_tcp_be_liberal"] = 1
    return wanted


def _create_counters() -> Iterator[Setting]:
    for name in nfacct.COUNTERS:
        try:
            if nfacct.create(name):
                yield Setting(f"nfacct counter {name}", "0")
        except OSError as error:
            reason = error.strerror or "refused"
            yield Setting(f"nfacct counter {name}", "0", problem=f"the kernel says {reason}")
            return


def _write(name: str, value: int, proc: Path) -> Iterator[Setting]:
    path, shown = proc / name, name.replace("/", ".")
    try:
        before = path.read_text().strip()
        if before == str(value):
            return
        path.write_text(f"{value}\n")
    except OSError as error:
        yield Setting(shown, str(value), problem=error.strerror or "refused")
    else:
        yield Setting(shown, str(value), before)


def _grow_hash(most: int) -> Iterator[Setting]:
    """A hash table of a quarter of the entries, as kube-proxy keeps it."""
    try:
        before = int(HASH_SIZE.read_text())
        if before >= most // 4:
            return
        HASH_SIZE.write_text(str(most // 4))
    except (OSError, ValueError) as error:
        yield Setting("nf_conntrack hashsize", str(most // 4), problem=str(error))
    else:
        yield Setting("nf_conntrack hashsize", str(most // 4), str(before))
