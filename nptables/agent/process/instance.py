"""One proxy a node: the lock that a second agent meets, and a kube-proxy that starts later."""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from nptables.errors import AlreadyRunning, NptablesError, printable

LOCK_NAME = "agent.lock"


class InstanceLock:
    """Holds `agent.lock` in a folder for as long as it is open; the file says who holds it.

    The kernel gives the lock back when the process ends, however it ends. Raises AlreadyRunning,
    or NptablesError where the folder cannot be used.
    """

    def __init__(self, folder: Path, *, node_name: str) -> None:
        self.path = folder / LOCK_NAME
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Not handed on to programs, unlike the lock around changes: one that outlives a killed
            # agent must not keep the next agent from starting.
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise NptablesError(
                f"{self.path} cannot be opened: {error.strerror}; --run-dir names another folder"
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _said(self._file)
            os.close(self._file)
            raise AlreadyRunning(
                f"another agent keeps this node in sync ({holder or 'it does not say which'}): "
                "stop that one first",
                holder=holder,
            ) from None
        document = json.dumps({"pid": os.getpid(), "node": node_name}).encode()
        # The lock is held, and its text only informs people: a full disk is no reason to end.
        with contextlib.suppress(OSError):
            # Written first and cut then: who reads in between finds a name with too much behind it,
            # and not an empty file.
            os.ftruncate(self._file, os.pwrite(self._file, document, 0))

    def __enter__(self) -> Self:
        """Nothing more to do."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the lock back."""
        os.close(self._file)


def holder(folder: Path) -> str:
    """Which agent uses a folder, or last did, as `pid 12, node a`; empty where none says so."""
    try:
        file = os.open(folder / LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return _said(file)
    finally:
        os.close(file)


def _said(file: int) -> str:
    try:
        document = json.loads(os.pread(file, 4096, 0))
        return printable(f"pid {int(document['pid'])}, node {document['node']}", 300)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""


# Looking reads a line of each process; seconds.
_PERIOD = 60.0


class OtherProxyWatch:
    """Looks for another proxy every minute; `found` is the last answer of `find`.

    Whoever has looked just now gives what was `found` then. `say` is told each time one is there.
    `clock` gives monotonic seconds.
    """

    def __init__(
        self,
        find: Callable[[], str],
        *,
        say: Callable[[str], None],
        clock: Callable[[], float],
        found: str | None = None,
    ) -> None:
        self.found = found or ""
        self._find = find
        self._say = say
        self._clock = clock
        self._at = -math.inf if found is None else clock() + _PERIOD

    def soon(self) -> None:
        """Look the next time, however long ago that was done last."""
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
