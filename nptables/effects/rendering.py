"""From classes of sources to effects: addresses under their own names, sources in words."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

import attrs

from nptables.effects.environment import Environment
from nptables.effects.fates import Case, Compared, Fate, Reached
from nptables.effects.groups import Group, Member, Piece
from nptables.effects.result import Effect, Sources, networks_of
from nptables.effects.rules.frontends import Frontend, Named
from nptables.effects.rules.lines import Span
from nptables.effects.source_classes import Space, Who
from nptables.tracing.addressing import number

Doubts = tuple[Callable[[Reached], Reached], Callable[[Reached], Reached]]

_NOTHING = Compared(())
_MANY = "there are too many conditions to look at every combination of them"


def effects_of(
    frontend: Frontend,
    places: Sequence[tuple[Group, Member]],
    named: Named,
    environment: Environment,
    node: str,
    doubts: Doubts,
) -> Iterator[Effect]:
    """The effects at a frontend; those that are the same at several addresses are one.

    `doubts` say for each state what is known of something that becomes of packets.
    """
    found: dict[tuple[object, ...], list[Effect]] = {}
    for group, member in places:
        for effect in _at(frontend, group, member, named, environment, node, doubts):
            key = (
                effect.sources.spans, effect.hairpins, effect.problem,
                effect.cases,
                # On loopback nobody but the node itself can ask.
                member.address in environment.loopback,
            )  # fmt: skip
            found.setdefault(key, []).append(effect)
    for alike in found.values():
        addresses = tuple(address for effect in alike for address in effect.addresses)
        every = not frontend.address and set(addresses) == set(environment.own)
        yield attrs.evolve(alike[0], addresses=addresses, every_address=every)


def _at(
    frontend: Frontend,
    group: Group,
    member: Member,
    named: Named,
    environment: Environment,
    node: str,
    doubts: Doubts,
) -> Iterator[Effect]:
    names = dict(zip(group.first.hosts, member.hosts, strict=True))

    def effect(sources: Sources, cases: tuple[Case, ...], problem: str = "") -> Effect:
        return Effect(
            named.service, named.port_name, named.port, frontend.protocol, named.kind,
            (member.address,), frontend.port, sources, node, cases, problem=problem,
        )  # fmt: skip

    if group.problem:
        everybody = Piece(_NOTHING, group.kinds, group.hosts)
        yield effect(_sources(everybody, group, member, environment), (), group.problem)
    for piece in group.pieces:
        sources = _sources(piece, group, member, environment)
        renamed = (
            _doubted(_renamed(case, names, group.first.port, member.port), doubts)
            for case in piece.compared.differing
        )
        cases = tuple(case for case in renamed if case.differs)
        if piece.compared.differing and not cases:
            continue
        hairpins = frozenset(member.hosts[place] for place in piece.hairpins)
        if not cases or not any(case.known for case in cases):
            text = "" if cases else _MANY
            yield attrs.evolve(effect(sources, cases, text), hairpins=hairpins)
        else:
            cases = tuple(sorted(cases, key=lambda case: not case.known))
            yield attrs.evolve(effect(sources, cases), hairpins=hairpins)


def _doubted(case: Case, doubts: Doubts) -> Case:
    """A case with what is not known in place of what only rules for want of endpoints say."""
    before, after = (
        Fate(tuple((doubt(each), share) for each, share in fate.reached))
        for fate, doubt in zip((case.before, case.after), doubts, strict=True)
    )
    return attrs.evolve(case, before=before, after=after)


def _renamed(case: Case, names: Mapping[str, str], port: int, its_port: int) -> Case:
    """A case of one destination, in the names of another of equal form."""
    if port == its_port and all(one == other for one, other in names.items()):
        return case
    # All at once, since the new name of one may be the old name of another.
    pattern = re.compile("|".join(rf"(?<![\w.:]){re.escape(name)}(?![\w:]|\.\d)" for name in names))

    def text(old: str) -> str:
        return pattern.sub(lambda match: names[match[0]], old)

    def reached(each: Reached) -> Reached:
        moved = each.port
        if port != its_port and each.port == port:
            moved = its_port
        return attrs.evolve(
            each,
            destination=names.get(each.destination, each.destination),
            port=moved,
            text=text(each.text) if each.text else "",
        )

    def fate(each: Fate) -> Fate:
        return Fate(tuple((reached(one), share) for one, share in each.reached))

    conditions = tuple(tuple(map(text, each)) for each in case.conditions)
    return Case(conditions, fate(case.before), fate(case.after))


def _sources(piece: Piece, group: Group, member: Member, environment: Environment) -> Sources:
    """The sources of a piece, for a member of the group."""
    space = group.space
    hosts = [number(host) for host in member.hosts]
    inside = {hosts[place] for place in piece.hosts}
    outside = set(hosts) - inside

    def spans(without: Collection[Who]) -> tuple[Span, ...]:
        """The spans of those that are none of some."""
        kinds = (kind for kind in piece.kinds if environment.who(space, kind) not in without)
        found = (span for kind in kinds for span in space.intervals(kind))
        also = {
            host for host in inside if environment.who(space, space.kind_of(host)) not in without
        }
        return _spans(found, outside, also)

    kinds_of: dict[Who, set[int]] = {}
    for kind in group.kinds:
        kinds_of.setdefault(environment.who(space, kind), set()).add(kind)
    exceptions: dict[Who, list[str]] = {}
    for place in group.hosts:
        who = environment.who(space, space.kind_of(hosts[place]))
        # Nobody sends from the address of a Service.
        if place or who is not Who.OUTSIDE:
            kinds_of.setdefault(who, set())
            if place not in piece.hosts:
                exceptions.setdefault(who, []).append(member.hosts[place])
    # Everybody of these, but perhaps for exceptions.
    whole = []
    for who in (who for who in Who if who in kinds_of):
        inside_it, beyond = kinds_of[who] & piece.kinds, kinds_of[who] - piece.kinds
        here = _networks(inside_it, space, ())
        gone = _networks(beyond, space, hosts)
        only_hosts = not kinds_of[who] and who not in exceptions
        if (inside_it or only_hosts) and (not gone or len(gone) < len(here)):
            whole.append(who)
            if gone:
                exceptions.setdefault(who, []).extend(gone)
    exact = {who for who in whole if who not in exceptions}
    names = {
        name: kinds
        for name, kinds in (
            ("outside", {Who.OUTSIDE}),
            ("node", {Who.NODE}),
            ("pod", {Who.POD, Who.OTHER_POD} & kinds_of.keys()),
        )
        if kinds and kinds <= exact
    }
    return Sources(
        environment.family,
        spans(()),
        tuple(whole),
        tuple(host for who in whole for host in exceptions.get(who, ())),
        spans(whole),
        tuple(who for who in Who if who in kinds_of),
        tuple(names),
        spans([who for kinds in names.values() for who in kinds]),
    )


def _networks(kinds: Collection[int], space: Space, without: Collection[int]) -> list[str]:
    """The networks of classes, without some addresses."""
    spans = (span for kind in kinds for span in space.intervals(kind))
    return list(networks_of(_spans(spans, set(without), set()), space.family))


def _spans(spans: Iterable[Span], without: set[int], also: set[int]) -> tuple[Span, ...]:
    """Spans in order, without some addresses and with others, as few as possible."""
    pieces = [*spans, *((address, address) for address in also)]
    merged: list[list[int]] = []
    for first, last in sorted(pieces):
        if merged and first <= merged[-1][1] + 1:
            merged[-1][1] = max(merged[-1][1], last)
        else:
            merged.append([first, last])
    left: list[Span] = []
    holes = sorted(without)
    for first, last in merged:
        start = first
        for hole in holes:
            if start <= hole <= last:
                if start < hole:
                    left.append((start, hole - 1))
                start = hole + 1
        if start <= last:
            left.append((start, last))
    return tuple(left)
