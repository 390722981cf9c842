"""The one queue of the agent: anything may put, also a signal handler."""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Inbox(Generic[Item]):
    """A queue that knows since when its oldest item waits, in the seconds of `clock`."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._items: deque[tuple[float, Item]] = deque()
        # SimpleQueue may be put to while the same thread is within get, as signals need it.
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()

    def put(self, item: Item) -> None:
        """Add an item."""
        self._items.append((self._clock(), item))
        # One signal is enough for all items: the reader takes all of them.
        if self._bell.empty():
            self._bell.put(None)

    def wait(self, seconds: float) -> Iterator[Item]:
        """Everything that is there, after waiting at most so long for the first item."""
        try:
            self._bell.get(timeout=min(max(seconds, 0.0), threading_limit))
        except queue.Empty:
            return
        while self._items:
            yield self._items.popleft()[1]

    def oldest(self) -> float | None:
        """Since when the oldest item waits, or None."""
        try:
            return self._items[0][0]
        except IndexError:
            return None


# The longest that a queue can be waited for at once, in seconds.
threading_limit = 3600.0
