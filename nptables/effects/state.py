"""A state of a node: what is compared with another."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import attrs

from nptables.immutable import frozen
from nptables.iptables import Ruleset
from nptables.model import Cluster, Node, ProxyConfig
from nptables.tracing.sets import Sets
from nptables.tracing.traversal.rulebook import Rules


@frozen
class NodeState:
    """The rules of a node, and the facts that they depend on.

    `rules` are a ruleset, translated or read, or one for each of two backends. `cluster` and
    `config` give the names of Services and the places of Pods; they decide nothing. `sets` tells by
    name whether an ipset contains a packet, `unread` names a backend that was not read, and
    `unknown_tables` are tables whose contents are unknown: see `trace`. `supposed` rules were made
    from a cluster: a rule that refuses because there are no endpoints then counts only if all
    endpoints are known.
    """

    rules: Rules
    node: Node
    cluster: Cluster | None = None
    config: ProxyConfig | None = None
    sets: Sets = attrs.field(factory=dict)
    unread: str = ""
    unknown_tables: Collection[str] = ()
    supposed: bool = False

    @property
    def rulesets(self) -> tuple[Ruleset, ...]:
        """The ruleset of each backend."""
        return (self.rules,) if isinstance(self.rules, Ruleset) else tuple(self.rules)

    @property
    def unknown_by_node(self) -> Mapping[str, Collection[str]]:
        """The unknown tables as `trace` takes them."""
        return {self.node.name: self.unknown_tables}
