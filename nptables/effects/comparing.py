"""Comparing two states of a node by what packets notice."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from nptables.effects.environment import Environment
from nptables.effects.fates import Reached
from nptables.effects.groups import Groups
from nptables.effects.rendering import effects_of
from nptables.effects.result import Effect, Effects
from nptables.effects.rules.frontends import Frontend, Named, Names, frontends_of
from nptables.effects.rules.lines import Reader
from nptables.effects.rules.reachable import Graph, changed_keys
from nptables.effects.state import NodeState
from nptables.errors import InvalidInput, Problem
from nptables.family import Family
from nptables.model import Cluster, Node, ProxyConfig
from nptables.tracing import Verdict
from nptables.tracing.services import Services
from nptables.tracing.sets import Sets
from nptables.tracing.traversal.rulebook import Rules
from nptables.translation import Translation
from nptables.translation.explanation.decision import unknown_reason
from nptables.translation.facts_from_rules import with_shown_addresses

# Stands for the addresses of a node where all are unknown; no host has it.
_MADE_UP = {Family.IPV4: "241.254.0.1", Family.IPV6: "100::f3:0:1"}


def compare_effects(
    before: NodeState | Rules,
    after: NodeState | Rules,
    node: Node | None = None,
    cluster: Cluster | None = None,
    *,
    config: ProxyConfig | None = None,
    sets: Sets | None = None,
) -> Effects:
    """Which packets to Services are treated differently in two states of a node, and how.

    Each state is a NodeState, or only the rules of the node. In the second case `node`, and
    `cluster`, `config` and `sets` if given, apply to both states. The result is exact for every
    source address: the `trace` (without a cluster) of the first packet of a connection to a
    frontend of a Service differs between the two states if and only if the packet is in one of the
    effects, or among the unknown. Only what happens on this node is compared, not what other nodes
    do to the packet before or afterwards. If no address of the node is known, a made-up one stands
    for those that it has, and is not named. See docs/effects.md.

    Raises InvalidInput if rules are given without a node, or are of different families.

    >>> compare_effects(yesterday, today, node).effects  # doctest: +SKIP
    ()
    """
    states = tuple(
        _with_shown_addresses(
            each
            if isinstance(each, NodeState)
            else NodeState(each, _needed(node), cluster, config, sets or {})
        )
        for each in (before, after)
    )
    families = {ruleset.family for state in states for ruleset in state.rulesets}
    if len(families) != 1:
        raise InvalidInput([Problem("the rules to compare are not of one family")])
    (family,) = families
    first, second = states
    before = _of_the_same_node(first, second, family)
    after = _of_the_same_node(second, first, family)
    if before.node.knows_addresses(family) or after.node.knows_addresses(family):
        return _Comparison(before, after, family).effects()
    before, after = (_with_made_up_address(state, family) for state in states)
    found = _Comparison(before, after, family)
    return _without_made_up_address(found.effects(), family)


def _with_shown_addresses(state: NodeState) -> NodeState:
    """The state with what its rules show of the node's addresses, as `trace` takes it."""
    rulesets = [each for each in state.rulesets if not isinstance(each, Translation)]
    return attrs.evolve(state, node=with_shown_addresses(state.node, rulesets))


def _of_the_same_node(state: NodeState, other: NodeState, family: Family) -> NodeState:
    """The state with the node of another one, where that alone says which addresses it has.

    Manifests often have the Services of a cluster, and not its Nodes.
    """
    node = other.node
    if state.node.knows_addresses(family) or state.node.name != node.name:
        return state
    return attrs.evolve(state, node=node) if node.knows_addresses(family) else state


def _with_made_up_address(state: NodeState, family: Family) -> NodeState:
    """The state with an address of the node that no rule names, so that node ports are compared."""
    address = ("InternalIP", _MADE_UP[family])
    node = attrs.evolve(state.node, addresses=(*state.node.addresses, address))
    return attrs.evolve(state, node=node)


def _without_made_up_address(found: Effects, family: Family) -> Effects:
    def told(effects: tuple[Effect, ...]) -> tuple[Effect, ...]:
        return tuple(
            attrs.evolve(e, addresses=tuple(a for a in e.addresses if a != _MADE_UP[family]))
            for e in effects
        )

    return attrs.evolve(found, effects=told(found.effects), unknown=told(found.unknown))


def _needed(node: Node | None) -> Node:
    if node is None:
        raise InvalidInput([Problem("whose rules are they?", hint="give the node as well")])
    return node


class _Comparison:
    """Two states, and what is found on the way to the answer."""

    def __init__(self, before: NodeState, after: NodeState, family: Family) -> None:
        self._states = (before, after)
        reader = Reader(family)
        self._graphs = (Graph(before.rulesets, reader), Graph(after.rulesets, reader))
        self._services = [
            None if state.cluster is None else Services(state.cluster, family)
            for state in self._states
        ]
        self._environment = Environment(self._states, self._graphs, family)

    def effects(self) -> Effects:
        """The answer."""
        before, after = self._graphs
        frontends: set[Frontend] = frontends_of(before, self._services[0])
        frontends |= frontends_of(after, self._services[1], beside=before)
        # With other routes or addresses a packet may fare otherwise by the same rules.
        keys = changed_keys(*self._graphs) if self._environment.same else None
        concerned = sorted(
            each
            for each in frontends
            if keys is None or each.port in keys or (each.address or None) in keys
            or (not each.address and not keys.isdisjoint(self._environment.own))
        )  # fmt: skip
        groups = Groups(self._environment, self._graphs)
        names = Names([s for s in reversed(self._services) if s is not None], self._graphs[::-1])
        node = self._states[1].node.name
        effects: list[Effect] = []
        unknown: list[Effect] = []
        cosmetic = 0
        for frontend in concerned:
            places = groups.of(frontend, frontends)
            # Rules may be written otherwise and do the same: these are counted and not told.
            telling = any(group.pieces or group.problem for group, _ in places)
            if not telling:
                cosmetic += 1
                continue
            named = names.of(frontend)
            doubts = (self._doubt(0, named), self._doubt(1, named))
            for effect in effects_of(frontend, places, named, self._environment, node, doubts):
                (effects if effect.known else unknown).append(effect)
        return Effects(tuple(effects), len(frontends) - len(concerned), cosmetic, tuple(unknown))

    def _doubt(self, side: int, named: Named) -> Callable[[Reached], Reached]:
        """What is known of something that becomes of a Service's packets in a state."""
        state = self._states[side]
        cluster = state.cluster
        namespace, _, name = named.service.partition("/")
        service = None if cluster is None else cluster.services.get((namespace, name))
        # Rules that a node really has are what they are, whatever the cluster knows.
        if service is None or cluster is None or not state.supposed:
            return lambda each: each

        def doubted(each: Reached) -> Reached:
            local = "has no local endpoints" in each.why
            if not local and "has no endpoints" not in each.why:
                return each
            reason = unknown_reason(service, cluster, local=local)
            return each if reason is None else Reached(Verdict.UNKNOWN, text=reason.text)

        return doubted
