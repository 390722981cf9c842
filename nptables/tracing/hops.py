"""The nodes that a packet may pass: what each knows of the network, and its rules."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import attrs

from nptables.evidence.handling import Handling
from nptables.family import Family
from nptables.immutable import frozen
from nptables.iptables.ruleset import LEGACY, Ruleset
from nptables.model import Cluster, Node, ProxyConfig
from nptables.tracing.addressing import Address
from nptables.tracing.network import Network
from nptables.tracing.other_proxies import OtherProxies, other_proxies
from nptables.tracing.services import Services, services_of
from nptables.tracing.traversal.rulebook import Rulebook, Rules, rulebooks_of
from nptables.translation import Translation
from nptables.translation.context import make_context

if TYPE_CHECKING:
    from nptables.evidence import Evidence

# kube-proxy cannot do without them.
_NEEDED = ("nat", "filter")


def missing_tables(rules: Rules) -> frozenset[str]:
    """The tables that kube-proxy uses and the dump of a node, or of each backend, does not have.

    The node may have them all the same: one table is what `iptables-save -t` prints, and what
    people paste.
    """
    rulesets = (rules,) if isinstance(rules, Ruleset) else rules
    return frozenset(_NEEDED).difference(*(ruleset.tables for ruleset in rulesets))


@frozen
class Hop:
    """A node that can be followed: what it knows of the network, and its rules.

    `books` has the rules of each backend. `unread` is one whose tables hold rules that are not
    among them, if there is such. `unknown_tables` names the tables of which it is unknown what is
    in them, whatever the rules say. The rules are `supposed` where they are those that the
    cluster makes, while those of other nodes are really there. `handling` is who handles Services
    there, `other_proxies` what of it programs other than the rules decide.
    """

    network: Network
    books: tuple[Rulebook, ...]
    unread: str = ""
    unknown_tables: frozenset[str] = frozenset()
    supposed: bool = False
    handling: Handling = attrs.field(factory=Handling)
    other_proxies: OtherProxies = attrs.field(factory=OtherProxies)


class Hops:
    """The node whose rules are given, and those that others or the cluster tell of.

    `unknown_tables` are by the name of the node. What is made for the nodes is `kept` where the
    caller says, else with the rules of the first.
    """

    def __init__(
        self,
        rules: Rules,
        node: Node,
        cluster: Cluster | None,
        config: ProxyConfig,
        others: Mapping[str, tuple[Node, Rules]],
        unread: str = "",
        unknown_tables: Mapping[str, Collection[str]] | None = None,
        evidence: Evidence | None = None,
        kept: dict[str, object] | None = None,
    ) -> None:
        books = rulebooks_of(rules)
        self._kept = books[0].extra if kept is None else kept
        self._family: Family = books[0].family
        self._cluster = cluster
        self._config = config
        self._others = others
        self._unknown_tables = unknown_tables or {}
        # Whether the rules of the first node are those that a cluster makes for it.
        self.made = isinstance(books[0].ruleset, Translation)
        # Whether there may be more rules on the node than those that are given.
        self.in_part = evidence is not None and evidence.is_fragment
        self.home = self._hop(node, books, unread, evidence)
        self.services: Services | None = (
            services_of(self._kept, cluster, self._family) if cluster is not None else None
        )

    def answers_health_checks(
        self, node: Node, address: Address, port: int | None, protocol: str
    ) -> bool:
        """Whether kube-proxy itself listens at an address and port of a node.

        It does at the health-check ports of Services, on the addresses that `nodePortAddresses`
        names (`newServiceHealthServer` in pkg/proxy/healthcheck).
        """
        if self.services is None or self.services.health_checked(port, protocol) is None:
            return False
        context = make_context(node, self._config, self._family)
        return context.all_addresses or (
            isinstance(address, str) and context.names_node_port_address(address)
        )

    def named(self, name: str, destination: Address, port: int | None, protocol: str) -> Hop | None:
        """A node, with those of its rules that can matter; None where it is not known."""
        if name == self.home.network.node.name:
            return self.home
        if name in self._others:
            node, rules = self._others[name]
            return self._hop(node, rulebooks_of(rules))
        if self._cluster is None or self.services is None:
            return None
        known = self._cluster.nodes.get(name)
        if known is None:
            return None
        book = self._rules_of(known, self._cluster, self.services, destination, port, protocol)
        return Hop(self._network(known), (book,), supposed=not self.made)

    def _hop(
        self,
        node: Node,
        books: tuple[Rulebook, ...],
        unread: str = "",
        evidence: Evidence | None = None,
    ) -> Hop:
        """A node whose rules are given."""
        unknown = frozenset(self._unknown_tables.get(node.name, ()))
        found = _handling(node, books, evidence)
        return Hop(
            self._network(node),
            books,
            unread or _left_out(books),
            unknown,
            handling=found,
            other_proxies=other_proxies(found, node.name),
        )

    def _network(self, node: Node) -> Network:
        """The network of a node, kept with the ruleset as long as node and cluster are the same."""
        kept = self._kept.get(f"network {node.name}")
        if isinstance(kept, tuple) and kept[0] is node and kept[1] is self._cluster:
            network: Network = kept[2]
            return network
        network = Network(node, self._family, self._cluster)
        self._kept[f"network {node.name}"] = (node, self._cluster, network)
        return network

    def _rules_of(
        self,
        node: Node,
        cluster: Cluster,
        services: Services,
        destination: Address,
        port: int | None,
        protocol: str,
    ) -> Rulebook:
        """The rules of another node for one destination: only Services that may match it."""
        # The rules of all Services would be made anew for every node on the way.
        met = services.met(destination, port, protocol)
        key = str(("rules", node.name, tuple(sorted({one.key for one in met}))))
        kept = self._kept.get(key)
        if isinstance(kept, tuple) and kept[0] is cluster and kept[1] == self._config:
            book: Rulebook = kept[2]
            return book
        book = Rulebook(services.rules_met(met, node, self._config))
        self._kept[key] = (cluster, self._config, book)
        return book


def _handling(node: Node, books: tuple[Rulebook, ...], evidence: Evidence | None) -> Handling:
    """Who handles Services on a node, kept with its rules; nobody is looked for in rules made."""
    if evidence is None and isinstance(books[0].ruleset, Translation):
        return Handling()
    # What only those who ask about real rules wait for.
    from nptables.evidence import Evidence, Form  # noqa: PLC0415
    from nptables.evidence.handlers import handlers  # noqa: PLC0415

    if evidence is not None:
        return handlers(evidence.with_facts(node.facts))
    # Some proxies show by their interface, as mode ipvs does by kube-ipvs0.
    interfaces = node.facts.interfaces or {}
    key = f"handling {sorted((name, bool(found)) for name, found in interfaces.items())}"
    kept = books[0].extra.get(key)
    if isinstance(kept, tuple) and kept[0] is books[-1]:
        known: Handling = kept[1]
        return known
    rulesets = tuple(book.ruleset for book in books)
    found = handlers(Evidence(Form.SAVED, rulesets, facts=node.facts))
    books[0].extra[key] = (books[-1], found)
    return found


def _left_out(books: tuple[Rulebook, ...]) -> str:
    """The backend that the only dump of a node says it leaves out."""
    return LEGACY if len(books) == 1 and books[0].ruleset.remarks.legacy_left_out else ""
