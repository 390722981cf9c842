"""One nptables at a time changes the tables of a network namespace, children included.

When a process is killed, the iptables-restore that it started goes on for a moment. Both hold the
lock taken here, so that the next change waits for what is left of the last one.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from nptables.errors import KernelBusy
from nptables.kernel import programs
from nptables.kernel.tables.lock import try_lock

FOLDER = Path("/run/nptables")


@contextlib.contextmanager
def our_turn(
    seconds: float,
    *,
    folder: Path = FOLDER,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[None]:
    """Hold the lock of this network namespace, waiting at most `seconds`; raises KernelBusy.

    Where no lock file can be made, as on a read-only disk, there is no lock.
    """
    handle = _open(folder)
    if handle is None:
        yield
        return
    try:
        until, pause = clock() + seconds, 0.002
        while True:
            try:
                try_lock(handle)
                break
            except BlockingIOError:
                if clock() >= until:
                    raise KernelBusy(
                        f"another nptables changes the tables; waited {seconds:g} s"
                    ) from None
            sleep(pause)
            pause = min(2 * pause, 0.05)
        programs.INHERITED.add(handle)
        yield
    finally:
        programs.INHERITED.discard(handle)
        os.close(handle)


def _open(folder: Path) -> int | None:
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        name = f"apply-{Path('/proc/self/ns/net').stat().st_ino}.lock"
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        return os.open(folder / name, flags, 0o600)
    except OSError:
        return None
