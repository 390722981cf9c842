"""What a command keeps to its end costs no collection, and a later command pays nothing for it."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

from nptables.cli import main
from nptables.cli.memory import kept_to_the_end, made_old

if TYPE_CHECKING:
    import pytest


def test_the_collector_never_looks_at_what_is_kept_to_the_end() -> None:
    """A collection goes over every object that was made before and is not frozen."""
    try:
        with kept_to_the_end():
            kept = [[number] for number in range(1000)]

        assert len(kept) <= gc.get_freeze_count()
        assert gc.isenabled()
    finally:
        gc.unfreeze()


def test_what_is_made_old_is_neither_frozen_nor_young() -> None:
    """Else the next collection of the youngest would go over all of it."""
    gc.collect()
    with made_old():
        made = [[number] for number in range(5000)]

    assert len(made) > gc.get_count()[0]
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0
    assert any(each is made for each in gc.get_objects(generation=2))


def test_a_further_command_of_a_process_begins_with_nothing_kept(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A program that runs commands in its own process must not gather garbage for good."""
    with kept_to_the_end():
        pass
    before = gc.get_freeze_count()

    main(["rule", "--help"])

    assert capsys.readouterr().out.startswith("Usage")
    assert before > 0
    assert gc.get_freeze_count() == 0
