"""Locks around changes of the tables: that of iptables, and one among our own processes."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from nptables.errors import BackendUnavailable, KernelBusy
from nptables.kernel import programs

LOCK_FILE = Path("/run/xtables.lock")
# A line of /proc/locks (proc_locks(5)): the process, then device and inode. Whoever only waits for
# the lock has an arrow before FLOCK, and is not meant.
_ENTRY = re.compile(r"\d+: FLOCK +\S+ +\S+ (\d+) ([0-9a-f]+):([0-9a-f]+):(\d+) ")

# Seconds between two looks at a lock: they double from one to the other.
_FIRST_PAUSE = 0.002
_LONGEST_PAUSE = 0.05


def lock_path() -> Path:
    """The lock file that iptables uses (XTABLES_LOCKFILE names another)."""
    return Path(os.environ.get("XTABLES_LOCKFILE") or LOCK_FILE)


def lock_holder(path: Path | None = None, locks: Path = Path("/proc/locks")) -> str:
    """The process that holds the lock as `name (pid N)`, or an empty string.

    From /proc/locks; a process of another PID namespace has no name there.
    """
    try:
        inode = (path or lock_path()).stat()
        text = locks.read_text()
    except OSError:
        return ""
    for line in text.splitlines():
        found = _ENTRY.match(line)
        if found is None or int(found[4]) != inode.st_ino:
            continue
        if os.makedev(int(found[2], 16), int(found[3], 16)) != inode.st_dev:
            continue
        return describe_process(int(found[1]))
    return ""


def describe_process(pid: int) -> str:
    """A process as `name (pid N)`."""
    try:
        name = Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    except OSError:
        return f"pid {pid}" if pid > 0 else "a process outside this container"
    return f"{name} (pid {pid})"


def busy(waited: float, holder: str) -> KernelBusy:
    """The error for a lock that was not to be had."""
    who = holder or "another program"
    return KernelBusy(
        f"{who} holds the xtables lock; waited {waited:g} s: try again, or wait longer with --wait",
        holder=holder,
    )


@contextlib.contextmanager
def xtables_lock(seconds: float) -> Iterator[None]:
    """Hold the lock that iptables takes, waiting at most `seconds` for it.

    Raises KernelBusy with the holder, or BackendUnavailable where the file cannot be made.
    """
    path = lock_path()
    try:
        # As xtables_lock in iptables/xshared.c opens it: a lock needs no right to write.
        handle = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise BackendUnavailable(
            f"the lock file {path} cannot be opened: {error.strerror}"
        ) from error
    try:
        _take(handle, seconds, lambda: busy(seconds, lock_holder(path)))
        yield
    finally:
        os.close(handle)


def _take(handle: int, seconds: float, busy_now: Callable[[], KernelBusy]) -> None:
    """Take a lock, waiting at most `seconds`; raises what `busy_now` gives."""
    until = time.monotonic() + seconds
    # In turns, because a flock that blocks knows no time limit.
    pause = _FIRST_PAUSE
    while True:
        try:
            try_lock(handle)
        except BlockingIOError:
            if time.monotonic() >= until:
                raise busy_now() from None
            time.sleep(min(pause, max(until - time.monotonic(), 0.001)))
            pause = min(pause * 2, _LONGEST_PAUSE)
        else:
            return


def try_lock(handle: int) -> None:
    """Lock an open file for this handle alone. Raises BlockingIOError where another has it."""
    import fcntl  # noqa: PLC0415 (not every system has it, and a dry run does without)

    # flock and not lockf: the two do not see each other (flock(2)), and iptables takes this one.
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


FOLDER = Path("/run/nptables")


@contextlib.contextmanager
def apply_lock(seconds: float, *, folder: Path = FOLDER) -> Iterator[None]:
    """Hold the lock of this network namespace, waiting at most `seconds`; raises KernelBusy.

    Where no lock file can be made, as on a read-only disk, there is no lock.
    """
    handle = _open(folder)
    if handle is None:
        yield
        return
    try:
        _take(handle, seconds, lambda: _held(seconds))
        # Programs that start now inherit the open file, and the lock belongs to that and not to us
        # (flock(2)): if we are killed, it is held until the last of them has ended.
        programs.INHERITED.add(handle)
        yield
    finally:
        programs.INHERITED.discard(handle)
        os.close(handle)


def _held(waited: float) -> KernelBusy:
    return KernelBusy(f"another nptables changes the tables; waited {waited:g} s")


def _open(folder: Path) -> int | None:
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        # Each network namespace has tables of its own, while /run may be shared by several.
        name = f"apply-{Path('/proc/self/ns/net').stat().st_ino}.lock"
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        return os.open(folder / name, flags, 0o600)
    except OSError:
        return None
