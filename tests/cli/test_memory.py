"""What a command keeps to its end costs no collection, and a later command pays nothing for it."""

from __future__ import annotations

import gc
import subprocess
import sys
from typing import TYPE_CHECKING
from weakref import finalize

from nptables.cli import main
from nptables.cli.memory import kept_to_the_end, never_freed

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


class Told:
    """Something whose end is noticed."""


# The object says when it is freed, and the interpreter when it ends.
ENDING = """
import atexit
from nptables.cli.memory import never_freed

class Made:
    def __del__(self):
        print("freed")

atexit.register(print, "ended")
print("begun", end=" ")
{0}(Made())
"""


def test_a_process_ends_in_order_without_freeing_what_is_never_freed() -> None:
    """What is buffered is written and handlers are called, as without it."""
    said = {
        name: subprocess.run(
            [sys.executable, "-c", ENDING.format(name)], capture_output=True, text=True, check=True
        ).stdout.split()
        for name in ("never_freed", "id")
    }

    assert said == {"never_freed": ["begun", "ended"], "id": ["begun", "freed", "ended"]}


def test_a_further_command_of_a_process_lets_go_what_an_earlier_one_would_never_free() -> None:
    made = Told()
    freed = finalize(made, list)
    never_freed(made)
    del made
    gc.collect()
    alive = freed.alive

    main(["rule", "no-such-rule"])
    gc.collect()

    assert (alive, freed.alive) == (True, False)
