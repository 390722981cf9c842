"""From a cluster as one node sees it to the ruleset of that node."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain as _concatenation
from typing import TYPE_CHECKING

import attrs

from nptables.family import Family
from nptables.gcpause import collector_paused
from nptables.immutable import frozen
from nptables.iptables.ruleset import BUILT_IN_CHAINS, Ruleset, Table, chain_of
from nptables.model import Cluster, Node, ProxyConfig, Service
from nptables.translation.chains import ServicePortName
from nptables.translation.collisions import Claim, Collision, find_collisions, visiting_order
from nptables.translation.context import Context, make_context
from nptables.translation.fixed import JUMPS, filter_chains, nat_chains, node_port_jumps
from nptables.translation.owned import ownership
from nptables.translation.selection import (
    PortEndpoint,
    Selection,
    has_rules,
    known_endpoints,
    port_endpoints,
)
from nptables.translation.service_port import NAT_SERVICES, PortRules, SharedChain, translate_ports

if TYPE_CHECKING:
    from nptables.translation.explanation.decision import Decision
    from nptables.translation.explanation.notices import Notice
    from nptables.translation.explanation.origin import Origin, PortOrigins

# With more endpoints than this in a family, rules for endpoints carry no comment. The limit is
# kube-proxy's (`largeClusterEndpointsThreshold` in pkg/proxy/iptables/proxier.go): comments can be
# 40 % of the text, and there speed counts for more than rules that explain themselves.
LARGE_CLUSTER = 1000


@frozen(slots=False)
class Translation(Ruleset):
    """The ruleset of a node, with what led to it.

    `ports` has the rules of each service port, in the order in which they stand in the shared
    chains. `cluster` is what the version of kube-proxy sees of the cluster.
    """

    cluster: Cluster = attrs.field(kw_only=True, repr=False, eq=False)
    context: Context = attrs.field(kw_only=True, repr=False, eq=False)
    ports: Mapping[ServicePortName, PortRules] = attrs.field(kw_only=True, repr=False, eq=False)
    collisions: tuple[Collision, ...] = attrs.field(kw_only=True, repr=False, eq=False)

    @cached_property
    def warnings(self) -> tuple[Notice, ...]:
        """Likely mistakes in the input: what was left out, collisions, an unknown node name."""
        # The agent makes rules and asks for no warnings.
        from nptables.translation.explanation.notices import notices  # noqa: PLC0415

        return tuple(notices(self))

    @property
    def carried_node_names(self) -> frozenset[str]:
        """The node names that the endpoints in use carry."""
        return frozenset(
            endpoint.node_name
            for rules in self.ports.values()
            for _, endpoint in rules.selection.known
            if endpoint.node_name
        )

    @cached_property
    def decisions(self) -> tuple[Decision, ...]:
        """What was decided for every service port and every skipped Service, by name."""
        from nptables.translation.explanation.decision import Decision  # noqa: PLC0415 - as above

        found = []
        for _, service in sorted(self.cluster.services.items()):
            if not has_rules(service, self.context.family):
                found.append(Decision(service, None, Selection(()), self.context, self.cluster))
                continue
            for port in service.ports:
                name = ServicePortName(*service.key, port.name, port.protocol)
                selection = self.ports[name].selection
                found.append(Decision(service, port, selection, self.context, self.cluster))
        return tuple(found)

    def origin(self, table: str, line: str) -> Origin | None:
        """What made a line of a table; None for a line that is not in this ruleset."""
        chain = chain_of(line)
        return self.origin_in(table, chain, line) if line in self.lines(table, chain) else None

    def origin_in(self, table: str, chain: str, line: str) -> Origin:
        """What made a line that stands in that chain: for whoever goes through all of them."""
        # Rules are made without anybody asking where they come from.
        from nptables.translation.explanation.origin import (  # noqa: PLC0415
            PortOrigins,
            fixed_origin,
        )

        owner = self._owner_of_chain.get(chain) if table == "nat" else None
        owner = owner or self._owner_of_line.get((table, line))
        if owner is None:
            return fixed_origin(line)
        origins = self._origins_of_port.get(owner.name)
        if origins is None:
            service = self.cluster.services[owner.name.namespace, owner.name.name]
            origins = PortOrigins.of(owner, service, self.family)
            self._origins_of_port[owner.name] = origins
        return origins.origin(line)

    def owner_of_chain(self, chain: str) -> ServicePortName | None:
        """The service port that a chain of the nat table belongs to, if it belongs to one."""
        rules = self._owner_of_chain.get(chain)
        return None if rules is None else rules.name

    @cached_property
    def _origins_of_port(self) -> dict[ServicePortName, PortOrigins]:
        """What `origin` has worked out so far: asked line by line, it would hash it each time."""
        return {}

    @cached_property
    def _owner_of_chain(self) -> dict[str, PortRules]:
        return {chain: rules for rules in self.ports.values() for chain in rules.chains}

    @cached_property
    def _owner_of_line(self) -> dict[tuple[str, str], PortRules]:
        found: dict[tuple[str, str], PortRules] = {}
        for rules in self.ports.values():
            for (table, _), lines in rules.shared.items():
                for line in lines:
                    found.setdefault((table, line), rules)
        return found


def translate(cluster: Cluster, node: Node, config: ProxyConfig, family: Family) -> Translation:
    """The rules that kube-proxy in iptables mode programs on a node, for one family.

    `config.version` is the version of kube-proxy, by default the newest. This is a pure function:
    equal input gives equal text, whatever the order of the objects. The result is a Ruleset that
    also has `.warnings` about the input, `.decisions` about which endpoints were chosen and why,
    and `.origin(table, line)`, the object that a rule was made from.

    Raises TypeError for what is no family.
    """
    with collector_paused():
        context = make_context(node, config, family)
        cluster = cluster.seen_by(context.habits)
        claims = find_claims(cluster, family)
        known = _known(claims, cluster, context)
        # Once they are many it does not matter how many: the rest is looked at when its rules are
        # made, while it is in the processor's cache.
        first: list[tuple[Claim, Sequence[PortEndpoint]]] = []
        count = 0
        while not is_large(count) and (found := next(known, None)) is not None:
            first.append(found)
            count += len(found[1])
        comments = not is_large(count)
        return _translated(
            cluster, context, claims, _concatenation(first, known), comments=comments
        )


def translate_some(
    cluster: Cluster,
    node: Node,
    config: ProxyConfig,
    family: Family,
    services: Iterable[Service],
    *,
    comments: bool,
) -> Translation:
    """The rules that some Services of a cluster have among those of all of them.

    For whoever follows packets that meet no others, at the cost of those. `services` are as the
    version of kube-proxy sees them; whether rules for endpoints carry `comments` depends on all
    Services: see `has_comments`.
    """
    context = make_context(node, config, family)
    chosen = {service.key: service for service in services}
    slices = {
        (each.metadata.namespace, each.metadata.name): each
        for service in chosen.values()
        for each in cluster.slices_of(service)
    }
    part = Cluster(chosen, slices, {node.name: node})
    claims = find_claims(part, family)
    known = _known(claims, part, context)
    return _translated(part, context, claims, known, comments=comments)


def has_comments(cluster: Cluster, family: Family) -> bool:
    """Whether the rules for endpoints carry comments: not where there are many endpoints."""
    found = 0
    claims = (
        claim
        for service in cluster.services.values()
        for claim in claims_of(service, family).values()
    )
    for claim in claims:
        found += len(port_endpoints(cluster.slices_of(claim.service), claim.port, family))
        if is_large(found):
            return False
    return True


Known = Iterator[tuple[Claim, Sequence[PortEndpoint]]]


def _known(claims: Iterable[Claim], cluster: Cluster, context: Context) -> Known:
    for claim in claims:
        yield claim, known_endpoints(cluster.slices_of(claim.service), claim.port, context)


def _translated(
    cluster: Cluster, context: Context, claims: Sequence[Claim], known: Known, *, comments: bool
) -> Translation:
    ports = {rules.name: rules for rules in translate_ports(known, context, comments=comments)}
    return join(cluster, context, claims, ports)


def join(
    cluster: Cluster,
    context: Context,
    claims: Sequence[Claim],
    ports: Mapping[ServicePortName, PortRules],
) -> Translation:
    """The ruleset that the rules of all service ports of a cluster make together."""
    collisions = find_collisions(claims, context.family)
    in_order = {name: ports[name] for name in visiting_order(claims, collisions)}
    return Translation(
        context.family,
        assemble(context, in_order.values()),
        ownership=ownership(context),
        cluster=cluster.seen_by(context.habits),
        context=context,
        ports=in_order,
        collisions=tuple(collisions),
    )


def find_claims(cluster: Cluster, family: Family) -> list[Claim]:
    """Every service port that gets rules in a family."""
    return [
        claim
        for service in cluster.services.values()
        for claim in claims_of(service, family).values()
    ]


def claims_of(service: Service, family: Family) -> dict[ServicePortName, Claim]:
    """The ports of a Service that get rules in a family.

    Of two ports with the same name and protocol, which the API server refuses, the last
    counts, as it does for kube-proxy.
    """
    if not has_rules(service, family):
        return {}
    found = {}
    for port in service.ports:
        name = ServicePortName(*service.key, port.name, port.protocol)
        found[name] = Claim(name, service, port)
    return found


def is_large(endpoints: int) -> bool:
    """Whether service ports have so many endpoints, ready or not, that comments are left out."""
    return endpoints > LARGE_CLUSTER


def assemble(context: Context, ports: Collection[PortRules]) -> dict[str, Table]:
    """The tables that the rules of service ports, in visiting order, and the fixed rules make."""
    shared: dict[SharedChain, list[str]] = {}
    for rules in ports:
        for chain, lines in rules.shared.items():
            shared.setdefault(chain, []).extend(lines)
    # Last: an external or load-balancer IP may be an address of the node itself, and its own line
    # has to be met before the jump that takes every address of the node (`syncProxyRules` in
    # proxier.go).
    shared.setdefault(NAT_SERVICES, []).extend(node_port_jumps(context))
    tables = {"nat": nat_chains(context), "filter": filter_chains(context)}
    for (table, name), found in shared.items():
        tables[table][name] = tuple(found)
    return {
        "nat": _table("nat", [tables["nat"], *[rules.chains for rules in ports]]),
        "filter": _table("filter", [tables["filter"]]),
    }


def _table(name: str, own: Sequence[Mapping[str, tuple[str, ...]]]) -> Table:
    built_in = {chain: _jumps_from(name, chain) for chain in BUILT_IN_CHAINS[name]}
    # Sorted, so that equal input gives equal text, and because both backends load a sorted list
    # faster: iptables-legacy took 7 s instead of 9 to 11 s for 120,000 chains.
    names: list[str] = []
    for part in own:
        names += part
    names.sort()
    # First the order and then the lines: to look them up, or to sort them with their names, costs
    # half as much again.
    chains: dict[str, tuple[str, ...]] = dict.fromkeys([*built_in, *names], ())
    for part in (built_in, *own):
        chains.update(part)
    return Table(name, chains, policies=dict.fromkeys(built_in, "ACCEPT"))


def _jumps_from(table: str, chain: str) -> tuple[str, ...]:
    return tuple(line for line in JUMPS[table] if chain_of(line) == chain)
