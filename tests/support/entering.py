"""Threads that move into another network namespace."""

from __future__ import annotations

import contextlib
import ctypes
import os
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)


def enter(name: str) -> None:
    """Move this thread, and what it starts and opens from now on, into a network namespace."""
    with Path("/run/netns", name).open() as new:
        _set_namespace(new)


@contextlib.contextmanager
def entered(name: str) -> Iterator[None]:
    """Have this thread in a network namespace for the block."""
    with Path("/proc/thread-self/ns/net").open() as old:
        enter(name)
        try:
            yield
        finally:
            _set_namespace(old)


def _set_namespace(handle: IO[str]) -> None:
    if _LIBC.setns(handle.fileno(), _CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), handle.name)
