"""Signals to a process that starts slowly and must not lose one: caught first, acted on later.

This module imports next to nothing, so that it can be the first one that a command needs.
"""

from __future__ import annotations

import contextlib
import signal
from collections import deque
from collections.abc import Callable, Iterator
from types import FrameType

STOPPING = (signal.SIGTERM, signal.SIGINT)
# Not every system has a signal to reload.
_RELOADING = tuple(signal.Signals[name] for name in ("SIGHUP",) if hasattr(signal, name))
_CAUGHT = (*STOPPING, *_RELOADING)


class Stopped(BaseException):
    """A signal to stop came while nothing needed to be brought to an end first.

    Like KeyboardInterrupt it is no Exception, so that nobody takes it for a failure.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(signal.Signals(number).name)


class Signals:
    """SIGTERM, SIGINT and SIGHUP; to be used in the main thread.

    At first the two that stop raise Stopped wherever the program is, and SIGHUP is kept. From
    `hand_to` on all go to a function, those that were kept included.
    """

    def __init__(self) -> None:
        self._kept: deque[int] = deque()
        self._put: Callable[[int], None] = self._kept.append
        self._at_once = True
        self._put_off = False
        self._waiting: int | None = None
        self._over = False

    @contextlib.contextmanager
    def caught(self) -> Iterator[None]:
        """Catch them for as long as the context lasts."""
        before = {number: signal.signal(number, self._arrived) for number in _CAUGHT}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def hand_to(self, put: Callable[[int], None]) -> None:
        """Hand every signal to a function, which must not block."""
        self._put = put
        self._at_once = False
        while self._kept:
            put(self._kept.popleft())

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Within this context a signal to stop raises Stopped, whoever is handed the others."""
        before, self._at_once = self._at_once, True
        try:
            yield
        finally:
            self._at_once = before

    @contextlib.contextmanager
    def put_off(self) -> Iterator[None]:
        """Within this context none raises Stopped: one that came does so when it is left."""
        self._put_off = True
        try:
            yield
        finally:
            self._put_off = False
            number, self._waiting = self._waiting, None
            if number is not None:
                raise Stopped(number)

    def ignore(self) -> None:
        """The end has begun: no signal changes anything any more."""
        self._over = True

    def _arrived(self, number: int, _: FrameType | None) -> None:
        if self._over:
            return
        if not self._at_once or number not in STOPPING:
            self._put(number)
        elif self._put_off:
            self._waiting = number
        else:
            raise Stopped(number)
