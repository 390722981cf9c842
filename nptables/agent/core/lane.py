"""One address family on its way to the kernel: what is due for it, and what waits for it."""

from __future__ import annotations

from nptables.agent.core.drift import Differences
from nptables.agent.core.engine import Engine
from nptables.agent.core.picture import Key, Pending
from nptables.agent.core.schedule import Schedule
from nptables.errors import ReadingStarved
from nptables.family import Family
from nptables.incremental import Changes


class Lane:
    """The engine of a family with its schedule, so that no family waits for another.

    `differences` is what an observer has seen differ, and since when. `starved` says why the
    tables could not be read when they should have been last, if so.
    """

    def __init__(self, engine: Engine, schedule: Schedule, differences: Differences) -> None:
        self.engine = engine
        self.schedule = schedule
        self.differences = differences
        self.synced = False
        self.starved: ReadingStarved | None = None
        self._services: set[Key] = set()
        self._slices: set[Key] = set()
        self._triggered: dict[Key, tuple[Family, float]] = {}
        self._everything = False

    @property
    def family(self) -> Family:
        """The family."""
        return self.engine.family

    def add(self, changes: Changes, pending: Pending) -> None:
        """Take changes in, as objects and as what is said of them."""
        self.engine.add(changes)
        self._services |= pending.services
        self._slices |= pending.slices
        self._everything |= pending.everything
        for key, triggered in pending.triggered.items():
            # Of several changes before one sync the oldest waited longest.
            self._triggered.setdefault(key, triggered)

    def take_pending(self) -> Pending:
        """What waited for the sync that succeeded just now, which it no longer does."""
        found = Pending(
            frozenset(self._services),
            frozenset(self._slices),
            self._everything,
            dict(self._triggered),
        )
        self._services.clear()
        self._slices.clear()
        self._triggered.clear()
        self._everything = False
        return found
