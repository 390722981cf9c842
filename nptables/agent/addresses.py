"""The addresses of this node: read when they changed, and kept while they cannot be read."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from nptables.errors import KernelError

Interfaces = Mapping[str, Sequence[str]]

# How long changed addresses rest before they are read, as they come in bursts when Pods start.
_REST = 0.5
# How long to wait after they could not be read.
_RETRY = 10.0


class Addresses:
    """Interface names to addresses with prefix length, as `read` last gave them.

    `read` may raise KernelError, of which `complain` is told; it may also give None where nobody
    can know. `clock` gives monotonic seconds.
    """

    def __init__(
        self,
        read: Callable[[], Interfaces | None],
        *,
        complain: Callable[[str], None],
        clock: Callable[[], float],
    ) -> None:
        self._read = read
        self._complain = complain
        self._clock = clock
        self._known: Interfaces | None = None
        self._at = math.inf

    def changed(self) -> None:
        """They are to be read soon."""
        self._at = min(self._at, self._clock() + _REST)

    def wait(self) -> float:
        """The seconds until they are to be read; 0 when that is now."""
        return max(0.0, self._at - self._clock())

    def now(self) -> Interfaces | None:
        """Read them; where that fails, those known before, and they are read again soon."""
        self._at = math.inf
        try:
            self._known = self._read()
        except KernelError as error:
            self._complain(str(error))
            self._at = self._clock() + _RETRY
        return self._known
