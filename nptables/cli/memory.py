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
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
        # Before the collector is switched on: it would begin with all that was made meanwhile.
        gc.freeze()
    finally:
        if was_enabled:
            gc.enable()


def never_freed(made: object) -> None:
    """Let the process end with all that an object holds, which the system then takes at once.

    To free a cluster and its rules first, object by object, takes a sixteenth of a `render`. What
    holds itself is freed by the collector alone, and that never looks at what is frozen, not even
    when the interpreter ends; so all else is tidied up as ever.
    """
    held: list[object] = [made]
    held.append(held)
    gc.freeze()
