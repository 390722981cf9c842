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
            gc.enable()
