"""What the nodes of a cluster share of their rules, made once; and what is a node's own.

The rules of most service ports are the same on every node of one version and configuration. Those
depend on the node whose policy is Local (on its name), whose endpoints carry hints (on its name and
zone), or that have source ranges (on its address).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import chain, islice

import attrs

from nptables.auditing.movements import State
from nptables.family import Family
from nptables.gcpause import collector_paused
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
from nptables.translation.collisions import Claim, find_collisions, visiting_order
from nptables.translation.context import Context, make_context
from nptables.translation.fixed import node_port_jumps
from nptables.translation.selection import PortEndpoint, known_endpoints
from nptables.translation.service_port import NAT_SERVICES, PortRules, SharedChain, translate_port

Known = list[PortEndpoint]
# Where nodes tell their pods by their own podCIDR each has a context that no other shares.
_MOST_KEPT = 12
# A service port, the zone where it counts, and whether the node's address is in its source ranges.
Variant = tuple[ServicePortName, str, bool]
# A name that no endpoint carries: that of a node, or of a kube-proxy that takes none for its own.
NOBODY = "nobody.invalid"


@attrs.frozen(slots=False)
class Alike:
    """The rules of all service ports on nodes that are alike in zone and source ranges.

    On a node that endpoints or hints name, some of them are others.
    """

    ports: Mapping[ServicePortName, PortRules]

    @cached_property
    def chains(self) -> Mapping[str, tuple[str, ...]]:
        """The chains of all service ports."""
        return {
            name: lines for rules in self.ports.values() for name, lines in rules.chains.items()
        }

    @cached_property
    def shared_lines(self) -> Mapping[SharedChain, tuple[str, ...]]:
        """The lines of the shared chains, but for the last ones of nat KUBE-SERVICES."""
        return _shared_lines(self.ports.values())

    @cached_property
    def several(self) -> Mapping[SharedChain, Sequence[tuple[str, ...]]]:
        """The lines of those service ports that have several in a shared chain."""
        return _several(self.ports.values())


def _side_by_side(variants: Mapping[Variant, PortRules]) -> dict[Variant, PortRules]:
    """The same rules, with those of chains in memory as iptables-save prints them: by name.

    They are compared with every node's in that order, and a processor that has to look for each of
    them takes twice as long.
    """
    held = {name: lines for rules in variants.values() for name, lines in rules.chains.items()}
    copies = iter("\n".join(chain.from_iterable(held[name] for name in sorted(held))).split("\n"))
    moved = {name: tuple(islice(copies, len(held[name]))) for name in sorted(held)}
    return {
        key: attrs.evolve(rules, chains={name: moved[name] for name in rules.chains})
        for key, rules in variants.items()
    }


def _shared_lines(ports: Iterable[PortRules]) -> dict[SharedChain, tuple[str, ...]]:
    found: dict[SharedChain, list[str]] = {}
    for rules in ports:
        for place, lines in rules.shared.items():
            found.setdefault(place, []).extend(lines)
    return {place: tuple(lines) for place, lines in found.items()}


def _several(ports: Iterable[PortRules]) -> dict[SharedChain, list[tuple[str, ...]]]:
    found: dict[SharedChain, list[tuple[str, ...]]] = {}
    for rules in ports:
        for place, lines in rules.shared.items():
            if len(lines) > 1:
                found.setdefault(place, []).append(lines)
    return found


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
        nobody = attrs.evolve(context, node_name=NOBODY)
        with collector_paused():
            self.claims = {claim.name: claim for claim in find_claims(self.cluster, self.family)}
            self.known = {name: self._known(c, nobody) for name, c in self.claims.items()}
            self.comments = not is_large(sum(map(len, self.known.values())))
            self._variants: dict[Variant, PortRules] = {}
            self._ways = {name: self._way(claim, context) for name, claim in self.claims.items()}
            for name in self.claims:
                self._on(name, nobody)
            self._variants = _side_by_side(self._variants)
            ports = {name: self._on(name, nobody) for name in self.claims}
        claims = list(self.claims.values())
        self.collisions = find_collisions(claims, self.family)
        self.ports = {name: ports[name] for name in visiting_order(claims, self.collisions)}
        self.moving = {key: self._port_states(moving[key], context) for key in moving}
        self.unsteady = {name for states in self.moving.values() for one in states for name in one}
        self._state_rules: dict[int, PortRules] = {}
        self._ranges = sorted({each for way in self._ways.values() for each in way.ranges})
        self._by_zone = any(way.by_zone for way in self._ways.values())
        self._alike: dict[tuple[object, ...], Alike] = {}
        self._naming: dict[str, list[ServicePortName]] = {}
        for name, way in self._ways.items():
            for node in way.nodes if name not in self.unsteady else ():
                self._naming.setdefault(node, []).append(name)

    def alike(self, context: Context) -> Alike:
        """The rules on nodes like this one."""
        inside = [network_contains(each, context.node_address) for each in self._ranges]
        key = (context.zone if self._by_zone else "", *inside)
        found = self._alike.get(key)
        if found is None:
            if len(self._alike) >= _MOST_KEPT:
                del self._alike[next(iter(self._alike))]
            nobody = attrs.evolve(context, node_name=NOBODY)
            found = self._alike[key] = Alike({name: self._on(name, nobody) for name in self.ports})
        return found

    def own_rules(self, context: Context) -> dict[ServicePortName, PortRules]:
        """The rules of those service ports that name the node, and do not move."""
        return {name: self._on(name, context) for name in self._naming.get(context.node_name, ())}

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

    def _translated(self, claim: Claim, known: Known, context: Context) -> PortRules:
        return translate_port(claim, known, context, comments=self.comments)

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
    # On a node that no hint names the hints are passed over, as on any other such node.
    nodes = {hint for _, endpoint in known for hint in endpoint.node_hints}
    if service.internal_policy_local or service.external_policy_local:
        # A node without an endpoint drops what any other such node drops.
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

    `alike` are those of nodes like it, `own` those of the service ports that name it, or moved; a
    name in `nowhere` is not there. `claims` are those of Services that moved.
    """

    shared: Shared
    node: Node
    context: Context
    alike: Alike
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
        found = {**self.alike.ports, **self.own}
        for name in self.nowhere:
            found.pop(name, None)
        return found

    @cached_property
    def chains(self) -> Mapping[str, tuple[str, ...]]:
        """The chains of all service ports."""
        found = dict(self.alike.chains)
        for name in (*self.own, *self.nowhere):
            for its in self.alike.ports[name].chains if name in self.alike.ports else ():
                found.pop(its, None)
        for rules in self.own.values():
            found.update(rules.chains)
        return found

    @cached_property
    def shared_lines(self) -> dict[SharedChain, tuple[str, ...]]:
        """The lines of all shared chains, in some order of the service ports."""
        found = self.alike.shared_lines if self._as_alike else _shared_lines(self.ports.values())
        last = node_port_jumps(self.context)
        return {**found, NAT_SERVICES: found.get(NAT_SERVICES, ()) + last}

    @cached_property
    def several(self) -> Mapping[SharedChain, Sequence[tuple[str, ...]]]:
        """The lines of those service ports that have several in a shared chain."""
        return self.alike.several if self._as_alike else _several(self.ports.values())

    @cached_property
    def _as_alike(self) -> bool:
        """Whether the shared chains are those of nodes like this one."""
        base = self.alike.ports
        return not self.nowhere and all(
            name in base and base[name].shared == rules.shared for name, rules in self.own.items()
        )

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
            # What depends on these comes back in `alike`, in `own_rules`, or in the last lines of
            # KUBE-SERVICES.
            node_port_networks=(),
        )
        shared = self._found.pop(key, None)
        if shared is None:
            if len(self._found) >= _MOST_KEPT:
                del self._found[next(iter(self._found))]
            shared = Shared(self._cluster, context, self._moving)
        # The one that was asked for longest ago stands first: no node may have its like any more.
        self._found[key] = shared
        return Expected(shared, node, context, shared.alike(context), shared.own_rules(context))
