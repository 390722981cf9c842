"""The combinations of answers to questions that only the node can answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

from nptables.tracing.state import Questions

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
