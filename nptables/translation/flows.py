"""UDP connections, and which of them no longer follow the rules.

A UDP flow keeps the translation that its first packet got for as long as packets flow: to an
endpoint that is gone, or untranslated where no rule was there yet.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from nptables.family import Family
from nptables.immutable import frozen
from nptables.model.addresses import parse_ip_sloppy
from nptables.translation.frontends import Frontend

Endpoints = frozenset[tuple[str, int]]
AddressAndPort = tuple[str, int]


@frozen
class Flow:
    """A UDP connection: where the client sends to, who answers, and who the client is."""

    destination: AddressAndPort
    answers: AddressAndPort
    client: AddressAndPort = ("", 0)


def stale_flows(
    flows: Iterable[Flow],
    before: Mapping[Frontend, Endpoints],
    after: Mapping[Frontend, Endpoints],
    local_addresses: frozenset[str],
) -> list[Flow]:
    """The flows to a frontend, old or new, whose translation the changed rules would not make.

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
    destination: AddressAndPort,
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


# UDP alone, as in kube-proxy's pkg/proxy/conntrack: a TCP client notices that nobody answers, and
# its next connection meets the rules anew. In /proc the family stands before the protocol.
_UDP = re.compile(r"(?:ipv[46] +\d+ +)?udp ")
_WAYS = re.compile(r"\bsrc=(\S+) dst=(\S+) sport=(\d+) dport=(\d+)")


def listed_flows(listing: str, family: Family) -> list[Flow]:
    """The UDP connections of a family in what `conntrack -L` or /proc/net/nf_conntrack prints.

    Lines of other protocols, and broken ones, are skipped.
    """
    found = []
    for line in listing.splitlines():
        ways = _WAYS.findall(line)
        if not _UDP.match(line) or len(ways) != 2:
            continue
        (source, destination, source_port, port), (back, _, back_port, _) = ways
        addresses = [parse_ip_sloppy(text) for text in (source, destination, back)]
        client, to, answering = addresses
        if client is None or to is None or answering is None or Family.of(to) is not family:
            continue
        found.append(Flow((to, int(port)), (answering, int(back_port)), (client, int(source_port))))
    return found
