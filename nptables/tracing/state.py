"""What is known of a packet at one point of its walk, and the weight of each possibility.

A walk follows all possibilities side by side. Possibilities in the same state are merged, so their
number depends on what makes a difference and not on how many questions were asked. A weight is a
fraction for each `World`: a set of answers to what nobody but the node can know. For any one world
the fractions of all possibilities add up to 1. What a walk leaves behind are the steps
of each trail, and an `Ended` for whatever did not get through.
"""

from __future__ import annotations

import enum
from collections.abc import Hashable, Iterable, Mapping
from fractions import Fraction
from typing import NamedTuple, TypeVar

from nptables.immutable import frozen
from nptables.tracing.addressing import Address, Net

ONE = Fraction(1)
TEMPLATE = "TEMPLATE"


class State(NamedTuple):
    """A packet as rules see it.

    Interfaces are names, empty where there is none (in OUTPUT nothing came in), None where it is
    not known which. A port is None where it is not known or does not exist. `tracking` is NEW,
    ESTABLISHED, RELATED, INVALID (also before connection tracking has seen it), UNTRACKED, or
    TEMPLATE for one that target CT has given an entry until it is tracked; `dnat` and `snat` tell
    that the connection's destination or source has been changed, None where that is unknown.
    """

    source: Address
    source_port: int | None
    destination: Address
    port: int | None
    in_interface: str | None
    out_interface: str | None
    mark: int = 0
    connection_mark: int = 0
    tracking: str = "INVALID"
    dnat: bool | None = False
    snat: bool | None = False

    @property
    def has_entry(self) -> bool:
        """Whether connection tracking has an entry for the packet."""
        return self.tracking not in ("INVALID", "UNTRACKED")


class World:
    """A set of answers: the parent's, and one more. The root has none.

    Worlds are made by `World.with_answer` alone, which gives the same object for the same
    answers in the same order, so that they compare by identity.
    """

    __slots__ = ("_children", "answer", "parent", "question")

    def __init__(
        self, parent: World | None = None, question: int = -1, *, answer: bool = False
    ) -> None:
        self.parent = parent
        self.question = question
        self.answer = answer
        self._children: dict[tuple[int, bool], World] = {}

    def with_answer(self, question: int, *, answer: bool) -> World:
        """This world with the answer to one more question."""
        key = (question, answer)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = World(self, question, answer=answer)
        return child

    def answers(self) -> dict[int, bool]:
        """All answers, by question."""
        found: dict[int, bool] = {}
        world: World | None = self
        while world is not None and world.parent is not None:
            found[world.question] = world.answer
            world = world.parent
        return found

    def known(self, question: int) -> bool | None:
        """The answer to a question, or None where it is open."""
        world: World | None = self
        while world is not None and world.parent is not None:
            if world.question == question:
                return world.answer
            world = world.parent
        return None


Weights = Mapping[World, Fraction]


def scaled(weights: Weights, factor: Fraction) -> Weights:
    """The weights, each times a factor."""
    if factor == 1:
        return weights
    return {world: weight * factor for world, weight in weights.items()}


def merged(first: Weights, second: Weights) -> Weights:
    """The sum of two weights.

    Where a question turned out to make no difference it disappears again.
    """
    total = dict(first)
    for world, weight in second.items():
        total[world] = total.get(world, Fraction(0)) + weight
        _forget_idle_questions(total, world)
    return total


def split(weights: Weights, question: int, *, fresh: bool) -> tuple[Weights, Weights]:
    """The weights in the worlds where the answer is yes, and where it is no.

    `fresh` tells that nobody has asked the question before.
    """
    yes: dict[World, Fraction] = {}
    no: dict[World, Fraction] = {}
    for world, weight in weights.items():
        known = None if fresh else world.known(question)
        for answer, side in ((True, yes), (False, no)):
            if known is None:
                # Some of the weight may have been in this world already.
                answered = world.with_answer(question, answer=answer)
                side[answered] = side.get(answered, Fraction(0)) + weight
            elif known is answer:
                side[world] = side.get(world, Fraction(0)) + weight
    return yes, no


def _forget_idle_questions(total: dict[World, Fraction], world: World) -> None:
    while world.parent is not None:
        # Equal weights under yes and no: the question did not matter. Forgetting it may make the
        # parent's question idle too.
        sibling = world.parent.with_answer(world.question, answer=not world.answer)
        if sibling not in total or total[sibling] != total[world]:
            return
        weight = total.pop(world)
        del total[sibling]
        world = world.parent
        total[world] = total.get(world, Fraction(0)) + weight


