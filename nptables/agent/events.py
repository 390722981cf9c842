"""What the loop is told: the one queue of events, and the threads that put them into it.

Those are a watch of each collection, the node's own addresses, and whatever else ends that should
not; a signal handler puts into the queue as well.
"""

from __future__ import annotations

import queue
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from nptables.immutable import frozen
from nptables.kernel.node.interfaces import AddressWatch
from nptables.sources.apiserver import Connection, Event, Recorder, Reflector, Resource, Settings

Item = TypeVar("Item")


class EventQueue(Generic[Item]):
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
# Schedule.wait may be infinite, and a lock takes no timeout beyond threading.TIMEOUT_MAX.
threading_limit = 3600.0


@frozen
class AddressesChanged:
    """The node got or lost an address."""


@frozen
class Broken:
    """A thread ended that should not have."""

    error: Exception


class EventSources:
    """Starts threads that hand what they learn to `put`, which must not block, until `close`."""

    def __init__(self, put: Callable[[Event | AddressesChanged | Broken], None]) -> None:
        self._put = put
        self._interrupts: list[Callable[[], None]] = []
        self.stop = threading.Event()

    def watch(self, resource: Resource, connection: Connection, settings: Settings) -> None:
        """List and watch a collection of the API server."""
        reflector = Reflector(
            resource,
            connection,
            self._put,
            clock=time.monotonic,
            wait=self.stop.wait,
            random=random.random,
            settings=settings,
        )
        self._start(reflector.run, reflector.interrupt, f"watch {resource.name}")

    def follow_addresses(self) -> None:
        """Say when the node's addresses change. Raises OSError without netlink."""
        watch = AddressWatch()
        self._start(
            lambda: watch.run(lambda: self._put(AddressesChanged())), watch.close, "netlink"
        )

    def record(self, recorder: Recorder) -> None:
        """Write the Events that are handed to a recorder."""
        self._start(recorder.run, recorder.stop, "events")

    def close(self) -> None:
        """End the threads; those that wait for the network end with the process."""
        self.stop.set()
        for interrupt in self._interrupts:
            interrupt()

    def _start(self, target: Callable[[], None], interrupt: Callable[[], None], name: str) -> None:
        def guarded() -> None:
            try:
                target()
            except Exception as error:  # noqa: BLE001 - a thread must not die unnoticed
                if not self.stop.is_set():
                    self._put(Broken(error))

        self._interrupts.append(interrupt)
        # A daemon: one that waits for the network must not keep the process from ending.
        threading.Thread(target=guarded, name=name, daemon=True).start()
