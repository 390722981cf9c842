"""Signals as items of a queue, so that they are met between two turns of the loop."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator, Sequence


@contextlib.contextmanager
def signals_to(numbers: Sequence[int], put: Callable[[int], None]) -> Iterator[None]:
    """Hand signals to a function for as long as the context lasts."""
    before = {n: signal.signal(n, lambda number, _: put(number)) for n in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
