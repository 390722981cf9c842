"""The garbage collector rests while very many objects are made, and has no backlog afterwards."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from nptables.gcpause import collector_paused


@pytest.fixture
def nothing_frozen() -> Iterator[None]:
    """The tests themselves are frozen: see conftest."""
    gc.unfreeze()
    yield
    gc.freeze()


def looked_through() -> list[int]:
    """How often the collector has looked through each generation."""
    return [generation["collections"] for generation in gc.get_stats()]


@pytest.mark.usefixtures("nothing_frozen")
def test_what_was_made_in_the_pause_is_not_looked_through_after_it() -> None:
    """The new objects are old ones at once, so the collector does not begin with them."""
    before = looked_through()
    with collector_paused():
        made: list[list[int]] = [[] for _ in range(50_000)]
    made += [[] for _ in range(100)]
    assert before == looked_through()
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


@pytest.mark.usefixtures("nothing_frozen")
def test_garbage_from_before_the_pause_is_still_found() -> None:
    """What is taken for old is looked through with all that is old."""
    garbage: list[object] = []
    garbage.append(garbage)
    del garbage
    with collector_paused():
        made: list[list[int]] = [[] for _ in range(50_000)]
    assert gc.collect() >= 1
    assert len(made) == 50_000


@pytest.mark.usefixtures("nothing_frozen")
def test_what_somebody_has_frozen_stays_frozen() -> None:
    """Objects that a program took from the collector for good do not come back to it."""
    gc.freeze()
    frozen = gc.get_freeze_count()
    with collector_paused():
        made: list[list[int]] = [[] for _ in range(50_000)]
    # A few of them may have died meanwhile.
    assert frozen - 100 <= gc.get_freeze_count() <= frozen
    assert len(made) == 50_000
