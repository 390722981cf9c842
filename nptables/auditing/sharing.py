"""What the nodes of a cluster share of their rules, made once; and what is a node's own.

The rules of most service ports are the same on every node of one version and configuration. Those
depend on the node whose policy is Local (on its name), whose endpoints carry hints (on its name and
zone), or that have source ranges (on its address).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

import attrs

from nptables.auditing.movements import State
from nptables.family import Family
from nptables.model import Cluster, EndpointSlice, Node, ProxyConfig, Service
from nptables.model.addresses import network_contains
from nptables.model.kubeproxy import habits
from nptables.model.kubeproxy.seeing import seen_service, seen_slice
from nptables.model.objects import Key
from nptables.translation.assembly import (
    Translation,
    claims_of,
    find_claims,
    is_large,
    join,
)
from nptables.translation.chains import ServicePortName
from nptables.translation.collector import collector_paused
from nptables.translation.collisions import Claim, find_collisions, visiting_order
from nptables.translation.context import Context, make_context
from nptables.translation.fixed import node_port_jumps
from nptables.translation.selection import PortEndpoint, known_endpoints
from nptables.translation.service_port import NAT_SERVICES, PortRules, SharedChain, translate_port

Known = list[PortEndpoint]
# Where nodes tell their pods by their own podCIDR each has a context that no other shares.
_MOST_KEPT = 12
# A node's name that no endpoint carries.
_NOBODY = "nobody.invalid"


@attrs.frozen
class Chains:
    """The chains of some service ports, in the form in which many are looked for at once.

    `before` are all lines but the last of each chain, `behind` the lines that follow them; `single`
    are the lines of chains with one.
    """

    names: frozenset[str]
    before: list[str]
    behind: list[str]
    single: frozenset[str]
    count: int

    @staticmethod
    def of(ports: Iterable[PortRules]) -> Chains:
        """The chains of these service ports."""
        found = {chain: lines for rules in ports for chain, lines in rules.chains.items()}
        before: list[str] = []
        behind: list[str] = []
        for lines in found.values():
            before += lines[:-1]
            behind += lines[1:]
        single = frozenset(lines[0] for lines in found.values() if len(lines) == 1)
        return Chains(frozenset(found), before, behind, single, sum(map(len, found.values())))


@attrs.frozen
class PortState:
    """A service port in one state of its Service."""

    claim: Claim
    known: Known
    own: bool


class Shared:
    """The rules of all service ports for nodes whose contexts differ in what is a node's own."""

    def __init__(
        self, cluster: Cluster, context: Context, moving: Mapping[Key, Sequence[State]]
    ) -> None:
        self.cluster = cluster.seen_by(context.habits)
        self.family = context.family
        nobody = attrs.evolve(context, node_name=_NOBODY)
        with collector_paused():
            self.claims = {claim.name: claim for claim in find_claims(self.cluster, self.family)}
            self.known = {name: self._known(c, nobody) for name, c in self.claims.items()}
            self.comments = not is_large(sum(map(len, self.known.values())))
            self._variants: dict[tuple[ServicePortName, str, bool], PortRules] = {}
            self._ways = {name: self._way(claim, context) for name, claim in self.claims.items()}
            ports = {name: self._on(name, nobody) for name in self.claims}
        claims = list(self.claims.values())
        self.collisions = find_collisions(claims, self.family)
        self.ports = {name: ports[name] for name in visiting_order(claims, self.collisions)}
        self.moving = {key: self._port_states(moving[key], context) for key in moving}
        self.unsteady = {name for states in self.moving.values() for one in states for name in one}
        self._state_rules: dict[int, PortRules] = {}
        self._own = [n for n, way in self._ways.items() if way and n not in self.unsteady]
        own = {*self._own, *self.unsteady}
        self.common = Chains.of(rules for name, rules in self.ports.items() if name not in own)

    def own_rules(self, context: Context) -> dict[ServicePortName, PortRules]:
        """The rules of those service ports that depend on the node, and do not move."""
        return {name: self._on(name, context) for name in self._own}

    def _known(self, claim: Claim, context: Context) -> Known:
        return known_endpoints(self.cluster.slices_of(claim.service), claim.port, context)

    def _on(self, name: ServicePortName, context: Context) -> PortRules:
        """The rules of a service port on a node, which are those of many others mostly."""
        way, claim = self._ways[name], self.claims[name]
        if context.node_name in way.nodes:
            return self._translated(claim, self._known(claim, context), context)
        zone = context.zone if way.by_zone else ""
        inside = any(network_contains(n, context.node_address) for n in way.ranges)
        found = self._variants.get((name, zone, inside))
        if found is None:
            found = self._translated(claim, self.known[name], context)
            self._variants[name, zone, inside] = found
        return found

    def rules_of(self, state: PortState, context: Context) -> PortRules:
        """The rules of a service port in one state."""
        if state.own:
            return self._translated(state.claim, state.known, context)
        found = self._state_rules.get(id(state))
        if found is None:
            found = self._translated(state.claim, state.known, context)
            self._state_rules[id(state)] = found
        return found

    @cached_property
    def shared_lines(self) -> dict[SharedChain, tuple[str, ...]]:
        """The lines of the shared chains, but for the last ones of nat KUBE-SERVICES."""
        found: dict[SharedChain, list[str]] = {}
        for rules in self.ports.values():
            for chain, lines in rules.shared.items():
                found.setdefault(chain, []).extend(lines)
        return {chain: tuple(lines) for chain, lines in found.items()}

    def _translated(self, claim: Claim, known: Known, context: Context) -> PortRules:
        return translate_port(claim.service, claim.port, known, context, comments=self.comments)

    def _way(self, claim: Claim, context: Context) -> _Way:
        return _way(
            claim.service, self.known[claim.name], self.cluster.slices_of(claim.service), context
        )

    def _port_states(
        self, states: Sequence[State], context: Context
    ) -> list[dict[ServicePortName, PortState]]:
        """The service ports of a Service in each of its states, equal ones once."""
        found: list[dict[ServicePortName, PortState]] = []
        for state in states:
            if state.service is None:
                ports: dict[ServicePortName, PortState] = {}
            else:
                seen = (seen_slice(s, context.habits) for s in state.slices)
                slices = [s for s in seen if s is not None]
                service = seen_service(state.service, context.habits)
                claims = claims_of(service, self.family)
                ports = {}
                for name, claim in claims.items():
                    known = known_endpoints(slices, claim.port, context)
                    own = bool(_way(service, known, slices, context))
                    ports[name] = PortState(claim, known, own)
            if ports not in found:
                found.append(ports)
        return found


