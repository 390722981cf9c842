"""Working the matrix out: one trace for all nodes that must fare alike."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import attrs

from nptables.errors import InvalidInput, Problem
from nptables.family import Family
from nptables.gcpause import collector_paused
from nptables.inet import with_port
from nptables.model import Cluster, Node, ProxyConfig
from nptables.reachability.alike import Alike
from nptables.reachability.fare import Fare, fare_of
from nptables.reachability.matrix import Cell, Reach, Row
from nptables.tracing import Packet, packet_between, trace
from nptables.tracing.services import NODE_PORT, Frontend, Services
from nptables.translation.selection import has_rules

OUTSIDE = "outside"
_CLUSTER_IP = "clusterIP"
# From these every node looks alike that is alike.
_RELATIVE = (OUTSIDE, "node")
# Whoever may be asked by a source of the family; these addresses are for documentation.
_SOMEBODY = {Family.IPV4: "198.51.100.1:80", Family.IPV6: "[2001:db8::1]:80"}

# So many rows are made between two looks at what has become garbage.
_TOGETHER = 200

Configs = ProxyConfig | Mapping[str, ProxyConfig]


def reach(
    cluster: Cluster,
    *,
    config: Configs | None = None,
    services: Collection[tuple[str, str]] | None = None,
    nodes: Sequence[str | Node] | None = None,
    source: str = OUTSIDE,
    families: Collection[Family] = tuple(Family),
) -> Reach:
    """Which nodes answer at which addresses of which Services, and why the others do not.

    `config` is that of every node's kube-proxy, or one by the name of the node. `services` are
    namespaces and names, `nodes` names or Nodes (with facts); without, all that the cluster has.
    `source` is whoever sends, as in `packet_between`: from outside the node ports, external IPs and
    load-balancer IPs are asked; from elsewhere the cluster IPs too. Every cell is what `trace` says
    of the packet on that node, from the node's own rules.

    Raises InvalidInput for a Service, a node or a source that is not there, and TypeError for what
    is no family.
    """
    families = [Family.checked(family) for family in families]
    asked = _nodes(cluster, nodes)
    keys = _services(cluster, services)
    # Where a source has none of those that were asked for, whoever makes the packets says so.
    families = [f for f in families if _sends(cluster, source, asked[0], f)] or families
    rows = {family: _rows(cluster, asked, config, keys, source, family) for family in families}
    found = [row for family in Family if family in rows for row in rows[family]]
    found.sort(key=lambda row: (row.name, row.family.value, _kind_order(row), row.address))
    return Reach(source, tuple(node.name for node in asked), tuple(found))


def _sends(cluster: Cluster, source: str, node: Node, family: Family) -> bool:
    """Whether a source can send packets of a family: an address is of one, a Pod may have one."""
    try:
        packet_between(source, _SOMEBODY[family], node=node, cluster=cluster)
    except InvalidInput:
        return False
    return True


def _kind_order(row: Row) -> int:
    return (NODE_PORT, "externalIP", "load-balancer IP", _CLUSTER_IP).index(row.kind)


def _nodes(cluster: Cluster, nodes: Sequence[str | Node] | None) -> tuple[Node, ...]:
    wanted = list(cluster.nodes) if nodes is None else nodes
    found = [each if isinstance(each, Node) else cluster.node(each) for each in wanted]
    if not found:
        raise InvalidInput(
            [
                Problem(
                    "there is no node to look at", hint="give Node objects, or name nodes (--nodes)"
                )
            ]
        )
    return tuple({node.name: node for node in found}.values())


def _services(
    cluster: Cluster, services: Collection[tuple[str, str]] | None
) -> frozenset[tuple[str, str]]:
    if services is None:
        return frozenset(cluster.services)
    missing = [key for key in services if key not in cluster.services]
    if missing:
        known = ", ".join("/".join(key) for key in sorted(cluster.services)[:10]) or "none at all"
        raise InvalidInput(
            [
                Problem(f"there is no Service {'/'.join(key)}", hint=f"there are: {known}")
                for key in missing
            ]
        )
    return frozenset(services)


def across(
    cluster: Cluster,
    source: str,
    destination: str,
    *,
    nodes: Sequence[str | Node] | None = None,
    config: Configs | None = None,
    family: Family = Family.IPV4,
) -> tuple[Cell, ...]:
    """How one packet fares that comes in on each of several nodes.

    `source` and `destination` are as in `packet_between`; the others as in `reach`.
    """
    asked = _nodes(cluster, nodes)
    cells = [
        cell
        for its, alike in _by_config(asked, config)
        for cell in _Looking(cluster, its, family, source).to(destination, alike)
    ]
    return _merged(cells, asked)


def _rows(
    cluster: Cluster,
    nodes: Sequence[Node],
    config: Configs | None,
    keys: frozenset[tuple[str, str]],
    source: str,
    family: Family,
) -> Iterable[Row]:
    """The rows of a family: the nodes of each configuration looked at together."""
    rows: dict[object, Row] = {}
    for each, its_nodes in _by_config(nodes, config):
        for row in _Looking(cluster, each, family, source).rows(keys, its_nodes):
            key = row.name, row.kind, row.address, row.number
            before = rows.get(key)
            cells = row.cells if before is None else _merged((*before.cells, *row.cells), nodes)
            rows[key] = attrs.evolve(row, cells=cells)
    return list(rows.values())


def config_of(configs: Configs | None, node: str) -> ProxyConfig:
    """The configuration of a node; the usual one where none is given for it."""
    found = configs.get(node) if isinstance(configs, Mapping) else configs
    return found or ProxyConfig()


def _by_config(
    nodes: Sequence[Node], config: Configs | None
) -> Iterable[tuple[ProxyConfig, list[Node]]]:
    found: list[tuple[ProxyConfig, list[Node]]] = []
    for node in nodes:
        its = config_of(config, node.name)
        alike = next((those for known, those in found if known == its), None)
        if alike is None:
            found.append((its, [node]))
        else:
            alike.append(node)
    return found


class _Looking:
    """One cluster under one configuration, in one family."""

    def __init__(self, cluster: Cluster, config: ProxyConfig, family: Family, source: str) -> None:
        self._cluster = cluster.seen_by(config.habits)
        self._config = config
        self._family = family
        self._source = source
        self._kept: dict[str, object] = {}
        self._services = Services(self._cluster, family)
        self._kept["services"] = self._services
        self._alike = Alike(self._cluster, config, self._services)

    def rows(self, keys: frozenset[tuple[str, str]], nodes: Sequence[Node]) -> Iterator[Row]:
        """A row for each frontend of the Services."""
        # An address may stand twice in a list.
        listed = {(f.name, f.kind, place): f for place, f in self._services.frontends()}
        wanted = [
            (place, frontend)
            for (_, _, place), frontend in listed.items()
            if frontend.key in keys
            and has_rules(frontend.service, self._family)
            and not (frontend.kind == _CLUSTER_IP and self._source == OUTSIDE)
        ]
        for first in range(0, len(wanted), _TOGETHER):
            # The traces live on: looking for garbage while they are made takes a third of the time.
            with collector_paused():
                rows = [
                    self._row(frontend, address, number, nodes)
                    for (address, _, number), frontend in wanted[first : first + _TOGETHER]
                ]
            yield from rows

    def _row(self, frontend: Frontend, address: str, number: int, nodes: Sequence[Node]) -> Row:
        place = _place(frontend, number)
        cells = [self._cell(place, alike) for alike in self._groups(frontend, nodes)]
        merged = _merged(cells, nodes)
        return Row(frontend.name, self._family, frontend.kind, address, number, merged)

    def to(self, destination: str, nodes: Sequence[Node]) -> Iterator[Cell]:
        """The cells of one packet, to wherever the text says."""
        frontend = self._frontend(destination, nodes[0])
        groups = self._groups(frontend, nodes) if frontend is not None else [(n,) for n in nodes]
        for alike in groups:
            yield self._cell(destination, alike)

    def _frontend(self, destination: str, node: Node) -> Frontend | None:
        """The frontend that a text leads to on every node, where it does to one."""
        packet = self._packet(destination, node)
        found = self._services.at(packet.destination, packet.port, packet.protocol)
        relative = destination.startswith(("nodeport:", "node:"))
        fitting = [each for each in found if bool(each.address) is not relative]
        return fitting[0] if len(fitting) == len(found) == 1 else None

    def _groups(self, frontend: Frontend, nodes: Sequence[Node]) -> Iterable[tuple[Node, ...]]:
        if self._source in _RELATIVE and self._cluster.nodes:
            return self._alike.groups(frontend, nodes)
        return [(node,) for node in nodes]

    def _cell(self, destination: str, nodes: tuple[Node, ...]) -> Cell:
        node = nodes[0]
        packet = self._packet(destination, node)
        met = self._services.met(packet.destination, packet.port, packet.protocol)
        rules = self._services.rules_met(met, node, self._config)
        answer = trace(rules, packet, node, self._cluster, config=self._config, kept=self._kept)
        return Cell(fare_of(answer), tuple(each.name for each in nodes), answer)

    def _packet(self, destination: str, node: Node) -> Packet:
        return packet_between(
            self._source, destination, node=node, cluster=self._cluster, family=self._family
        )


def _place(frontend: Frontend, number: int) -> str:
    """A frontend as a destination of packets."""
    return f"{with_port(frontend.address or 'nodeport', number)}/{frontend.port.protocol}"


def _merged(cells: Iterable[Cell], nodes: Sequence[Node]) -> tuple[Cell, ...]:
    """The cells, those of the same fare as one, in the order of the nodes."""
    order = {node.name: place for place, node in enumerate(nodes)}
    by_fare: dict[Fare, list[Cell]] = {}
    for cell in cells:
        by_fare.setdefault(cell.fare, []).append(cell)
    found = []
    for fare, alike in by_fare.items():
        names = sorted((name for cell in alike for name in cell.nodes), key=order.__getitem__)
        first = min(alike, key=lambda cell: order[cell.nodes[0]])
        found.append(Cell(fare, tuple(names), first.trace))
    return tuple(sorted(found, key=lambda cell: order[cell.nodes[0]]))
