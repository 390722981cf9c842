"""UDP connections that the rules no longer stand behind, and deleting them.

A UDP flow keeps the translation that its first packet got for as long as packets flow: to an
endpoint that is gone, or untranslated where no rule was there yet. What kube-proxy 1.36 does from
its list of Services is done here from rulesets; beyond that, frontends that went away are cleared.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs

from nptables.errors import BackendUnavailable
from nptables.family import Family
from nptables.translation.frontends import Frontend

Endpoints = frozenset[tuple[str, int]]


@attrs.frozen
class Flow:
    """A UDP connection: where the client sends to, and who answers."""

    destination: tuple[str, int]
    answers: tuple[str, int]


def stale_flows(
    flows: Iterable[Flow],
    before: Mapping[Frontend, Endpoints],
    after: Mapping[Frontend, Endpoints],
    local_addresses: frozenset[str],
) -> list[Flow]:
    """The flows to a frontend, old or new, that the rules after a change would not make.

    A node port counts on the node's own addresses only, so that UDP which is merely forwarded to
    the same port elsewhere is not cut.
    """
    stale = []
    for flow in flows:
        frontend = _frontend_of(flow.destination, before, after, local_addresses)
        if frontend is None or flow.answers in after.get(frontend, frozenset()):
            continue
        # What is no longer a frontend goes back to what it was without one: untranslated.
        if frontend in after or flow.answers != flow.destination:
            stale.append(flow)
    return stale


def _frontend_of(
    destination: tuple[str, int],
    before: Mapping[Frontend, Endpoints],
    after: Mapping[Frontend, Endpoints],
    local_addresses: frozenset[str],
) -> Frontend | None:
    address, port = destination
    candidates = [Frontend(address, port)]
    if address in local_addresses:
        candidates.append(Frontend("", port))
    for known in (after, before):
        for candidate in candidates:
            if candidate in known:
                return candidate
    return None


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
    number = socket.AF_INET if family is Family.IPV4 else socket.AF_INET6
    deleted = 0
    try:
        # Without its family a dump of the table holds IPv4 only.
        with Conntrack(nfgen_family=number) as table:
            entries = list(_udp_entries(table, number))
            flows = [flow for _, flow in entries]
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
            yield sent, Flow((sent.daddr, sent.dport), (back.saddr, back.sport))


def _delete(table: Any, entry: Any) -> bool:
    """Delete one entry; False where it was gone already."""
    from pyroute2.netlink.exceptions import NetlinkError  # noqa: PLC0415 (as above)

    try:
        table.delete(entry)
    except NetlinkError as error:
        if error.code == errno.ENOENT:
            return False
        raise
    return True
