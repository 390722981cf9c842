"""Immutable classes compare, hash and print as those of attrs, whose methods are compiled."""

from __future__ import annotations

import pickle

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nptables.immutable import frozen, made, many

VALUES = st.integers(0, 2)


@frozen
class Point:
    """A class with a field that counts in nothing, as both make it."""

    x: int
    y: int = attrs.field(repr=hex)
    noted: int = attrs.field(default=0, eq=False, repr=False)


@attrs.frozen
class Compiled:
    """The same, made by attrs."""

    x: int
    y: int = attrs.field(repr=hex)
    noted: int = attrs.field(default=0, eq=False, repr=False)


@frozen
class Other:
    """A class with the fields of Point."""

    x: int
    y: int


@frozen
class Nothing:
    """A class without fields."""


@given(first=st.tuples(VALUES, VALUES, VALUES), second=st.tuples(VALUES, VALUES, VALUES))
def test_values_compare_and_hash_as_those_of_attrs(
    first: tuple[int, int, int], second: tuple[int, int, int]
) -> None:
    """Equal by the fields that count, and equal values have equal hashes."""
    equal = Compiled(*first) == Compiled(*second)

    assert equal is (Point(*first) == Point(*second))
    assert equal is (len({Point(*first), Point(*second)}) == 1)


def test_a_value_prints_as_one_of_attrs() -> None:
    """Fields that are not printed, or in a way of their own, included."""
    assert repr(Compiled(1, 255)).replace("Compiled", "Point") == repr(Point(1, 255))


def test_values_of_two_classes_differ() -> None:
    """Whatever their fields hold."""
    values: list[object] = [Other(1, 2), Point(1, 2), Nothing()]

    assert len(set(values)) == 3
    assert values[0] != values[1]
    assert Nothing() == Nothing()


def test_a_value_cannot_be_changed() -> None:
    """As with attrs, which makes all the rest of the class."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Point(1, 2).x = 3  # type: ignore[misc]


@frozen(weakref_slot=False)
class Bare:
    """A class that can be made fast."""

    x: int
    _hidden: int = 3
    listed: list[int] = attrs.field(factory=list)


def test_values_that_are_made_fast_are_as_others() -> None:
    """Their class, their defaults, and that they cannot be changed: the first ones and the rest."""
    for _ in range(100):
        check_what_is_made_fast()


def check_what_is_made_fast() -> None:
    one, few = made(Bare, 1, hidden=2), many(Bare, [1, 5], [2, 6])

    assert type(one) is Bare
    assert (Bare(1, 2), Bare(5, 6)) == few
    assert Bare(1, hidden=2) == one
    assert made(Bare, 1) == Bare(1, 3, [])
    assert made(Bare, 1).listed is not made(Bare, 1).listed
    assert pickle.loads(pickle.dumps(one)) == one
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        one.x = 3  # type: ignore[misc]
    with pytest.raises(TypeError):
        made(Bare)
