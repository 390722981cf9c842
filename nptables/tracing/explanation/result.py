"""What happens to a packet: outcomes, each with its share, for everything that is not known."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import attrs

from nptables.evidence.handling import Handling
from nptables.immutable import frozen
from nptables.tracing.addressing import Address, Somewhere, with_port
from nptables.tracing.explanation.path import translation_on, writer_of
from nptables.tracing.packet import Packet
from nptables.tracing.state import Check, Questions, Step, Weights
from nptables.translation import Reason

if TYPE_CHECKING:
    from nptables.translation.explanation.disagreement import Disagreement

# More hypotheses than this are not combined with one another.
MOST_HYPOTHESES = 512

# Something that can happen, told apart by identity, under some answers, with its weight.
Entry = tuple[object, Mapping[int, bool], Fraction]
# Answers, and the share of everything that happens then, by the identity of what happens.
Leaf = tuple[Mapping[int, bool], Mapping[int, Fraction]]


def combinations(entries: Sequence[Entry], questions: Questions) -> tuple[Sequence[Leaf], bool]:
    """The shares under each combination of answers, and whether these are all.

    Where there are too many, the one in which every answer is no stands for itself, and each
    question is looked at alone.
    """
    found = list(_leaves(entries, questions, MOST_HYPOTHESES))
    if len(found) <= MOST_HYPOTHESES:
        return found, True
    return list(_alone(entries)), False


def _leaves(entries: Sequence[Entry], questions: Questions, most: int) -> Iterator[Leaf]:
    """Every combination of answers that can come up, and the shares in it; one too many at most."""
    waiting: list[tuple[int, dict[int, bool], Sequence[Entry]]] = [(0, {}, entries)]
    last = max((question for _, answers, _ in entries for question in answers), default=-1)
    count = 0
    while waiting and count <= most:
        question, answered, left = waiting.pop()
        while question <= last and not any(question in answers for _, answers, _ in left):
            question += 1
        if question > last:
            count += 1
            yield answered, _shares(left)
            continue
        follows = questions.follows(question, answered)
        # Who is in a network is in every wider one: such an answer makes no cases of its own.
        for answer in (True, False) if follows is None else (follows,):
            fitting = [e for e in left if e[1].get(question, answer) is answer]
            waiting.append((question + 1, {**answered, question: answer}, fitting))


def _alone(entries: Sequence[Entry]) -> Iterator[Leaf]:
    """The leaf in which every answer is no, then one for each question that alone is yes."""
    asked = sorted({question for _, answers, _ in entries for question in answers})
    never: list[Entry] = []
    only: dict[int, list[Entry]] = {}
    for entry in entries:
        holding = [question for question, answer in entry[1].items() if answer]
        if not holding:
            never.append(entry)
        elif len(holding) == 1:
            only.setdefault(holding[0], []).append(entry)
    yield dict.fromkeys(asked, False), _shares(never)
    for question in asked:
        # What does not depend on the question happens all the same.
        indifferent = [entry for entry in never if question not in entry[1]]
        yield {question: True}, _shares([*only.get(question, ()), *indifferent])


def _shares(entries: Sequence[Entry]) -> dict[int, Fraction]:
    shares: dict[int, Fraction] = {}
    for outcome, _, weight in entries:
        shares[id(outcome)] = shares.get(id(outcome), Fraction(0)) + weight
    return shares


def in_words(
    cases: Sequence[Mapping[int, bool]], questions: Questions
) -> tuple[tuple[str, ...], ...]:
    """The conditions of each case in words; cases that differ in an order alone are one."""
    left = {frozenset(answers.items()): None for answers in cases}
    for question in questions.orders:
        for case in tuple(left):
            yes, no = (question, True), (question, False)
            other = case - {yes} | {no}
            if yes in case and other in left:
                left = {
                    case - {yes} if each == case else each: None for each in left if each != other
                }
    return tuple(dict.fromkeys(_conditions(dict(case), questions) for case in left))


def _conditions(answers: Mapping[int, bool], questions: Questions) -> tuple[str, ...]:
    """What is so, in words: first what holds, then what does not, unless that goes without saying.

    Where a client was seen at one endpoint, that it was not seen at another is no news.
    """
    holding, said, failing = [], set(), []
    for question, answer in sorted(answers.items()):
        text, otherwise = questions.texts[question]
        if answer:
            holding.append(text)
            said.add(otherwise)
        else:
            failing.append(otherwise)
    return tuple(dict.fromkeys((*holding, *(text for text in failing if text not in said))))


class Verdict(enum.Enum):
    """What becomes of a packet; the value is a stable code.

    ENDPOINT: it reaches an endpoint of the Service, or, if no Service is known at its destination,
    the address that a rule sends it to. WRONG_ENDPOINT: a rule sends it to an address that is no
    endpoint of its Service. POD: it reaches the pod whose own address was the destination.
    HOST_ENDPOINT: it reaches an endpoint in the node's own network, or kube-proxy itself, which
    answers health checks. SENT_TO_NODE: it is on its way to an endpoint on another node, whose
    rules are unknown. NODE: it reaches the node itself, where no listener is known. LEAVES: it
    leaves the node with its original destination. ONE_WAY: it reaches an endpoint, but the answer
    does not pass the node that translated the destination, so the sender cannot match it. REFUSED:
    the sender gets an error. DROPPED: the sender gets no answer. UNKNOWN: it cannot be followed
    further. STAYS: it never leaves its sender.
    """

    ENDPOINT = "endpoint"
    WRONG_ENDPOINT = "wrong-endpoint"
    POD = "pod"
    HOST_ENDPOINT = "host-endpoint"
    SENT_TO_NODE = "sent-to-node"
    NODE = "node"
    LEAVES = "leaves"
    ONE_WAY = "one-way"
    REFUSED = "refused"
    DROPPED = "dropped"
    UNKNOWN = "unknown"
    STAYS = "stays"

    @property
    def arrives(self) -> bool:
        """Whether somebody is there to answer."""
        return self in _ARRIVES


# Python refuses to write decimal numbers of more digits than about this many bits make.
_MOST_DECIMAL_BITS = 10_000


def exact_text(share: Fraction) -> str:
    """A fraction without loss: `1/3`, in hexadecimal where it has thousands of digits."""
    if share.denominator.bit_length() <= _MOST_DECIMAL_BITS:
        return str(share)
    return f"{share.numerator:#x}/{share.denominator:#x}"


_ARRIVES = frozenset({Verdict.ENDPOINT, Verdict.POD, Verdict.HOST_ENDPOINT, Verdict.SENT_TO_NODE})


@frozen
class Outcome:
    """One thing that can happen, and how likely it is.

    `share` is an exact fraction. `node` is where it happened, or where the destination is.
    `source` is the address that the receiver sees, `source_rewritten` tells that it is not the
    sender's. `rule` is the step that decided: the rule that translated, refused or dropped.
    `path` is the whole walk; where several ways lead here, one of them. `text` has what the
    verdict leaves open, and `code` says of which kind that is where the verdict does not.
    """

    share: Fraction = attrs.field(repr=exact_text)
    verdict: Verdict
    destination: Address
    port: int | None
    source: Address
    source_rewritten: bool
    node: str
    rule: Step | None
    path: tuple[Step, ...] = attrs.field(repr=False)
    text: str = ""
    code: str = ""

    @property
    def arrives(self) -> bool:
        """Whether somebody is there to answer."""
        return self.verdict.arrives

    @property
    def where(self) -> str:
        """The destination as `address:port`."""
        return with_port(self.destination, self.port)

    @property
    def translation(self) -> Step | None:
        """The last rule that translated the destination, None where none did."""
        return translation_on(self.path)

    @property
    def writer(self) -> str:
        """Whose the rule is that decided, by the chains on the way; empty where that is open."""
        return writer_of(self.path, self.rule)

    @property
    def whence(self) -> str:
        """The source that the receiver sees, in words."""
        return str(self.source)

    def to_json(self) -> dict[str, Any]:
        """The outcome as plain data; the share as `exact_text` writes it, and as a number."""
        return {
            "share": exact_text(self.share),
            "probability": float(self.share),
            "verdict": self.verdict.value,
            "arrives": self.arrives,
            "destination": str(self.destination),
            "destinationIsExact": not isinstance(self.destination, Somewhere),
            "port": self.port,
            "node": self.node,
            "source": str(self.source),
            "sourceIsExact": not isinstance(self.source, Somewhere),
            "sourceRewritten": self.source_rewritten,
            "rule": None if self.rule is None else _step_json(self.rule),
            "writer": self.writer or None,
            "text": self.text,
            "path": [_step_json(step) for step in self.path],
        }


def _step_json(step: Step) -> dict[str, Any]:
    """The step as plain data; the backend is left out where the node has one."""
    fields: dict[str, Any] = attrs.asdict(step)
    return fields if step.backend else {k: v for k, v in fields.items() if k != "backend"}


@frozen
class Distribution:
    """What happens under one hypothesis; the shares of the outcomes add up to exactly 1.

    `hypotheses` are the sets of conditions under which this holds, each a tuple of sentences;
    the only one is empty where nothing is left open. `checks` are commands that tell whether
    the conditions hold, where there are such.
    """

    hypotheses: tuple[tuple[str, ...], ...]
    outcomes: tuple[Outcome, ...]
    checks: tuple[Check, ...] = ()

    @property
    def arrives(self) -> bool:
        """Whether every packet arrives."""
        return all(outcome.arrives for outcome in self.outcomes)

    @property
    def hypothesis(self) -> str:
        """The hypothesis in words; empty where nothing is left open."""
        ways = [" and ".join(conditions) for conditions in self.hypotheses]
        if len(ways) > 4:
            ways = [*ways[:4], f"{len(ways) - 4} more cases"]
        return ", or ".join(way for way in ways if way)

    def to_json(self) -> dict[str, Any]:
        """The distribution as plain data."""
        return {
            "hypotheses": [list(conditions) for conditions in self.hypotheses],
            "checks": [check._asdict() for check in self.checks],
            "arrives": self.arrives,
            "outcomes": [outcome.to_json() for outcome in self.outcomes],
        }


@frozen
class Trace:
    """The answer for one packet.

    `distributions` has one for each hypothesis, beginning with the one in which no condition holds.
    `exhaustive` is False if there were so many conditions that each was examined by itself.
    `reasons` explain the outcome as far as the cluster is known, `notes` say what is unknown about
    the node, and `assumptions` what is assumed about other nodes. `handling` is what handles
    Services on the node, as far as the input shows it. `disagreement` is the difference between the
    node's rules and the cluster over all service ports, if they differ on the packet's way.
    """

    packet: Packet
    node: str
    distributions: tuple[Distribution, ...]
    notes: tuple[str, ...] = ()
    reasons: tuple[Reason, ...] = ()
    subject: str = ""
    exhaustive: bool = True
    assumptions: tuple[str, ...] = ()
    handling: Handling = attrs.field(factory=Handling)
    disagreement: Disagreement | None = None

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """The outcomes of the first distribution: the only one where nothing is left open."""
        return self.distributions[0].outcomes

    @property
    def arrives(self) -> bool:
        """Whether the packet arrives whatever it depends on."""
        return all(distribution.arrives for distribution in self.distributions)

    def to_json(self) -> dict[str, Any]:
        """The whole answer as plain data."""
        packet = self.packet
        return {
            "packet": {
                "protocol": packet.protocol,
                "source": None if packet.source is None else str(packet.source),
                "sourcePort": packet.source_port,
                "destination": str(packet.destination),
                "port": packet.port,
            },
            "node": self.node,
            "service": self.subject or None,
            "arrives": self.arrives,
            "distributions": [distribution.to_json() for distribution in self.distributions],
            "exhaustive": self.exhaustive,
            "reasons": [{"code": r.code, "text": r.text} for r in self.reasons],
            "assumptions": list(self.assumptions),
            "notes": list(self.notes),
            "handlers": self.handling.to_json(),
            "disagreement": None if self.disagreement is None else self.disagreement.to_json(),
        }


def distributions(
    found: Sequence[tuple[Outcome, Weights]], questions: Questions
) -> tuple[tuple[Distribution, ...], bool]:
    """The distribution under each combination of answers, and whether these are all.

    Combinations that lead to the same are one. Where there are too many, the one in which
    every answer is no stands for itself, and each question is looked at alone.
    """
    entries = [
        (outcome, world.answers(), weight)
        for outcome, weights in found
        for world, weight in weights.items()
    ]
    leaves, exhaustive = combinations(entries, questions)
    grouped: dict[tuple[tuple[int, Fraction], ...], list[Mapping[int, bool]]] = {}
    asked: dict[object, dict[Check, None]] = {}
    outcomes = [outcome for outcome, _ in found]
    numbers = {id(outcome): number for number, outcome in enumerate(outcomes)}
    for answers, shares in leaves:
        # Exact shares: two distributions are one only if they do not differ at all.
        key = tuple(sorted((numbers[place], share) for place, share in shares.items()))
        grouped.setdefault(key, []).append(answers)
        checks = (questions.checks[question] for question in sorted(answers))
        asked.setdefault(key, {}).update((check, None) for check in checks if check is not None)
    return (
        tuple(
            Distribution(
                ((),) if len(grouped) == 1 and exhaustive else in_words(cases, questions),
                tuple(
                    attrs.evolve(outcomes[number], share=share)
                    for number, share in sorted(key, key=lambda pair: (-float(pair[1]), pair[0]))
                ),
                () if len(grouped) == 1 and exhaustive else tuple(asked[key]),
            )
            for key, cases in grouped.items()
        ),
        exhaustive,
    )