class Check(NamedTuple):
    """A command that answers a question, and the node to run it on."""

    node: str
    command: str


class Questions:
    """The questions of a trace, numbered in the order in which they came up."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}
        self.texts: list[tuple[str, str]] = []
        self.about: list[tuple[Hashable, Net] | None] = []
        self.checks: list[Check | None] = []
        # Those about the order in which backends are asked: of no interest where both agree.
        self.orders: set[int] = set()

    def number(
        self,
        key: Hashable,
        text: str,
        otherwise: str,
        about: tuple[Hashable, Net] | None = None,
        check: Check | None = None,
    ) -> tuple[int, bool]:
        """The number of a question, and whether it is asked for the first time.

        `text` says what is so where the answer is yes, `otherwise` where it is no. A question
        `about` whose address is in which network settles some others about the same address.
        `check` is a command that answers it.
        """
        found = self._numbers.get(key)
        if found is not None:
            return found, False
        self._numbers[key] = number = len(self.texts)
        self.texts.append((text, otherwise))
        self.about.append(about)
        self.checks.append(check)
        return number, True

    def follows(self, question: int, answered: Mapping[int, bool]) -> bool | None:
        """The answer that follows from others, or None where none does."""
        about = self.about[question]
        if about is None or not answered:
            return None
        whose, network = about
        for other, answer in answered.items():
            known = self.about[other]
            if known is None or known[0] != whose:
                continue
            if answer and network.covers(known[1]):
                return True
            if answer and network.apart_from(known[1]):
                return False
            if not answer and known[1].covers(network):
                return False
        return None

    def __len__(self) -> int:
        return len(self.texts)


@frozen
class Step:
    """One rule that did something with the packet, or a policy that decided.

    `depth` counts the chains above it in the same hook. `note` says what happened. `backend` is
    whose rule it is, where the node has the tables of two.
    """

    node: str
    hook: str
    table: str
    chain: str
    line: str
    note: str = ""
    depth: int = 0
    backend: str = ""

    @property
    def place(self) -> str:
        """Table and chain, and the backend before them where there are two."""
        return f"{self.backend} {self.table} {self.chain}".strip()


class Trail(NamedTuple):
    """The steps that led somewhere: the last one, and the trail before it.

    What is nested deep is a danger where it is given up, so a long trail has its `earlier` steps in
    one piece; `length` counts those that are not.
    """

    before: Trail | None
    step: Step
    length: int = 1
    earlier: tuple[Step, ...] = ()

    def steps(self) -> tuple[Step, ...]:
        """All steps, first to last."""
        found = []
        trail = self
        while True:
            found.append(trail.step)
            if trail.before is None:
                return (*trail.earlier, *reversed(found))
            trail = trail.before


_MOST_NESTED = 500


def further(before: Trail | None, step: Step) -> Trail:
    """A trail with one step more."""
    if before is None:
        return Trail(None, step)
    if before.length < _MOST_NESTED:
        return Trail(before, step, before.length + 1)
    return Trail(None, step, 1, before.steps())


class Flow(NamedTuple):
    """The possibilities that are in one state: how likely, and how one of them got there."""

    weights: Weights
    trail: Trail | None


Flows = dict[State, Flow]
Key = TypeVar("Key", bound=Hashable)


def add(flows: dict[Key, Flow], state: Key, flow: Flow) -> None:
    """Let more possibilities into a state, or what else flows are told apart by."""
    before = flows.get(state)
    if before is not None:
        flow = Flow(merged(before.weights, flow.weights), before.trail)
    flows[state] = flow


def pour(target: Flows, source: Flows) -> None:
    """Let all of `source` into `target`."""
    for state, flow in source.items():
        add(target, state, flow)


def joined(parts: Iterable[Flows]) -> Flows:
    """All flows together."""
    found: Flows = {}
    for part in parts:
        pour(found, part)
    return found


class End(enum.Enum):
    """How a walk ended before the packet had passed every hook."""

    DROPPED = "dropped"
    REFUSED = "refused"
    UNKNOWN = "unknown"


class Ended(NamedTuple):
    """Possibilities that ended: how, in which state, by which step."""

    end: End
    state: State
    flow: Flow
    step: Step | None
    text: str
