"""What one command makes and needs until it is done."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def kept_to_the_end() -> Iterator[None]:
    """Let the garbage collector never look through what is made in a block.

    A cluster and its rules are a million objects that live as long as the command. Each full
    collection goes over all of them, which takes as long as reading them did.
    """
    with _without_collector():
        yield
        # Before the collector is switched on: it would begin with all that was made meanwhile.
        gc.freeze()


@contextmanager
def made_old() -> Iterator[None]:
    """Let the garbage collector treat what is made in a block as if it had been there for long.

    What modules make when they are imported stays as long as the process, and looking for garbage
    among it takes as long as a tenth of a short command. Not for use where anything is kept to the
    end.
    """
    with _without_collector():
        yield
        # What is no longer frozen belongs to the oldest generation.
        gc.freeze()
        gc.unfreeze()


@contextmanager
def _without_collector() -> Iterator[None]:
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
