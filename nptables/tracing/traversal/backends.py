"""What is certain about a packet if it is unknown which of two backends comes first.

At one hook the kernel calls the chains of a priority in the reverse order of their registration:
`nf_hook_entries_grow` in net/netfilter/core.c puts a new one before its equals. A legacy table
registers at all its hooks when it is first used, an nft chain when it is created, and nothing that
a dump holds says which was later. So both orders are followed, and what they do not agree on
depends on the order.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from fractions import Fraction
from typing import TypeVar

from nptables.tracing.state import Flow, Weights, World

Key = TypeVar("Key", bound=Hashable)
_NEVER = Flow({}, None)


def either(
    first: Mapping[Key, Flow], second: Mapping[Key, Flow], question: Callable[[], int]
) -> dict[Key, Flow]:
    """Everything that comes of one order or the other.

    What has the same weight in both is left as it is. For the rest the answer to the question
    whether it is the first order decides; it is only asked where there is a rest.
    """
    found: dict[Key, Flow] = {}
    for key in dict.fromkeys((*first, *second)):
        one, other = first.get(key, _NEVER), second.get(key, _NEVER)
        weights = one.weights
        if weights != other.weights:
            weights = _either(weights, other.weights, question)
        found[key] = Flow(weights, one.trail or other.trail)
    return found


def _either(first: Weights, second: Weights, question: Callable[[], int]) -> Weights:
    # Two walks come to the same answers in different orders, which makes them different worlds.
    others = {frozenset(world.answers().items()): weight for world, weight in second.items()}
    same: dict[World, Fraction] = {}
    rest: dict[World, Fraction] = {}
    for world, weight in first.items():
        answers = frozenset(world.answers().items())
        if others.get(answers) == weight:
            same[world] = weight
            del others[answers]
        else:
            rest[world] = weight
    left = [
        (world, weight)
        for world, weight in second.items()
        if frozenset(world.answers().items()) in others
    ]
    for world, weight in rest.items():
        _put(same, world, weight, question(), answer=True)
    for world, weight in left:
        _put(same, world, weight, question(), answer=False)
    return same


def _put(
    found: dict[World, Fraction], world: World, weight: Fraction, question: int, *, answer: bool
) -> None:
    known = world.known(question)
    if known is not None and known is not answer:
        return
    if known is None:
        world = world.with_answer(question, answer=answer)
    found[world] = found.get(world, Fraction(0)) + weight
