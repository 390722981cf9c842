"""Settings of the node that the rules need, as kube-proxy makes them; see `prepare`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import attrs

from nptables.immutable import frozen
from nptables.kernel.node import nfacct
from nptables.model import ProxyConfig
from nptables.model.kubeproxy.habits import PACKET_COUNTERS

PROC = Path("/proc/sys")
HASH_SIZE = Path("/sys/module/nf_conntrack/parameters/hashsize")
# A node port on 127.0.0.1 is translated to a Pod's address with a source in 127.0.0.0/8, which the
# kernel routes to no other interface without this. Since others can then reach what listens on
# 127.0.0.1, a rule in KUBE-FIREWALL belongs to it (issues.k8s.io/90259).
_LOCALNET = "net/ipv4/conf/all/route_localnet"
_MOST_ENTRIES = "nf_conntrack_max"


@frozen
class Setting:
    """One thing to set, or that was set, or could not be: `problem` is empty where it was.

    `path` is the file that holds it; None for what has none.
    """

    name: str
    value: str
    before: str = ""
    problem: str = ""
    path: Path | None = attrs.field(default=None, repr=False)

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
    wanted = missing_settings(config, localhost_node_ports=localhost_node_ports, proc=proc)
    return [*create_counters(config), *write(wanted)]


def missing_settings(
    config: ProxyConfig, *, localhost_node_ports: bool, proc: Path = PROC
) -> list[Setting]:
    """The settings that differ from what the rules and the configuration need; writes nothing.

    One that cannot be read has a problem.
    """
    found: list[Setting] = []
    if localhost_node_ports:
        found += _missing(_LOCALNET, 1, proc)
    # All cores of the machine and not those that this process may use, as detectNumCPU in
    # kubernetes/cmd/kube-proxy/app/server_linux.go.
    for name, value in conntrack_settings(config, os.cpu_count() or 1).items():
        settings = list(_missing(f"net/netfilter/{name}", value, proc))
        found += settings
        if name == _MOST_ENTRIES and all(not s.problem for s in settings):
            found += _missing_hash(value)
    return found


def write(settings: Iterable[Setting]) -> list[Setting]:
    """Set what has no problem yet; returns all that was asked for, with the problems there were.

    The hash table grows only where the number of entries that it is for could be set.
    """
    done: list[Setting] = []
    for setting in settings:
        if setting.path == HASH_SIZE and any(
            _MOST_ENTRIES in earlier.name and earlier.problem for earlier in done
        ):
            continue
        problem = setting.problem or _written(setting.path, setting.value)
        done.append(attrs.evolve(setting, problem=problem))
    return done


def take_back(settings: Iterable[Setting]) -> list[str]:
    """Give settings the value that they had before; returns a sentence for each that failed.

    What somebody has given yet another value since is left alone.
    """
    problems = []
    for setting in settings:
        try:
            now = setting.path.read_text().strip() if setting.path and setting.before else ""
        except OSError:
            continue
        if now == setting.value and (problem := _written(setting.path, setting.before)):
            problems.append(f"{setting.name} could not be set back to {setting.before}: {problem}")
    return problems


def conntrack_settings(config: ProxyConfig, cores: int) -> dict[str, int]:
    """The sysctls under net/netfilter that a configuration asks for, with their values."""
    conntrack = config.conntrack
    wanted: dict[str, int] = {}
    if conntrack.max_per_core:
        # `min` is a floor, and without maxPerCore it means nothing (getConntrackMax in
        # kubernetes/cmd/kube-proxy/app/server_linux.go).
        wanted[_MOST_ENTRIES] = max(conntrack.max_per_core * cores, conntrack.min or 0)
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


def create_counters(config: ProxyConfig) -> Iterator[Setting]:
    """Create the nfacct counters that are missing; gives what was created, or why not.

    None for a kube-proxy that does not count.
    """
    for name in nfacct.COUNTERS if config.has(PACKET_COUNTERS) else ():
        try:
            if nfacct.create(name):
                yield Setting(f"nfacct counter {name}", "0")
        except OSError as error:
            reason = error.strerror or "refused"
            yield Setting(f"nfacct counter {name}", "0", problem=f"the kernel says {reason}")
            return


def _missing(name: str, value: int, proc: Path) -> Iterator[Setting]:
    path, shown = proc / name, name.replace("/", ".")
    try:
        before = path.read_text().strip()
    except OSError as error:
        yield Setting(shown, str(value), problem=error.strerror or "refused")
    else:
        if before != str(value):
            yield Setting(shown, str(value), before, path=path)


def _missing_hash(most: int) -> Iterator[Setting]:
    """A hash table of a quarter of the entries, as kube-proxy keeps it."""
    name, value = "nf_conntrack hashsize", str(most // 4)
    try:
        before = int(HASH_SIZE.read_text())
    except (OSError, ValueError) as error:
        yield Setting(name, value, problem=str(error))
    else:
        # Never smaller, and not written without need: outside of the first network namespace the
        # kernel refuses (SetMax in kubernetes/cmd/kube-proxy/app/conntrack.go).
        if before < most // 4:
            yield Setting(name, value, str(before), path=HASH_SIZE)


def _written(path: Path | None, value: str) -> str:
    """Write a value; gives why it could not be, or an empty string."""
    if path is None:
        return ""
    try:
        path.write_text(f"{value}\n")
    except OSError as error:
        return error.strerror or "refused"
    return ""
