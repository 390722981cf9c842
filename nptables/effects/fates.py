"""The fates of the packets of one source in two states, under the same answers to questions.

What only the node could tell (whether a limit is reached, what a set without known members holds)
is asked once for both states, so that they are never compared under different answers.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from fractions import Fraction

import attrs

from nptables.effects.rules.lines import without_comment
from nptables.immutable import frozen
from nptables.tracing import Outcome, Packet, Verdict
from nptables.tracing.addressing import Net
from nptables.tracing.explanation.path import comment_of
from nptables.tracing.explanation.result import combinations, in_words
from nptables.tracing.hops import Hops
from nptables.tracing.sets import Sets
from nptables.tracing.state import Check, Questions
from nptables.tracing.tracer import follow
from nptables.tracing.traversal.unshown import UNKNOWN_TABLE
from nptables.tracing.traversal.walker import TOO_DEEP, TOO_MANY

# Of these it makes no difference how far they came, and with which addresses.
ENDS = frozenset({Verdict.DROPPED, Verdict.REFUSED, Verdict.STAYS})
_REMEMBERED = re.compile(r" -m recent --set (?:--[a-z]+ )*?--name (\S+)")
_RULE = re.compile(r"(?:(\S+) )?(raw|mangle|nat|filter|security) (\S+) (\d+)(?=:|$)")


@frozen
class Reached:
    """One fate of a packet.

    `verdict` is one of `trace`. `destination` and `port` are where it is then; they are empty and
    None where it ended, or has the destination that it came with. `rewritten` tells that the
    receiver does not see the sender's address. `affinity` is for how many seconds a client keeps to
    this endpoint, None where it does not. `text` says what is not known. `why` is what the rule
    says that decided; it is no part of a comparison. `state` is the number of the state that it is
    of where two that look alike need not be: see `Side.unsettled`.
    """

    verdict: Verdict
    destination: str = ""
    port: int | None = None
    rewritten: bool = False
    affinity: int | None = None
    text: str = ""
    why: str = attrs.field(default="", eq=False)
    state: int | None = None


@frozen
class Fate:
    """All fates of a packet, each with its share; the shares add up to exactly 1."""

    reached: tuple[tuple[Reached, Fraction], ...]

    @property
    def known(self) -> bool:
        """Whether nothing of it is unknown."""
        return all(each.verdict is not Verdict.UNKNOWN for each, _ in self.reached)

    @property
    def followed(self) -> bool:
        """Whether all rules on the way were looked at: others may differ if not."""
        return not any(each.text in (TOO_DEEP, TOO_MANY) for each, _ in self.reached)


@frozen
class Case:
    """Both fates where some conditions hold; these are sentences, none where nothing is open."""

    conditions: tuple[tuple[str, ...], ...]
    before: Fate
    after: Fate

    @property
    def differs(self) -> bool:
        """Whether the fates are not the same, or nobody followed them to their ends."""
        return self.before != self.after or not self.before.followed

    @property
    def known(self) -> bool:
        """Whether both fates are known."""
        return self.before.known and self.after.known


@frozen
class Compared:
    """The cases of one source that differ; `exhaustive` is False where not all were looked at."""

    differing: tuple[Case, ...]
    exhaustive: bool = True


@frozen
class Side:
    """One state, ready to be walked.

    `unsettled` are tables whose contents are unknown and that are not the same in both states:
    what they do to a packet in one is unknown, and so is whether it is that in the other.
    """

    hops: Hops
    sets: Sets
    unsettled: frozenset[str] = frozenset()


def compare(sides: tuple[Side, Side], packet: Packet) -> Compared:
    """The fates of a packet in two states, where they differ."""
    questions = _SharedQuestions()
    entries: list[tuple[object, Mapping[int, bool], Fraction]] = []
    found: dict[int, tuple[int, Reached]] = {}
    kept: list[Outcome] = []
    for number, side in enumerate(sides):
        questions.turn_to(side.hops)
        for outcome, weights in follow(side.hops, packet, questions, sets=side.sets):
            kept.append(outcome)
            reached = _reached(outcome, packet, questions.affinity)
            if _is_unsettled(outcome, side):
                reached = attrs.evolve(reached, state=number)
            found[id(outcome)] = number, reached
            entries += [(outcome, world.answers(), share) for world, share in weights.items()]
    leaves, exhaustive = combinations(entries, questions)
    cases: dict[tuple[Fate, Fate], list[Mapping[int, bool]]] = {}
    for answers, shares in leaves:
        cases.setdefault(_fates(shares, found), []).append(answers)
    whole = len(cases) == 1 and exhaustive
    differing = (
        Case(((),) if whole else _generic(in_words(answers, questions), packet), *pair)
        for pair, answers in _usual_first(cases)
        if pair[0] != pair[1] or not pair[0].followed
    )
    return Compared(tuple(differing), exhaustive)


def _usual_first(
    cases: Mapping[tuple[Fate, Fate], list[Mapping[int, bool]]],
) -> list[tuple[tuple[Fate, Fate], list[Mapping[int, bool]]]]:
    """The cases, those first in which fewest conditions hold."""
    return sorted(cases.items(), key=lambda item: min(sum(answers.values()) for answers in item[1]))


def _generic(
    conditions: tuple[tuple[str, ...], ...], packet: Packet
) -> tuple[tuple[str, ...], ...]:
    """The conditions without the address that stands for all of a class."""
    address = re.compile(rf"(?:client )?(?<![\w.:]){re.escape(str(packet.source))}(?![\w.:/])")
    return tuple(tuple(address.sub("the sender", text) for text in each) for each in conditions)


def _fates(
    shares: Mapping[int, Fraction], found: Mapping[int, tuple[int, Reached]]
) -> tuple[Fate, Fate]:
    sides: tuple[dict[Reached, Fraction], dict[Reached, Fraction]] = ({}, {})
    for place, share in shares.items():
        number, reached = found[place]
        sides[number][reached] = sides[number].get(reached, Fraction(0)) + share
    before, after = (
        Fate(tuple(sorted(side.items(), key=lambda item: (-item[1], _order(item[0])))))
        for side in sides
    )
    return before, after


def _order(reached: Reached) -> tuple[object, ...]:
    return (
        reached.verdict.value, reached.destination, reached.port or 0, reached.rewritten,
        str(reached.affinity), reached.text,
    )  # fmt: skip


def _reached(outcome: Outcome, packet: Packet, affinity: Mapping[str, int]) -> Reached:
    why = _why(outcome)
    if outcome.verdict in ENDS:
        return Reached(outcome.verdict, why=why)
    lists = [match[1] for step in outcome.path for match in _REMEMBERED.finditer(step.line)]
    kept = [affinity[name] for name in lists if name in affinity]
    # One destination stands for all of equal form, so its own address must not be in the answer.
    moved = (outcome.destination, outcome.port) != (packet.destination, packet.port)
    return Reached(
        outcome.verdict,
        str(outcome.destination) if moved else "",
        outcome.port if moved else None,
        outcome.source_rewritten,
        max(kept, default=None),
        outcome.text if outcome.verdict is Verdict.UNKNOWN else "",
        why,
    )


def _is_unsettled(outcome: Outcome, side: Side) -> bool:
    """Whether a table decides whose contents are unknown, and other ones in the other state."""
    step = outcome.rule
    return step is not None and step.note == UNKNOWN_TABLE and step.table in side.unsettled


def _why(outcome: Outcome) -> str:
    """What the rule says that decided, else where it stands."""
    rule = outcome.rule
    if rule is None:
        return outcome.text
    said = comment_of(rule.line)
    return f"{said}: {rule.place}" if said else f"by a rule of {rule.place}"


class _SharedQuestions(Questions):
    """Questions that are the same in two states, wherever in them the rule stands that asks."""

    def __init__(self) -> None:
        super().__init__()
        self._hops: Hops | None = None
        self.affinity: dict[str, int] = {}

    def turn_to(self, hops: Hops) -> None:
        """From now on, the rules of this node ask."""
        self._hops = hops
        self.affinity = {}

    def number(
        self,
        key: Hashable,
        text: str,
        otherwise: str,
        about: tuple[Hashable, Net] | None = None,
        check: Check | None = None,
    ) -> tuple[int, bool]:
        """See `Questions`."""
        return super().number(self._shared(key), text, otherwise, about, check)

    def _shared(self, key: Hashable) -> Hashable:
        if isinstance(key, tuple):
            # kube-proxy names lists after chains, whose names differ from cluster to cluster; the
            # endpoint behind one is what both states have in common.
            if key[:1] == ("recent",):
                return self._remembered(key)
            return tuple(self._shared(each) for each in key)
        if isinstance(key, str):
            if self._hops is not None and key == self._hops.home.network.node.name:
                return "the node"
            return self._with_rule(key)
        return key

    def _remembered(self, key: tuple[Hashable, ...]) -> Hashable:
        """Where a client was seen; for how long that counts is part of the fate."""
        _, name, seconds, hits, who = key
        if isinstance(name, str) and isinstance(seconds, int):
            self.affinity[name] = seconds
        books = () if self._hops is None else self._hops.home.books
        behind = [found for book in books if (found := book.endpoint_behind(str(name)))]
        return ("recent", behind[0] if behind else name, hits, who)

    def _with_rule(self, text: str) -> str:
        """A key with the text of a rule in place of where it stands."""
        match = _RULE.match(text)
        if match is None or self._hops is None:
            return text
        label, table, chain, position = match.groups()
        for book in self._hops.home.books:
            lines = book.ruleset.lines(table, chain)
            if book.label == (label or "") and int(position) < len(lines):
                line = without_comment(lines[int(position)])
                # Equal lines count apart, as each has its own limit.
                before = sum(without_comment(each) == line for each in lines[: int(position)])
                return f"{label} {table} {line} {before}{text[match.end() :]}"
        return text
