"""A state of a node: what is compared with another."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import attrs

from nptables.iptables import Ruleset
from nptables.model import Cluster, Node, ProxyConfig
from nptables.tracing.sets import Sets
from nptables.tracing.walking.rulebook import Rules


@attrs.frozen
class NodeState:
    """The rules of a node, and what is known around them.

    `rules` are a ruleset, translated or read, or one for each of two backends. `cluster` and
    `config` give Services their names and say where Pods are; they decide nothing. `sets` says by
    name whether an ipset holds a packet, `unread` names a backend that was not read, and
    `unknown_tables` the tables of which nobody knows what is in them: see `trace`. The rules are
    `supposed` where the cluster makes them: one that is there for want of endpoints then tells
    nothing unless all endpoints are known.
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
