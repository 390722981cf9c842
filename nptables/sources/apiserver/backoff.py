"""How long to wait before asking again."""

from __future__ import annotations

from collections.abc import Callable

import attrs

# client-go's reflector: 0.8 s doubling to 30 s, each stretched by up to its own length.
FIRST_DELAY = 0.8
LONGEST_DELAY = 30.0


@attrs.define
class Backoff:
    """Delays in seconds that double from `first` to `longest`, each stretched at random.

    `random` gives a number from 0 (included) to 1 (excluded); a delay is stretched by that
    part of itself, so that the nodes of a cluster do not all come back at once.
    """

    random: Callable[[], float]
    first: float = FIRST_DELAY
    longest: float = LONGEST_DELAY
    _next: float = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Begin with the shortest delay."""
        self._next = self.first

    def delay(self, *, at_least: float = 0.0) -> float:
        """The next delay; a server that asked for a longer one (Retry-After) gets it."""
        base = self._next
        self._next = min(base * 2, self.longest)
        # Also behind a server's wish: it sends the same one to every node.
        return max(base, at_least) + base * self.random()

    def reset(self) -> None:
        """Begin again: things went well."""
        self._next = self.first
