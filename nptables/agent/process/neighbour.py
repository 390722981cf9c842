"""Noticing a kube-proxy that starts while the agent runs."""

from __future__ import annotations

import math
from collections.abc import Callable

# Looking reads a line of each process; seconds.
_PERIOD = 60.0


class Neighbour:
    """Looks for another proxy every minute; `found` is the last answer of `find`.

    `say` is told each time one is there. `clock` gives monotonic seconds.
    """

    def __init__(
        self,
        find: Callable[[], str],
        *,
        say: Callable[[str], None],
        clock: Callable[[], float],
    ) -> None:
        self.found = ""
        self._find = find
        self._say = say
        self._clock = clock
        self._at = -math.inf

    def look(self) -> None:
        """Look if it is time to; to be called every few seconds."""
        now = self._clock()
        if now < self._at:
            return
        self._at = now + _PERIOD
        self.found = self._find()
        if self.found:
            self._say(self.found)
