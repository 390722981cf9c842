"""Where UDP packets to Services may go, read from a ruleset: to find connections gone stale."""

from __future__ import annotations

import re

from nptables.immutable import frozen
from nptables.iptables.changes.equality import without_comments
from nptables.iptables.ruleset import Ruleset, target_of
from nptables.translation import chains

_FRONTEND = re.compile(
    r"-A \S+(?: -d (?P<to>[^\s/]+)/(?P<length>\d+))? -p udp .*--dport (?P<port>\d+)"
)
_BACKEND = re.compile(r" --to-destination \[?(?P<address>[^\s\]]+?)\]?:(?P<port>\d+)$")


@frozen
class Frontend:
    """An address and a port that UDP clients send to; no address for a node port."""

    address: str
    port: int


def udp_frontends(ruleset: Ruleset) -> dict[Frontend, frozenset[tuple[str, int]]]:
    """The UDP frontends of a ruleset, each with the endpoints that its packets may be sent to.

    Frontends whose packets are refused or dropped have no endpoints.
    """
    found: dict[Frontend, frozenset[tuple[str, int]]] = {}
    for table, chain in (
        ("filter", chains.SERVICES),
        ("filter", chains.EXTERNAL_SERVICES),
        ("nat", chains.SERVICES),
        ("nat", chains.NODEPORTS),
    ):
        for line in ruleset.lines(table, chain):
            if " -p udp " not in line:
                continue
            matched = _FRONTEND.match(without_comments(line))
            if matched is None:
                continue
            # The 127.0.0.0/8 of the rule that counts packets is no address to send to.
            address = "" if chain == chains.NODEPORTS else matched["to"] or ""
            frontend = Frontend(address, int(matched["port"]))
            endpoints: frozenset[tuple[str, int]] = frozenset()
            if table == "nat":
                endpoints = _endpoints(ruleset, target_of(line))
            found[frontend] = found.get(frontend, frozenset()) | endpoints
    return found


def _endpoints(ruleset: Ruleset, chain: str) -> frozenset[tuple[str, int]]:
    """Everything that packets which enter a chain of the nat table may be translated to."""
    found = set()
    seen = {chain}
    waiting = [chain]
    while waiting:
        for line in ruleset.lines("nat", waiting.pop()):
            backend = _BACKEND.search(line)
            if backend is not None:
                found.add((backend["address"], int(backend["port"])))
            target = target_of(line)
            if target not in seen and target.startswith("KUBE-"):
                seen.add(target)
                waiting.append(target)
    return frozenset(found)