@attrs.frozen
class _Way:
    """In what the rules of a service port depend on a node.

    `nodes` are those on which they may be unlike on any other. `by_zone` tells that zones count,
    and `ranges` are networks that the node's address may be in.
    """

    nodes: frozenset[str] = frozenset()
    by_zone: bool = False
    ranges: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.nodes or self.by_zone or self.ranges)


def _way(service: Service, known: Known, slices: Iterable[EndpointSlice], context: Context) -> _Way:
    nodes = {hint for _, endpoint in known for hint in endpoint.node_hints}
    if service.internal_policy_local or service.external_policy_local:
        nodes |= {endpoint.node_name for _, endpoint in known}
    if not context.has(habits.TERMINATING_NEVER_REPLACES):
        # Of an endpoint that stands in several places older kube-proxies take the one on their
        # node.
        places = [endpoint for each in slices for endpoint in each.endpoints]
        if len(places) > len(known):
            nodes |= {endpoint.node_name for endpoint in places}
    ranges = service.compared_source_ranges
    return _Way(
        frozenset(nodes),
        any(endpoint.zone_hints for _, endpoint in known),
        tuple(service.load_balancer_source_ranges if ranges is None else ranges),
    )


@attrs.frozen(slots=False)
class Expected:
    """The rules that one node should have, in one family.

    `own` are those of the service ports that depend on the node, or moved; a name in
    `nowhere` is not there. `claims` are those of Services that moved.
    """

    shared: Shared
    node: Node
    context: Context
    own: Mapping[ServicePortName, PortRules]
    nowhere: frozenset[ServicePortName] = frozenset()
    claims: Mapping[ServicePortName, Claim] = attrs.field(factory=dict)

    def with_states(
        self, chosen: Mapping[ServicePortName, PortRules], claims: Iterable[Claim]
    ) -> Expected:
        """With the Services that moved in one of their states each: their rules, their claims."""
        there = {claim.name: claim for claim in claims}
        nowhere = frozenset(self.shared.unsteady - there.keys())
        return attrs.evolve(self, own={**self.own, **chosen}, claims=there, nowhere=nowhere)

    @cached_property
    def ports(self) -> dict[ServicePortName, PortRules]:
        """The rules of all service ports."""
        found = {**self.shared.ports, **self.own}
        for name in self.nowhere:
            found.pop(name, None)
        return found

    @cached_property
    def shared_lines(self) -> dict[SharedChain, tuple[str, ...]]:
        """The lines of all shared chains, in some order of the service ports."""
        base = self.shared.ports
        if self.nowhere or any(
            name not in base or base[name].shared != rules.shared
            for name, rules in self.own.items()
        ):
            found: dict[SharedChain, list[str]] = {}
            for rules in self.ports.values():
                for chain, lines in rules.shared.items():
                    found.setdefault(chain, []).extend(lines)
            lines_of = {chain: tuple(lines) for chain, lines in found.items()}
        else:
            lines_of = dict(self.shared.shared_lines)
        lines_of[NAT_SERVICES] = lines_of.get(NAT_SERVICES, ()) + node_port_jumps(self.context)
        return lines_of

    @cached_property
    def translation(self) -> Translation:
        """All of it as a ruleset: costs what the cluster does."""
        known = {**self.shared.claims, **self.claims}
        claims = [claim for name, claim in known.items() if name in self.ports]
        return join(self.shared.cluster, self.context, claims, self.ports)


class Sharing:
    """Everything shared, found by version, configuration and family."""

    def __init__(self, cluster: Cluster, moving: Mapping[Key, Sequence[State]]) -> None:
        self._cluster = cluster
        self._moving = moving
        self._found: dict[Context, Shared] = {}

    def expected(self, node: Node, config: ProxyConfig, family: Family) -> Expected:
        """What a node should have, with moving Services as they were first."""
        context = make_context(node, config, family)
        key = attrs.evolve(
            context,
            node_name="",
            zone="",
            node_address="",
            interface_addresses=(),
            node_port_networks=(),
        )
        shared = self._found.get(key)
        if shared is None:
            if len(self._found) >= _MOST_KEPT:
                del self._found[next(iter(self._found))]
            shared = self._found[key] = Shared(self._cluster, context, self._moving)
        return Expected(shared, node, context, shared.own_rules(context))
