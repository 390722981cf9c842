"""Making very many objects that all stay, without the garbage collector looking through them."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pause the cyclic garbage collector, if it runs, for the length of a block.

    Reading or translating a large cluster makes hundreds of thousands of objects, no cycle among
    them, and drops none: looking for garbage there takes a third of the time. Where several threads
    do this at once the collector may run again before the last of them is done, which costs time
    only.
    """
    was_running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_running:
            if gc.get_count()[0] > _BACKLOG:
                _take_for_old()
            gc.enable()


# With so many new objects the collector would be at work for a millisecond.
_BACKLOG = 10_000


def _take_for_old() -> None:
    """Put all objects where the collector looks least often, without a look at any.

    Otherwise it would begin with all that was made in the pause as soon as it runs again.
    """
    # `gc.unfreeze` would also give back what the program froze itself, and meant to stay frozen.
    if not gc.get_freeze_count():
        gc.freeze()
        gc.unfreeze()
