"""The outcomes of two orders of which it is unknown which is right."""

from __future__ import annotations

from fractions import Fraction

from nptables.tracing.state import Flow, Weights, World
from nptables.tracing.traversal.backends import either

HALF, WHOLE = Fraction(1, 2), Fraction(1)
ORDER, OTHER = 7, 1


def both(first: Weights, second: Weights, *, asked: list[int]) -> dict[str, Flow]:
    def question() -> int:
        asked.append(ORDER)
        return ORDER

    return either({"a": Flow(first, None)} if first else {}, {"a": Flow(second, None)}, question)


def test_what_both_orders_agree_on_asks_nothing() -> None:
    root, asked = World(), []

    found = both({root: WHOLE}, {root: WHOLE}, asked=asked)

    assert found["a"].weights == {root: WHOLE}
    assert asked == []


def test_the_same_answers_in_another_order_are_the_same() -> None:
    root, asked = World(), []
    one = root.with_answer(OTHER, answer=True).with_answer(2, answer=False)
    two = root.with_answer(2, answer=False).with_answer(OTHER, answer=True)

    found = both({one: HALF}, {two: HALF}, asked=asked)

    assert found["a"].weights == {one: HALF}


def test_what_differs_goes_with_the_order_that_it_comes_of() -> None:
    root = World()

    found = both({root: WHOLE}, {root: HALF}, asked=[])

    assert found["a"].weights == {
        root.with_answer(ORDER, answer=True): WHOLE,
        root.with_answer(ORDER, answer=False): HALF,
    }


def test_a_world_that_knows_the_order_is_none_of_the_other() -> None:
    """At an earlier hook the same was asked: each world goes on with the order that it has."""
    root = World()
    is_first, is_second = (root.with_answer(ORDER, answer=answer) for answer in (True, False))

    found = both({is_first: HALF, is_second: WHOLE}, {is_first: WHOLE, is_second: HALF}, asked=[])

    assert found["a"].weights == {is_first: HALF, is_second: HALF}


def test_what_only_one_order_has_depends_on_it() -> None:
    root = World()

    found = both({}, {root: WHOLE}, asked=[])

    assert found["a"].weights == {root.with_answer(ORDER, answer=False): WHOLE}
