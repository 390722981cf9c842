"""The threads that feed the loop: a watch of each collection, and the node's own addresses."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

import attrs

from nptables.kernel.node.interfaces import AddressWatch
from nptables.sources.apiserver import Connection, Event, Recorder, Reflector, Resource, Settings


@attrs.frozen
class AddressesChanged:
    """The node got or lost an address."""


@attrs.frozen
class Broken:
    """A thread ended that should not have."""

    error: Exception


class Feeds:
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
        threading.Thread(target=guarded, name=name, daemon=True).start()
