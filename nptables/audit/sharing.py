"""What the nodes of a cluster share of their rules, made once; and what is a node's own.

The rules of most service ports are the same on every node of one version and configuration. Those
depend on the node whose policy is Local (on its name), whose endpoints carry hints (on its name and
zone), or that have source ranges (on its address).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property

import attrs

from nptables.audit.movements import State
from nptables.family import Family
from nptables.model import Cluster, EndpointSlice, Node, ProxyConfig, Service
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
        with collector_paused():
            self.claims = {claim.name: claim for claim in find_claims(self.cluster, self.family)}
            self.known = {
                name: known_endpoints(self.cluster.slices_of(c.service), c.port, context)
                for name, c in self.claims.items()
            }
            self.comments = not is_large(sum(map(len, self.known.values())))
            ports = {
                name: self._translated(claim, self.known[name], context)
                for name, claim in self.claims.items()
            }
        claims = list(self.claims.values())
        self.collisions = find_collisions(claims, self.family)
        self.ports = {name: ports[name] for name in visiting_order(claims, self.collisions)}
        self.moving = {key: self._port_states(moving[key], context) for key in moving}
        moved = {name for key in self.moving for name in self._names.get(key, ())}
        own = {n for n, c in self.claims.items() if n not in moved and self._is_own(c, context)}
        self.zonal = {n for n in own if not _depends_on_name(self.claims[n], self.known[n])}
        self.own = own - self.zonal
        self._by_zone: dict[str, dict[ServicePortName, PortRules]] = {}
        self._state_rules: dict[int, PortRules] = {}

    def own_rules(self, context: Context) -> dict[ServicePortName, PortRules]:
        """The rules of those service ports that depend on the node, and do not move."""
        with collector_paused():
            zonal = self._by_zone.get(context.zone)
            if zonal is None:
                zonal = self._by_zone[context.zone] = {
                    name: self._translated(self.claims[name], self.known[name], context)
                    for name in self.zonal
                }
            own = {n: self._translated(self.claims[n], self.known[n], context) for n in self.own}
        return {**zonal, **own}

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
    def nat_chains(self) -> dict[str, tuple[str, ...]]:
        """The chains of all service ports."""
        return {chain: lines for r in self.ports.values() for chain, lines in r.chains.items()}

    @cached_property
    def nat_lines(self) -> int:
        """How many lines they have."""
        return sum(map(len, self.nat_chains.values()))

    @cached_property
    def shared_lines(self) -> dict[SharedChain, tuple[str, ...]]:
        """The lines of the shared chains, but for the last ones of nat KUBE-SERVICES."""
        found: dict[SharedChain, list[str]] = {}
        for rules in self.ports.values():
            for chain, lines in rules.shared.items():
                found.setdefault(chain, []).extend(lines)
        return {chain: tuple(lines) for chain, lines in found.items()}

    @cached_property
    def _names(self) -> dict[Key, list[ServicePortName]]:
        found: dict[Key, list[ServicePortName]] = {}
        for name in self.claims:
            found.setdefault((name.namespace, name.name), []).append(name)
        return found

    def _translated(self, claim: Claim, known: Known, context: Context) -> PortRules:
        return translate_port(claim.service, claim.port, known, context, comments=self.comments)

    def _is_own(self, claim: Claim, context: Context) -> bool:
        slices = self.cluster.slices_of(claim.service)
        return _is_own(claim.service, self.known[claim.name], slices, context)

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
                    own = _is_own(service, known, slices, context)
                    ports[name] = PortState(claim, known, own)
            if ports not in found:
                found.append(ports)
        return found


def _is_own(
    service: Service, known: Known, slices: Iterable[EndpointSlice], context: Context
) -> bool:
    if (
        service.internal_policy_local
        or service.external_policy_local
        or service.load_balancer_source_ranges
        or any(e.node_hints or e.zone_hints for _, e in known)
    ):
        return True
    if context.has(habits.TERMINATING_NEVER_REPLACES):
        return False
    # Of an endpoint that stands in several places older kube-proxies take the one on their node.
    return sum(len(each.endpoints) for each in slices) > len(known)


def _depends_on_name(claim: Claim, known: Known) -> bool:
    service = claim.service
    return bool(
        service.internal_policy_local
        or service.external_policy_local
        or service.load_balancer_source_ranges
        or any(e.node_hints for _, e in known)
        or not any(e.zone_hints for _, e in known)
    )


@attrs.frozen(slots=False)
class Expected:
    """The rules that one node should have, in one family.

    `own` are those of the service ports that are not the shared ones on this node; a name in
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
        moving = {name for states in self.shared.moving.values() for one in states for name in one}
        nowhere = frozenset(moving - there.keys())
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

    def replaced_chains(self) -> Iterator[str]:
        """The chains of shared service ports that are others here, or not there."""
        for name in (*self.own, *self.nowhere):
            rules = self.shared.ports.get(name)
            if rules is not None:
                yield from rules.chains

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
