"""What lies around the rules of two states: networks, sets, and who is where."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from functools import partial

from nptables.effects.fates import Side
from nptables.effects.rules.lines import Span
from nptables.effects.rules.reachable import Graph
from nptables.effects.source_classes import Sites, Space, Who, span_of, text_of
from nptables.effects.state import NodeState
from nptables.family import Family
from nptables.model import ProxyConfig
from nptables.tracing.addressing import net, number
from nptables.tracing.hops import Hops
from nptables.tracing.matching.headers import MULTICAST
from nptables.tracing.network import Network
from nptables.tracing.sets import IpSet, ListOfSets
from nptables.tracing.sets import Side as SetSide
from nptables.translation import Translation

_MAPPED = net("::ffff:0:0/96")

States = tuple[NodeState, NodeState]
Graphs = tuple[Graph, Graph]


class Environment:
    """The surroundings of two states.

    `own` are the addresses of the node, without loopback. `space` has the sources in classes that
    nothing tells apart which every packet may meet.
    """

    def __init__(self, states: States, graphs: Graphs, family: Family) -> None:
        self.family = family
        self.states = states
        self.networks = (Network(states[0].node, family), Network(states[1].node, family))
        self.own = sorted(
            {a for each in self.networks for a in each.own if not each.is_loopback(a)}, key=number
        )
        self.loopback = ["127.0.0.1" if family is Family.IPV4 else "::1"]
        clusters = [state.cluster for state in reversed(states) if state.cluster is not None]
        pods = dict.fromkeys(cidr for state in states for cidr in _pod_networks(state))
        self.sites = Sites(self.networks, clusters, pods)
        unsettled = _unsettled(*states)
        self.sides = (_side(states[0], unsettled), _side(states[1], unsettled))
        self.same = _same_around(*states)
        self.trunk_same = graphs[0].general == graphs[1].general or (
            graphs[0].trunk_form() == graphs[1].trunk_form()
        )
        self.trouble = ""
        self.ranged = False
        self.ports: set[int] = set()
        self.space = self._base(graphs)
        self._whose: dict[int, Who] = {}
        self._spaces: dict[Hashable, Space] = {}

    def _base(self, graphs: Graphs) -> Space:
        spans: list[Span] = []
        sets: dict[str, None] = {}
        for graph in graphs:
            for _, _, lines in graph.general:
                for words in map(graph.reader.read, lines):
                    spans += words.spans
                    spans += ((number(host), number(host)) for host in words.hosts)
                    sets.update(dict.fromkeys(words.sets))
                    self.trouble = self.trouble or words.sources_open
                    self.ranged = self.ranged or words.ranged
                    self.ports.update(words.ports)
        self.trouble = self.trouble or self.problem_of(sets)
        # Sets of addresses alone can be asked whether they hold one. Of the others, which look at
        # ports too, each entry cuts the sources in two.
        simple = [name for name in sets if self._is_simple(name)]
        for name in sets:
            if name not in simple:
                spans += self._set_spans(name)
        space = Space.undivided(self.family).divided(spans)
        points = [*self._points(), *(span for name in simple for span in self._set_spans(name))]
        return space.told_apart(points, partial(self._traits, simple))

    def _points(self) -> Iterator[Span]:
        """The spans at whose ends the nodes' view of the network changes."""
        yield from self.sites.spans()
        yield span_of(MULTICAST[self.family])
        if self.family is Family.IPV6:
            yield span_of(_MAPPED)
        for network in self.networks:
            yield from map(span_of, network.boundaries())

    def _traits(self, sets: list[str], address: int) -> Hashable:
        """Everything that surroundings make of an address."""
        text = text_of(address, self.family)
        seen = tuple(
            (
                network.is_local(text), network.is_loopback(text), network.interfaces_of(text),
                network.is_broadcast(text), network.is_anycast(text), network.route(text),
            )
            for network in self.networks
        )  # fmt: skip
        side = (SetSide(text, None, None, ""),)
        held = tuple(
            known(side)
            for name in sets
            for state in self.states
            if (known := state.sets.get(name)) is not None
        )
        return seen, self.sites.who(address, text), held

    def who(self, space: Space, kind: int) -> Who:
        """Who the addresses of a class are."""
        first = space.intervals(kind)[0][0]
        found = self._whose.get(first)
        if found is None:
            found = self._whose[first] = self.sites.who(first, text_of(first, self.family))
        return found

    def refined(self, spans: Iterable[Span], sets: Iterable[str]) -> Space:
        """The space with its classes cut by what else the rules of a destination name."""
        key = (frozenset(spans), frozenset(sets))
        if key == (frozenset(), frozenset()):
            return self.space
        found = self._spaces.get(key)
        if found is None:
            more = [span for name in key[1] for span in self._set_spans(name)]
            found = self._spaces[key] = self.space.divided([*sorted(key[0]), *more])
        return found

    def problem_of(self, sets: Iterable[str]) -> str:
        """Why it is not known which sources sets tell apart; empty where it is."""
        for name in sets:
            for known in self._known_sets(name):
                if not isinstance(known, IpSet | ListOfSets):
                    return f"a program fills set {name}, so its members are unknown"
        return ""

    def _known_sets(self, name: str) -> Iterator[Callable[..., bool | None]]:
        for state in self.states:
            if name in state.sets:
                yield state.sets[name]

    def _members(self, name: str) -> Iterator[IpSet]:
        for known in self._known_sets(name):
            if isinstance(known, IpSet):
                yield known
            elif isinstance(known, ListOfSets):
                yield from known.members

    def _is_simple(self, name: str) -> bool:
        """Whether a set holds addresses alone, whatever ports and interfaces there are."""
        return all(each.dimension == 1 and each.family for each in self._members(name))

    def _set_spans(self, name: str) -> Iterator[Span]:
        for each in self._members(name):
            if each.family is self.family:
                yield from each.spans()


def _side(state: NodeState, unsettled: frozenset[str]) -> Side:
    hops = Hops(
        state.rulesets, state.node, None, ProxyConfig(), {}, state.unread, state.unknown_by_node
    )
    return Side(hops, state.sets, unsettled)


def _unsettled(before: NodeState, after: NodeState) -> frozenset[str]:
    """The tables whose contents are unknown in a state, and of which the other has other rules."""
    unknown = {
        table
        for state in (before, after)
        for table in (
            *state.unknown_tables,
            *(t for r in state.rulesets for t in (*r.unshown.tables, *r.remarks.unreadable)),
        )
    }
    return frozenset(
        table
        for table in unknown
        if [each.tables.get(table) for each in before.rulesets]
        != [each.tables.get(table) for each in after.rulesets]
    )


def _pod_networks(state: NodeState) -> Iterator[str]:
    """The networks of Pods that a configuration names, or that rules were made with."""
    if state.config is not None:
        yield from state.config.cluster_cidrs
    for ruleset in state.rulesets:
        if isinstance(ruleset, Translation):
            made_with = ruleset.context.detector.source.removeprefix("-s ")
            if made_with:
                yield made_with


def _same_around(before: NodeState, after: NodeState) -> bool:
    """Whether everything but the chains is the same."""
    one, other = (
        (
            state.node.facts.interfaces, state.node.facts.routes, state.node.addresses,
            state.node.pod_cidrs, state.unread, frozenset(state.unknown_tables), state.sets,
            [(each.remarks, each.backend) for each in state.rulesets],
        )
        for state in (before, after)
    )  # fmt: skip
    return one == other
