"""Taking a snapshot: everything about this node that a later question may need.

What cannot be had is a gap that says why; nothing is changed, and nothing is raised for want of
rights or programs.
"""

from __future__ import annotations

import platform
import socket
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

import attrs

import nptables
from nptables.errors import KernelError, printable
from nptables.evidence import Evidence, Form, Gap
from nptables.evidence.snapshot import Snapshot
from nptables.family import Family
from nptables.kernel.node.interfaces import find_bridges
from nptables.kernel.programs import Runner, find_program, run_program
from nptables.kernel.snapshot.native import native_objects
from nptables.kernel.snapshot.processes import ReadYaml, find_processes
from nptables.kernel.snapshot.settings import (
    all_flows,
    connection_count,
    facts,
    recent_limit,
    recent_lists,
    sysctls,
)
from nptables.kernel.snapshot.tables import read_tables
from nptables.kernel.tables.restoring import DEFAULT_WAIT

_SECONDS = 30.0
_TOOLS = ("iptables", "ip6tables", "iptables-nft", "iptables-legacy", "nft", "ipset", "ip")


def take(
    *,
    families: Iterable[Family] = tuple(Family),
    backend: str = "auto",
    wait: float = DEFAULT_WAIT,
    run: Runner = run_program,
    read_yaml: ReadYaml | None = None,
    counters: bool = False,
) -> Evidence:
    """What this node has now; see `look_around`. Rules have counters where they are asked for.

    Tables are needed: raises KernelError where a family's cannot be read, but for those of IPv6
    beside those of IPv4, and KernelBusy where others keep them from being read.
    """
    return look_around(
        families=families,
        backend=backend,
        wait=wait,
        run=run,
        read_yaml=read_yaml,
        counters=counters,
        strict=True,
    ).evidence()


def look_around(
    *,
    families: Iterable[Family] = tuple(Family),
    backend: str = "auto",
    wait: float = DEFAULT_WAIT,
    run: Runner = run_program,
    read_yaml: ReadYaml | None = None,
    counters: bool = True,
    strict: bool = False,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Snapshot:
    """What this node has now, with tables that nobody has parsed.

    `families` are those whose tables are read. With a `backend` other than `auto`, tables of the
    other one are only told to be there. `wait` is in seconds, for other programs that change the
    tables, of each of them. `read_yaml` reads the configuration file of a kube-proxy, which is
    otherwise left out. Everything that is not had from programs is that of this process: its
    network namespace, /proc and /sys.
    """
    gaps: list[Gap] = []
    families = tuple(families)
    taken = now().isoformat(timespec="seconds").replace("+00:00", "Z")
    tables, unread = read_tables(
        families, backend, wait=wait, run=run, counters=counters, gaps=gaps, strict=strict
    )
    rest = Evidence(
        Form.SNAPSHOT,
        unread=unread,
        node=socket.gethostname(),
        taken=taken,
        facts=facts(run, gaps),
        sysctls=sysctls(),
        ipset=_ipset(run, gaps),
        native=native_objects(tables, families, run, gaps),
        bridges=tuple(find_bridges(run)),
        recent=recent_lists(gaps),
        recent_limit=recent_limit(),
        flows=all_flows(families, run, gaps),
        connections=connection_count(gaps),
        processes=find_processes(read_yaml, gaps),
        versions=_versions(run),
    )
    return Snapshot(tables, attrs.evolve(rest, gaps=tuple(gaps)))


def _ipset(run: Runner, gaps: list[Gap]) -> str | None:
    """What `ipset save` prints."""
    found = find_program("ipset")
    if found is None:
        gaps.append(Gap("ipset", "the program ipset is not installed"))
        return None
    try:
        done = run([found, "save"], "", _SECONDS)
    except KernelError as error:
        gaps.append(Gap("ipset", str(error)))
        return None
    if done.code:
        gaps.append(Gap("ipset", printable(done.stderr.strip()) or f"exit code {done.code}"))
        return None
    return done.stdout


def _versions(run: Runner) -> dict[str, str]:
    """What the kernel and tools say of themselves, in one line each."""
    found = {"nptables": nptables.__version__, "kernel": platform.release()}
    for tool in _TOOLS:
        program = find_program(tool)
        if program is None:
            continue
        try:
            done = run([program, "-V"], "", _SECONDS)
        except KernelError:
            continue
        if not done.code and (said := done.stdout.strip()):
            found[tool] = said.splitlines()[0]
    return found
