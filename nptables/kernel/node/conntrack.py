"""The UDP connections that the kernel knows, and deleting those that no rule stands behind.

What kube-proxy 1.36 does from its list of Services is done here from rulesets; beyond that,
frontends that went away are cleared.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator, Mapping
from typing import Any

from nptables.errors import BackendUnavailable, KernelError
from nptables.family import Family
from nptables.kernel.programs import Runner, find_program, run_program
from nptables.translation.flows import Endpoints, Flow, listed_flows, stale_flows
from nptables.translation.frontends import Frontend

_SECONDS = 30.0
_NUMBERS = {Family.IPV4: socket.AF_INET, Family.IPV6: socket.AF_INET6}


def udp_flows(family: Family, run: Runner = run_program) -> list[Flow]:
    """The UDP connections of a family, by netlink or else by the program `conntrack`.

    Raises BackendUnavailable where neither is there, or the kernel refuses.
    """
    try:
        from pyroute2 import Conntrack  # noqa: PLC0415 (an extra, and slow to import)
        from pyroute2.netlink.exceptions import NetlinkError  # noqa: PLC0415
    except ImportError:
        return flows_by_program(family, run)
    number = _NUMBERS[family]
    try:
        with Conntrack(nfgen_family=number) as table:
            return [flow for _, flow in _udp_entries(table, number)]
    except (OSError, NetlinkError) as error:
        raise BackendUnavailable(f"the kernel's connections cannot be read: {error}") from error


def flows_by_program(family: Family, run: Runner = run_program) -> list[Flow]:
    """The UDP connections of a family as `conntrack -L` lists them.

    Raises BackendUnavailable where it is not installed, or fails.
    """
    program = find_program("conntrack")
    if program is None:
        raise BackendUnavailable(
            "UDP connections cannot be read without pyroute2 (nptables[agent]) or conntrack"
        )
    try:
        done = run([program, "-L", "-p", "udp", "-f", family.value.lower()], "", _SECONDS)
    except KernelError as error:
        raise BackendUnavailable(str(error)) from error
    if done.code:
        raise BackendUnavailable(f"conntrack -L: {done.stderr.strip()}")
    return listed_flows(done.stdout, family)


def delete_stale_flows(
    family: Family,
    before: Mapping[Frontend, Endpoints],
    after: Mapping[Frontend, Endpoints],
    local_addresses: frozenset[str],
) -> int:
    """Delete the stale UDP connections of a family from the kernel's table; returns how many.

    Nothing is looked at where there is no UDP frontend. Raises BackendUnavailable without
    pyroute2 or without the right to.
    """
    if not before and not after:
        return 0
    try:
        # An extra, and slow to import.
        from pyroute2 import Conntrack  # noqa: PLC0415
        from pyroute2.netlink.exceptions import NetlinkError  # noqa: PLC0415
    except ImportError:
        raise BackendUnavailable(
            "stale UDP connections cannot be deleted without pyroute2: install nptables[agent]"
        ) from None
    number = _NUMBERS[family]
    deleted = 0
    try:
        # Without its family a dump of the table holds IPv4 only.
        with Conntrack(nfgen_family=number) as table:
            entries = list(_udp_entries(table, number))
            flows = [flow for _, flow in entries]
            # Only the packet that begins a connection is shown to the nat table (iptables(8)), and
            # UDP has no end: who goes on sending from one port stays at the old endpoint.
            stale = set(stale_flows(flows, before, after, local_addresses))
            for entry, flow in entries:
                if flow in stale:
                    deleted += _delete(table, entry)
    except (OSError, NetlinkError) as error:
        raise BackendUnavailable(
            f"the kernel's connections cannot be read or deleted: {error}"
        ) from error
    return deleted


def _udp_entries(table: Any, number: int) -> Iterator[tuple[Any, Flow]]:
    from pyroute2.netlink.nfnetlink.nfctsocket import NFCTAttrTuple  # noqa: PLC0415 (as above)

    wanted = NFCTAttrTuple(family=number, proto=socket.IPPROTO_UDP)
    for entry in table.dump_entries(tuple_orig=wanted):
        sent, back = entry.tuple_orig, entry.tuple_reply
        if sent.family == number:
            answers = back.saddr, back.sport
            yield sent, Flow((sent.daddr, sent.dport), answers, (sent.saddr, sent.sport))


def _delete(table: Any, entry: Any) -> bool:
    """Delete one entry; False where it was gone already."""
    from pyroute2.netlink.exceptions import NetlinkError  # noqa: PLC0415 (as above)

    try:
        # `delete` of pyroute2 0.7.9 fails on the answer once it has deleted the entry.
        table.entry("del", tuple_orig=entry)
    except NetlinkError as error:
        if error.code == errno.ENOENT:
            return False
        raise
    return True
