"""Destinations of equal form: one of each is followed, with one source of each class."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping

import attrs

from nptables.effects.environment import Environment
from nptables.effects.fates import Compared, compare
from nptables.effects.result import hairpinned
from nptables.effects.rules.forms import Naming, form_of
from nptables.effects.rules.frontends import Frontend
from nptables.effects.rules.reachable import Graph
from nptables.effects.source_classes import Space, Who, text_of
from nptables.immutable import frozen
from nptables.tracing import Packet
from nptables.tracing.addressing import number

_ANYWHERE = "a rule sends packets to one of several places"


@frozen
class Member:
    """A destination; `hosts` are the addresses in its rules, itself the first."""

    address: str
    port: int
    hosts: tuple[str, ...]


@frozen
class Piece:
    """Sources with equal fates: classes, and addresses by their number among the hosts.

    Of `hairpins`, which are among the hosts, each is an endpoint that is sent to itself.
    """

    compared: Compared
    kinds: frozenset[int]
    hosts: frozenset[int]
    hairpins: frozenset[int] = frozenset()


@attrs.define(eq=False)
class Group:
    """Destinations of equal form. `first` is the one that is followed.

    `kinds` are the classes of sources that there are beside `hosts`, single addresses that are told
    apart. `pieces` are those whose packets fare differently. `problem` says why that is unknown.
    """

    first: Member
    protocol: str
    space: Space
    kinds: frozenset[int] = frozenset()
    hosts: frozenset[int] = frozenset()
    problem: str = ""
    pieces: tuple[Piece, ...] = ()


class Groups:
    """The groups that were met so far."""

    def __init__(self, environment: Environment, graphs: tuple[Graph, Graph]) -> None:
        self._environment = environment
        self._graphs = graphs
        self._known: dict[Hashable, Group] = {}

    def of(self, frontend: Frontend, others: Collection[Frontend]) -> list[tuple[Group, Member]]:
        """The groups of the addresses of a frontend, but for those that are surely the same.

        An address of the node where one of the `others` is as well belongs to that one.
        """
        addresses = [frontend.address]
        if not frontend.address:
            own = [*self._environment.own, *self._environment.loopback]
            addresses = [a for a in own if attrs.evolve(frontend, address=a) not in others]
        found = (self._of(address, frontend) for address in addresses)
        return [each for each in found if each is not None]

    def _of(self, address: str, frontend: Frontend) -> tuple[Group, Member] | None:
        environment = self._environment
        naming = Naming(address, frontend.port)
        reached = [graph.reached(address, frontend.port, environment.own) for graph in self._graphs]
        forms = [
            form_of(each, graph, naming) for each, graph in zip(reached, self._graphs, strict=True)
        ]
        # Nothing on the way differs, so there is nothing to follow.
        if forms[0] == forms[1] and environment.trunk_same and environment.same:
            return None
        space = environment.refined(naming.spans, naming.sets)
        member = Member(address, frontend.port, tuple(naming.hosts))
        # Where no rule looks at the number, destinations that differ in it alone are followed once.
        named = (
            environment.ranged
            or naming.ranged
            or frontend.port in environment.ports
            or any(frontend.port in each.ports for each in reached)
        )
        key = (
            *forms,
            frontend.protocol,
            frontend.port if named else None,
            tuple(self._around(host, space) for host in member.hosts),
        )
        group = self._known.get(key)
        if group is None:
            group = self._known[key] = Group(member, frontend.protocol, space)
            group.problem = (
                naming.trouble
                or environment.trouble
                or environment.problem_of(naming.sets)
                or (_ANYWHERE if any(each.wide for each in reached) else "")
            )
            sources = dict(self._kinds(group)), dict(self._hosts(group))
            group.kinds, group.hosts = frozenset(sources[0]), frozenset(sources[1])
            if not group.problem:
                group.pieces = tuple(self._pieces(group, *sources))
        return group, member

    def _around(self, host: str, space: Space) -> Hashable:
        """What an address is to the surroundings, as a source and as a destination."""
        masks = tuple(
            network.address_on(network.route(host).interface, host)
            for network in self._environment.networks
        )
        return space.kind_of(number(host)), masks

    def _pieces(
        self, group: Group, classes: Mapping[int, str], addresses: Mapping[int, str]
    ) -> Iterator[Piece]:
        """Follow a packet of each class of sources in both states."""
        kinds: dict[Compared, set[int]] = {}
        hosts: dict[Compared, set[int]] = {}
        for kind, source in classes.items():
            kinds.setdefault(self._compared(group, source), set()).add(kind)
        for place, source in addresses.items():
            hosts.setdefault(self._compared(group, source), set()).add(place)
        hairpins = _hairpins(group.first, kinds.keys() | hosts.keys(), hosts)
        for compared in dict.fromkeys((*kinds, *hosts)):
            if not compared.differing and compared.exhaustive:
                continue
            own = frozenset(hosts.get(compared, ())) - {
                place for places in hairpins.values() for place in places
            }
            moved = frozenset(hairpins.get(compared, ()))
            found = Piece(compared, frozenset(kinds.get(compared, ())), own | moved, moved)
            if found.kinds or found.hosts:
                yield found

    def _compared(self, group: Group, source: str) -> Compared:
        first = group.first
        packet = Packet(first.address, first.port, group.protocol, source=source)
        return compare(self._environment.sides, packet)

    def _kinds(self, group: Group) -> Iterator[tuple[int, str]]:
        """Each class with an address of it that is none of the hosts."""
        hosts = {number(host) for host in group.first.hosts}
        for kind in self._senders(group):
            for first, last in group.space.intervals(kind):
                address = first
                # A host of the rules, such as an endpoint, may fare unlike the rest of its class.
                while address in hosts:
                    address += 1
                if address <= last:
                    yield kind, text_of(address, self._environment.family)
                    break

    def _senders(self, group: Group) -> Iterable[int]:
        """The classes whose packets can get there: to loopback nobody's but the node's own."""
        environment, space = self._environment, group.space
        # A host sends packets for loopback addresses to itself. Who crafts such a packet for
        # another host, as in CVE-2020-8558, is not followed.
        if group.first.address in environment.loopback:
            return [k for k in space.usable if environment.who(space, k) is Who.NODE]
        return space.usable

    def _hosts(self, group: Group) -> Iterator[tuple[int, str]]:
        senders = set(self._senders(group))
        for place, host in enumerate(group.first.hosts):
            if group.space.kind_of(number(host)) in senders:
                yield place, host


def _hairpins(
    first: Member, those: Iterable[Compared], hosts: dict[Compared, set[int]]
) -> dict[Compared, set[int]]:
    """By the fates of others, the endpoints that fare like these but for being sent to themselves.

    Whoever is sent to itself has its source rewritten, or could not understand the answer: that is
    no difference worth a class of its own.
    """
    found: dict[Compared, set[int]] = {}
    whole = [compared for compared in those if compared.differing and compared.exhaustive]
    for compared, places in hosts.items():
        for place in places:
            source = first.hosts[place]
            for other in whole:
                cases = tuple(hairpinned(case, source) for case in other.differing)
                if other != compared and cases == compared.differing and compared.exhaustive:
                    found.setdefault(other, set()).add(place)
                    break
    return found
