"""Facts, settings and connections of this node, and why some of them cannot be had."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from nptables.errors import BackendUnavailable, KernelError
from nptables.evidence import Gap, RecentList
from nptables.evidence.settings import SYSCTLS
from nptables.family import Family
from nptables.kernel.node import nfacct
from nptables.kernel.node.conntrack import flows_by_program, udp_flows
from nptables.kernel.node.facts import be_liberal, interfaces, random_fully, routes
from nptables.kernel.programs import Runner, find_program
from nptables.model import NodeFacts
from nptables.translation.flows import Flow

# So many UDP connections of a family are kept.
MOST_FLOWS = 10_000

_SYS = Path("/proc/sys")
_RECENT = Path("/proc/net/xt_recent")
# How many addresses a list of `recent` remembers: 100 unless the module was loaded with more.
_RECENT_LIMIT = Path("/sys/module/xt_recent/parameters/ip_list_tot")
_COUNT = Path("/proc/sys/net/netfilter/nf_conntrack_count")


def facts(run: Runner, gaps: list[Gap]) -> NodeFacts:
    """The facts of this node; what cannot be told is not among them."""
    found: dict[str, Any] = {"tcpBeLiberal": be_liberal(), "randomFully": random_fully(run)}
    try:
        if (addresses := interfaces(run)) is not None:
            found |= {"interfaces": addresses, "routes": routes(run)}
        else:
            gaps.append(Gap("interfaces and routes", "the program ip is not installed"))
    except KernelError as error:
        gaps.append(Gap("interfaces and routes", str(error)))
    try:
        found["nfacct"] = set(nfacct.COUNTERS) <= set(nfacct.counters())
    except OSError as error:
        if error.errno == errno.EPERM:
            gaps.append(Gap("nfacct counters", "it takes root to see them"))
        else:
            found["nfacct"] = False
    return NodeFacts.from_mapping(found)


def sysctls(root: Path = _SYS) -> dict[str, str]:
    """The settings by their path below `root`; those that are not there are left out."""
    found = {}
    for pattern in SYSCTLS:
        for path in sorted(root.glob(pattern)):
            try:
                found[str(path.relative_to(root))] = path.read_text().strip()
            except OSError:
                continue
    return found


def recent_lists(gaps: list[Gap], folder: Path = _RECENT) -> tuple[RecentList, ...] | None:
    """The lists of the `recent` match and their sizes; none where the kernel has none of it."""
    try:
        paths = sorted(folder.iterdir())
        return tuple(RecentList(p.name, p.read_bytes().count(b"\n")) for p in paths)
    except FileNotFoundError:
        return ()
    except OSError as error:
        gaps.append(Gap("lists of the recent match", str(error.strerror)))
        return None


def recent_limit(path: Path = _RECENT_LIMIT) -> int | None:
    """How many addresses a list can hold; None where the module is not there."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def connection_count(gaps: list[Gap], path: Path = _COUNT) -> int | None:
    """How many connections the kernel knows."""
    try:
        return int(path.read_text())
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        gaps.append(Gap("the number of connections", str(why)))
        return None


def all_flows(families: Iterable[Family], run: Runner, gaps: list[Gap]) -> tuple[Flow, ...] | None:
    """The UDP connections, at most MOST_FLOWS of each family; None where they cannot be read."""
    found: list[Flow] = []
    for family in families:
        what = f"{family.value} UDP connections"
        try:
            # The library that does without the program takes longer to import.
            ask = flows_by_program if find_program("conntrack") else udp_flows
            flows = ask(family, run)
        except BackendUnavailable as error:
            gaps.append(Gap(what, str(error)))
            return None
        if len(flows) > MOST_FLOWS:
            gaps.append(Gap(what, f"{MOST_FLOWS} of {len(flows)} are here"))
        found += flows[:MOST_FLOWS]
    return tuple(found)
