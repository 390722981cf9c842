"""What reasons are made from: the answer, what was asked for, and what the cluster decides."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import attrs

from nptables import words
from nptables.evidence.handling import Handler, Handling
from nptables.family import Family
from nptables.immutable import frozen
from nptables.iptables.ruleset import Ruleset
from nptables.model import Node, ProxyConfig
from nptables.tracing.addressing import Address, with_port
from nptables.tracing.network import Network
from nptables.tracing.services import Asked, Frontend, Services
from nptables.translation import Decision
from nptables.translation.context import make_context
from nptables.translation.selection import PortEndpoint, Selection

if TYPE_CHECKING:
    from nptables.translation.explanation.disagreement import Disagreement

_LISTED = 8

Place = tuple[str, int]


def _nothing() -> None:
    """Nothing was compared."""


@frozen
class Case:
    """What is known where reasons are given; no services where no cluster is known.

    `conditions` say whose the packet's addresses are, where that was asked. `compare` says where
    the rules of the node and the cluster differ, over all service ports.
    """

    asked: Asked
    services: Services | None
    network: Network
    rulesets: tuple[Ruleset, ...]
    config: ProxyConfig
    family: Family
    handling: Handling = attrs.field(factory=Handling)
    conditions: tuple[str, ...] = ()
    compare: Callable[[], Disagreement | None] = _nothing

    @property
    def frontend(self) -> Frontend | None:
        """The service port that is asked for."""
        return self.asked.frontend

    def decision_on(self, name: str) -> Decision | None:
        """What the cluster decides for the service port on a node, where both are known."""
        if self.frontend is None or self.services is None:
            return None
        cluster = self.services.cluster
        node: Node = self.network.node
        if name and name != node.name and name in cluster.nodes:
            node = cluster.nodes[name]
        return self.frontend.decision(cluster, make_context(node, self.config, self.family))

    def has(self, table: str, chain: str) -> bool:
        """Whether the node has a chain, in the tables of whichever backend."""
        return any(
            chain in each.tables[table].chains for each in self.rulesets if table in each.tables
        )

    def behind(self, node: str) -> str:
        """Why rules of a node may not fit the cluster, in words."""
        ipvs = self.handling.of(Handler.IPVS)
        if node == self.network.node.name and ipvs is not None and ipvs.acts:
            return (
                f"kube-proxy on {node} is in mode ipvs, and the rule was left behind by mode "
                f"iptables"
            )
        from nptables.translation.explanation.disagreement import Cause  # noqa: PLC0415 - of dumps

        return self.cause(node) or Cause.BEHIND.words(node)

    def cause(self, node: str) -> str:
        """The likeliest cause, by all service ports, where the rules of a node were compared."""
        found = self.compare() if node == self.network.node.name else None
        return "" if found is None else found.words


def places(pairs: Iterable[PortEndpoint]) -> set[Place]:
    """Endpoints as pairs of address and port."""
    return {(endpoint.address, int(text.rpartition(":")[2])) for text, endpoint in pairs}


def usable(selection: Selection) -> set[Place]:
    """The endpoints that can take traffic, wherever they are."""
    ready = places(pair for pair in selection.known if pair[1].ready)
    return ready or places(p for p in selection.known if p[1].serving and p[1].terminating)


def listed(found: Iterable[tuple[Address, int | None]]) -> str:
    """Addresses and ports in words, the first of them where there are many."""
    return words.listed(sorted(with_port(address, port) for address, port in found), _LISTED)


def endpoints(count: int) -> str:
    """`1 endpoint`, `2 endpoints`."""
    return words.counted(count, "endpoint")
