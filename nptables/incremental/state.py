"""A cluster as one node sees it, held service port by service port."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TypeVar

from nptables.family import Family
from nptables.gcpause import collector_paused
from nptables.immutable import frozen
from nptables.incremental.changes import Changes
from nptables.model import Cluster, EndpointSlice, Node, ProxyConfig, Service
from nptables.model.kubeproxy.seeing import seen_service, seen_slice
from nptables.model.objects import Key
from nptables.translation.assembly import Translation, claims_of, is_large, join
from nptables.translation.chains import ServicePortName
from nptables.translation.collisions import Claim, find_collisions, visiting_order
from nptables.translation.context import Context, make_context
from nptables.translation.fixed import node_port_jumps
from nptables.translation.selection import PortEndpoint, known_endpoints
from nptables.translation.service_port import (
    NAT_SERVICES,
    PortRules,
    SharedChain,
    translate_ports,
)

T = TypeVar("T")

# Address, protocol and port that lead to a service port.
Frontend = tuple[str, str, int]


class State:
    """Everything that a translation needs, with indexes by which a change finds what it concerns.

    Only `Draft.settle` changes it.
    """

    def __init__(self, node: Node, config: ProxyConfig, family: Family) -> None:
        self.family = family
        self.node = node
        self.config = config
        self.context = make_context(node, config, family)
        self.endpoints = 0
        # Large clusters go without comments: see `draft`.
        self.comments = True
        self.services: dict[Key, Service] = {}
        self.slices: dict[Key, EndpointSlice] = {}
        self.slices_of: dict[Key, dict[Key, EndpointSlice]] = {}
        self.names: dict[Key, tuple[ServicePortName, ...]] = {}
        self.claims: dict[ServicePortName, Claim] = {}
        self.ports: dict[ServicePortName, PortRules] = {}
        self.holders: dict[Frontend, tuple[ServicePortName, ...]] = {}

    def translation(self) -> Translation:
        """The whole ruleset, as from scratch. Costs what the cluster does."""
        cluster = Cluster(self.services.copy(), self.slices.copy(), {self.node.name: self.node})
        return join(cluster, self.context, list(self.claims.values()), self.ports)

    def shared_lines(self, chain: SharedChain) -> tuple[str, ...]:
        """The lines of one shared chain, in their order."""
        return _shared_lines(chain, self.claims, self.ports, self.context)

    def names_of(self, services: Iterable[Key]) -> Iterator[ServicePortName]:
        """The service ports of some Services."""
        for key in services:
            yield from self.names.get(key, ())


@frozen
class Draft:
    """What a state becomes by some changes, beside the state and without touching it.

    `claims` and `ports` are those of the `touched` Services, or of all where `everything` had to
    be translated again: because the context changed, or the cluster became large or small.
    `old_claims` and `old_ports` are those of the same Services before. `colliding` are the service
    ports among them that share a frontend with any other after the changes.
    """

    state: State
    changes: Changes
    node: Node
    config: ProxyConfig
    context: Context
    old_context: Context
    endpoints: int
    comments: bool
    everything: bool
    touched: frozenset[Key]
    claims: Mapping[ServicePortName, Claim]
    ports: Mapping[ServicePortName, PortRules]
    old_claims: Mapping[ServicePortName, Claim]
    old_ports: Mapping[ServicePortName, PortRules]
    holders: Mapping[Frontend, tuple[ServicePortName, ...]]
    colliding: frozenset[ServicePortName]

    @property
    def names(self) -> Collection[ServicePortName]:
        """The service ports in question as they were before."""
        return self.old_ports.keys()

    def all_claims(self) -> dict[ServicePortName, Claim]:
        """The claims of the whole cluster after the changes."""
        return _replaced(self.state.claims, self.names, self.claims)

    def all_ports(self) -> dict[ServicePortName, PortRules]:
        """The rules of all service ports after the changes."""
        return _replaced(self.state.ports, self.names, self.ports)

    def shared_lines(self, chain: SharedChain) -> tuple[str, ...]:
        """The lines of one shared chain after the changes, in their order."""
        return _shared_lines(chain, self.all_claims(), self.all_ports(), self.context)

    def translation(self) -> Translation:
        """The whole ruleset after the changes. Costs what the cluster does."""
        cluster = Cluster(
            _merged(self.state.services, self.changes.services),
            _merged(self.state.slices, self.changes.slices),
            {self.node.name: self.node},
        )
        return join(cluster, self.context, list(self.all_claims().values()), self.all_ports())

    def settle(self) -> None:
        """Make the state what the draft says. Costs what the changes do."""
        state = self.state
        state.node, state.config, state.context = self.node, self.config, self.context
        state.endpoints, state.comments = self.endpoints, self.comments
        _settle_slices(state, self.changes)
        _update(state.services, self.changes.services)
        # While the claims of before are still there: it takes back what these held.
        self._settle_holders()
        for key in self.touched:
            state.names.pop(key, None)
        for name in self.names:
            del state.claims[name], state.ports[name]
        state.claims.update(self.claims)
        state.ports.update(self.ports)
        for name in self.claims:
            key = name.namespace, name.name
            if key in self.touched:
                state.names[key] = (*state.names.get(key, ()), name)

    def _settle_holders(self) -> None:
        state = self.state
        for name in self.names:
            for frontend in set(state.claims[name].frontends(state.family)):
                others = tuple(n for n in state.holders.get(frontend, ()) if n != name)
                if others:
                    state.holders[frontend] = others
                else:
                    state.holders.pop(frontend, None)
        for frontend, names in self.holders.items():
            state.holders[frontend] = (*state.holders.get(frontend, ()), *names)


def draft(state: State, changes: Changes) -> Draft:
    """What the state becomes by changes.

    Costs what the changes do, except where they are such that everything is translated again.
    """
    node = changes.node or state.node
    config = changes.config or state.config
    same = node is state.node and config is state.config
    context = state.context if same else make_context(node, config, state.family)
    moved = _slices_by_service(state, changes)
    touched = frozenset({*changes.services, *moved})
    # Otherwise a change of the context leaves the Services and their endpoints alone, and
    # `everything` has only their rules made anew.
    if context.habits != state.context.habits:
        # Another version of kube-proxy sees other Services in the same objects.
        touched |= state.services.keys()
    names = set(state.names_of(touched))
    claims, known = _claims(state, changes, touched, moved, context)
    endpoints = state.endpoints + sum(map(len, known.values()))
    endpoints -= sum(len(state.ports[name].selection.known) for name in names)
    # To cross 1,000 endpoints, up or down, changes nearly every line: above, kube-proxy leaves out
    # comments, which are up to 40 % of the text (appendServiceCommentLocked in
    # kubernetes/pkg/proxy/iptables/proxier.go).
    comments = not is_large(endpoints)
    everything = context != state.context or comments != state.comments
    if everything:
        again = state.claims.keys() - names
        claims |= {name: state.claims[name] for name in again}
        # Their slices have not changed, so what is known of their endpoints holds.
        known |= {name: list(state.ports[name].selection.known) for name in again}
        names = set(state.claims)
    with collector_paused():
        asked = [(claim, known[name]) for name, claim in claims.items()]
        ports = {rules.name: rules for rules in translate_ports(asked, context, comments=comments)}
    holders = _holders(claims.values(), state.family)
    return Draft(
        state,
        changes,
        node,
        config,
        context,
        state.context,
        endpoints,
        comments,
        everything,
        touched,
        claims,
        ports,
        {name: state.claims[name] for name in names},
        {name: state.ports[name] for name in names},
        holders,
        frozenset(_colliding(holders, state.holders, names)),
    )


def _colliding(
    new: Mapping[Frontend, tuple[ServicePortName, ...]],
    old: Mapping[Frontend, tuple[ServicePortName, ...]],
    gone: Collection[ServicePortName],
) -> Iterator[ServicePortName]:
    """The new holders of frontends that have others beside them, new or staying."""
    for frontend, names in new.items():
        staying = (name for name in old.get(frontend, ()) if name not in gone)
        if len(names) > 1 or next(staying, None) is not None:
            yield from names


def _claims(
    state: State,
    changes: Changes,
    touched: Iterable[Key],
    moved: Mapping[Key, Mapping[Key, EndpointSlice | None]],
    context: Context,
) -> tuple[dict[ServicePortName, Claim], dict[ServicePortName, list[PortEndpoint]]]:
    """The service ports of the touched Services after the changes, and their endpoints."""
    claims: dict[ServicePortName, Claim] = {}
    known: dict[ServicePortName, list[PortEndpoint]] = {}
    for key in touched:
        service = changes.services.get(key, state.services.get(key))
        if service is None:
            continue
        slices = _merged(state.slices_of.get(key, {}), moved.get(key, {}))
        # By their names and not as they came: the same objects make the same rules, whatever the
        # order of events was.
        seen = (seen_slice(slices[name], context.habits) for name in sorted(slices))
        in_order = [endpoint_slice for endpoint_slice in seen if endpoint_slice is not None]
        for name, claim in claims_of(seen_service(service, context.habits), state.family).items():
            claims[name] = claim
            known[name] = known_endpoints(in_order, claim.port, context)
    return claims, known


def _slices_by_service(
    state: State, changes: Changes
) -> dict[Key, dict[Key, EndpointSlice | None]]:
    """For each Service, its slices that are new or changed, and None for those that it loses.

    kube-proxy never receives a slice that is labelled headless.
    """
    found: dict[Key, dict[Key, EndpointSlice | None]] = {}
    for key, new in changes.slices.items():
        old = state.slices.get(key)
        if old is not None and not old.headless:
            # The label that names its Service may be another one now: first it is taken from the
            # old one.
            found.setdefault(old.service_key, {})[key] = None
        if new is not None and not new.headless:
            found.setdefault(new.service_key, {})[key] = new
    return found


def _settle_slices(state: State, changes: Changes) -> None:
    for service, slices in _slices_by_service(state, changes).items():
        kept = state.slices_of.setdefault(service, {})
        _update(kept, slices)
        if not kept:
            del state.slices_of[service]
    _update(state.slices, changes.slices)


def _holders(
    claims: Iterable[Claim], family: Family
) -> dict[Frontend, tuple[ServicePortName, ...]]:
    found: dict[Frontend, tuple[ServicePortName, ...]] = {}
    for claim in claims:
        # A set, since an external IP may be listed twice, and nobody collides with himself.
        for frontend in set(claim.frontends(family)):
            found[frontend] = (*found.get(frontend, ()), claim.name)
    return found


def _shared_lines(
    chain: SharedChain,
    claims: Mapping[ServicePortName, Claim],
    ports: Mapping[ServicePortName, PortRules],
    context: Context,
) -> tuple[str, ...]:
    listed = list(claims.values())
    lines = [
        line
        for name in visiting_order(listed, find_collisions(listed, context.family))
        for line in ports[name].shared.get(chain, ())
    ]
    # They stay last: whatever no Service has taken by then, and is for an address of the node, goes
    # on to the node ports ("this must be the last rule in this chain", says kube-proxy's own
    # comment in it).
    if chain == NAT_SERVICES:
        lines += node_port_jumps(context)
    return tuple(lines)


def _merged(old: Mapping[Key, T], changed: Mapping[Key, T | None]) -> dict[Key, T]:
    found = dict(old)
    _update(found, changed)
    return found


def _update(found: dict[Key, T], changed: Mapping[Key, T | None]) -> None:
    for key, value in changed.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = value


def _replaced(
    old: Mapping[ServicePortName, T],
    names: Iterable[ServicePortName],
    new: Mapping[ServicePortName, T],
) -> dict[ServicePortName, T]:
    found = dict(old)
    for name in names:
        del found[name]
    found.update(new)
    return found
