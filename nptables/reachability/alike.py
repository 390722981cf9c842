"""Which nodes must fare alike, because one is the other under another name.

A trace depends on a node by its addresses and networks, and on the endpoints by the nodes that they
are on. Where two nodes differ in nothing else than names and addresses that mean nothing to
anybody else, what happens to a packet on one happens on the other, with the names exchanged. Only
that is taken for alike: a node of which more is known (facts), or whose addresses mean something
(an external IP, an address that two nodes have), is looked at by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from functools import cached_property

import attrs

from nptables.family import Family
from nptables.model import Cluster, Node, NodeFacts, ProxyConfig
from nptables.model.addresses import is_loopback, network_contains
from nptables.model.kubeproxy import habits
from nptables.tracing.addressing import Address, Somewhere, net, number
from nptables.tracing.network import LISTED_NODES
from nptables.tracing.services import NODE_PORT, Frontend, Services
from nptables.translation.context import Context, make_context
from nptables.translation.selection import PortEndpoint, Selection, choose, known_endpoints


@attrs.frozen
class _Span:
    """The addresses from the first to the last, of a node."""

    first: int
    last: int
    node: str


class Alike:
    """The nodes of a cluster under one configuration, in one family."""

    def __init__(self, cluster: Cluster, config: ProxyConfig, services: Services) -> None:
        self._cluster = cluster
        self._config = config
        self._services = services
        self._family: Family = services.family
        self._contexts: dict[str, Context] = {}
        self._classes: dict[str, Hashable] = {}
        self._order = {name: place for place, name in enumerate(cluster.nodes)}
        self._kinds: dict[tuple[str, str], tuple[Hashable, str]] = {}

    def groups(self, frontend: Frontend, nodes: Sequence[Node]) -> Iterator[tuple[Node, ...]]:
        """The nodes, those together that packets to a frontend must fare alike on.

        Where the packets may meet another service port's rules as well, each node is by itself.
        """
        if not self._meets_nobody_else(frontend, nodes[0]):
            yield from ((node,) for node in nodes)
            return
        known = self._known_by(frontend)
        listed = [e for s in self._cluster.slices_of(frontend.service) for e in s.endpoints]
        named = {name for e in listed for name in (e.node_name, *e.node_hints)}
        found: dict[Hashable, list[Node]] = {}
        # What is chosen depends on the name of a node only where an endpoint names it.
        shared: dict[Hashable, Hashable] = {}
        for node in nodes:
            its_class = self.class_of(node)
            key = its_class, self._is_listed(node)
            if node.name in named:
                choice = self._choice(frontend, known, node)
            else:
                if key not in shared:
                    shared[key] = self._choice(frontend, known, node)
                choice = shared[key]
            found.setdefault((its_class, choice), []).append(node)
        for alike in found.values():
            yield tuple(alike)

    def _meets_nobody_else(self, frontend: Frontend, node: Node) -> bool:
        port = frontend.port
        if frontend.kind == NODE_PORT:
            address: Address = Somewhere.of_node(node.name, self._family)
            met = self._services.met(address, port.node_port, port.protocol)
        else:
            met = self._services.met(frontend.address, port.port, port.protocol)
        return {each.name for each in met} == {frontend.name}

    def class_of(self, node: Node) -> Hashable:
        """What else than names and addresses nodes differ in; the name where that is open."""
        found = self._classes.get(node.name)
        if found is None:
            found = self._classes[node.name] = self._class_of(node)
        return found

    def _class_of(self, node: Node) -> Hashable:
        facts = node.facts
        known = self._cluster.nodes.get(node.name)
        plain = attrs.evolve(facts, nfacct=False, tcp_be_liberal=False, random_fully=True)
        if known is not node or plain != NodeFacts():
            return node.name
        if node.name in self._entangled:
            return node.name
        context = self._context(node)
        own = node.interface_addresses(self._family)
        cidrs = [c for c in node.pod_cidrs if Family.of(c) is self._family]
        source = context.detector.source.removeprefix("-s ")
        ranges = [c for c in self._config.cluster_cidrs if Family.of(c) is self._family]
        networks = context.node_port_networks
        return (
            tuple(kind for kind, a in node.addresses if Family.of(a) is self._family),
            len(own),
            len(cidrs),
            context.zone,
            context.all_addresses,
            context.localhost_node_ports,
            tuple(any(network_contains(n, address) for n in networks) for address in own),
            cidrs.index(source) if source in cidrs else source,
            tuple(network_contains(n, address) for n in ranges for address in own),
            tuple(net(n).covers(net(cidr)) for n in ranges for cidr in cidrs),
            facts.nfacct, facts.tcp_be_liberal, facts.random_fully,
        )  # fmt: skip

    @cached_property
    def _entangled(self) -> frozenset[str]:
        """The nodes whose addresses or networks mean something to somebody else as well."""
        spans = sorted(self._spans(), key=lambda span: (span.first, -span.last))
        found = {
            span.node for span in spans if self._services.has_address_in(span.first, span.last)
        }
        widest: _Span | None = None
        for span in spans:
            if widest is not None and span.first <= widest.last and span.node != widest.node:
                found |= {span.node, widest.node}
            if widest is None or span.last > widest.last:
                widest = span
        return frozenset(found)

    def _spans(self) -> Iterator[_Span]:
        for node in self._cluster.nodes.values():
            texts = (*node.interface_addresses(self._family), *(a for _, a in node.addresses))
            for text in (*dict.fromkeys(texts), *node.pod_cidrs):
                if Family.of(text) is self._family and not is_loopback(text.partition("/")[0]):
                    network = net(text)
                    size = ((1 << network.bits) - 1) ^ network.mask
                    yield _Span(network.base, network.base | size, node.name)

    def _context(self, node: Node) -> Context:
        found = self._contexts.get(node.name)
        if found is None:
            found = make_context(node, self._config, self._family)
            self._contexts[node.name] = found
        return found

    def _known_by(self, frontend: Frontend) -> Sequence[PortEndpoint]:
        nodes = self._cluster.nodes.values()
        context = self._context(next(iter(nodes)))
        return known_endpoints(self._cluster.slices_of(frontend.service), frontend.port, context)

    def _choice(self, frontend: Frontend, known: Sequence[PortEndpoint], node: Node) -> Hashable:
        """Which endpoints a node chooses, as far as that matters: how many of which kind."""
        context = self._context(node)
        if self._depends_on_the_viewer:
            slices = self._cluster.slices_of(frontend.service)
            known = known_endpoints(slices, frontend.port, context)
        ranges = _ranges(frontend, self._family)
        found: Selection = choose(frontend.service, frontend.port, known, context)
        return (
            self._counted(frontend, found.cluster, node),
            self._counted(frontend, found.local, node),
            self._counted(frontend, found.known, node),
            found.usable_anywhere,
            found.topology,
            found.cluster_terminating,
            found.local_terminating,
            tuple(network_contains(n, context.node_address) for n in ranges),
        )  # fmt: skip

    @property
    def _depends_on_the_viewer(self) -> bool:
        """Whether older kube-proxies know an endpoint that stands twice by where they are."""
        return not self._config.has(habits.TERMINATING_NEVER_REPLACES)

    def _counted(
        self, frontend: Frontend, endpoints: Sequence[PortEndpoint], node: Node
    ) -> Hashable:
        return frozenset(Counter(self._kind(frontend, each, node) for each in endpoints).items())

    def _kind(self, frontend: Frontend, found: PortEndpoint, node: Node) -> Hashable:
        """What of an endpoint matters to packets that come by a node."""
        text, endpoint = found
        key = (text, frontend.port.protocol)
        kept = self._kinds.get(key)
        if kept is None:
            kept = self._kinds[key] = self._kind_anywhere(frontend, found)
        kind, place = kept
        here = place == node.name
        # Hints that are not heeded are told of, and which entry of an endpoint counts may depend on
        # the node: see `_depends_on_the_viewer`.
        hinted = bool(endpoint.node_hints), bool(endpoint.zone_hints)
        state = endpoint.ready, endpoint.serving, endpoint.terminating, *hinted
        return kind, here, endpoint.node_name == node.name, state, here or self._lists(node, place)

    def _kind_anywhere(self, frontend: Frontend, found: PortEndpoint) -> tuple[Hashable, str]:
        """The class of the node that an endpoint is on; the endpoint itself if it is special."""
        text, endpoint = found
        port = int(text.rpartition(":")[2])
        place = self._place(endpoint.address)
        node = self._cluster.nodes.get(place)
        special = (
            node is None
            or place != endpoint.node_name
            or self.class_of(node) == place
            or any(endpoint.address == address for _, address in node.addresses)
            or self._services.at(endpoint.address, port, frontend.port.protocol)
        )
        if special or node is None:
            return text, place
        in_ranges = tuple(network_contains(n, endpoint.address) for n in self._own_ranges)
        return (self.class_of(node), port, in_ranges), place

    @cached_property
    def _own_ranges(self) -> tuple[str, ...]:
        return tuple(c for c in self._config.cluster_cidrs if Family.of(c) is self._family)

    def _place(self, address: str) -> str:
        """The node that an address is on, as `Network.place` finds it without interfaces."""
        value = number(address)
        for span in self._node_spans:
            if span.first <= value <= span.last:
                return span.node
        return self._named_nodes.get(address, "")

    @cached_property
    def _node_spans(self) -> tuple[_Span, ...]:
        return tuple(self._spans())

    @cached_property
    def _named_nodes(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for each in self._cluster.slices.values():
            for endpoint in each.endpoints:
                if endpoint.node_name:
                    before = found.setdefault(endpoint.address, endpoint.node_name)
                    if before != endpoint.node_name:
                        found[endpoint.address] = ""
        return found

    def _is_listed(self, node: Node) -> bool:
        return self._order.get(node.name, 0) < LISTED_NODES

    def _lists(self, node: Node, place: str) -> bool:
        """Whether a client outside, as one node describes it, is told from pods of another."""
        order, own = self._order.get(place, 0), self._order.get(node.name, 0)
        return order < LISTED_NODES + (own < LISTED_NODES)


def _ranges(frontend: Frontend, family: Family) -> list[str]:
    ranges = frontend.service.load_balancer_source_ranges
    return [each for each in ranges if Family.of(each) is family]
