"""Rolling changes back unless they are confirmed in time.

A guard process is started before anything is changed. It is a session leader of its own, so that it
outlives the terminal and a kill of the command; it holds in memory what it needs to take the
changes back. It listens on a socket that only root may use, one for each network namespace.
Whoever connects may say `applied` (the time starts now), `confirm` (the changes stay) or `revert`
(they go at once), and is told at the end what became of them. The command connects first, and the
time does not start before it has applied everything, or is gone.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import stat
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from nptables.errors import BackendUnavailable, KernelBusy
from nptables.immutable import frozen

FOLDER = Path("/run/nptables")
KEPT = "kept"
TAKEN_BACK = "taken back"
FAILED = "failed"
_LONGEST_REQUEST = 64


def socket_path(folder: Path = FOLDER) -> Path:
    """The guard's socket for the network namespace of this process."""
    try:
        namespace = Path("/proc/self/ns/net").stat().st_ino
    except OSError:
        namespace = 0
    return folder / f"confirm-{namespace}.sock"


@frozen
class Answer:
    """What became of the changes: KEPT, TAKEN_BACK or FAILED, and why where it failed."""

    outcome: str
    details: str = ""


class Guarded:
    """The command's end of the line to its guard."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line

    def say(self, word: str) -> None:
        """Tell the guard `applied`, `confirm` or `revert`; `answer` says if it is gone."""
        with contextlib.suppress(OSError):
            self._line.sendall(f"{word}\n".encode())

    def fileno(self) -> int:
        """For select: readable when the guard has answered."""
        return self._line.fileno()

    def answer(self) -> Answer:
        """Wait for what becomes of the changes."""
        return _answer(self._line)


def guard(
    seconds: float, take_back: Callable[[], Sequence[str]], *, folder: Path = FOLDER
) -> Guarded:
    """Start a guard that calls `take_back` after `seconds` unless it is told otherwise.

    `take_back` runs in the guard's process and returns what went wrong. Raises KernelBusy where a
    guard waits already, BackendUnavailable where the socket cannot be made.
    """
    # Before the fork: whoever connects from now on waits in the queue until the guard accepts.
    listener = _listen(socket_path(folder))
    child = os.fork()
    if child == 0:
        _become_guard(listener, seconds, take_back, socket_path(folder))
    # The child ends at once, since the guard is a child of its own: nobody has to wait for that
    # one, and it leaves no zombie behind.
    os.waitpid(child, 0)
    listener.close()
    return Guarded(_connect(socket_path(folder)))


def confirm(*, folder: Path = FOLDER) -> Answer | None:
    """Confirm the changes that wait for it in this network namespace; None where none wait.

    Raises BackendUnavailable where this user may not know whether any do.
    """
    path = socket_path(folder)
    try:
        line = _connect(path)
    except PermissionError:
        raise BackendUnavailable(f"{path} may be used by root only") from None
    except OSError:
        return None
    with line:
        guarded = Guarded(line)
        guarded.say("confirm")
        return guarded.answer()


def _listen(path: Path) -> socket.socket:
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        owner = path.parent.lstat()
        if not stat.S_ISDIR(owner.st_mode) or owner.st_uid != os.geteuid():
            raise BackendUnavailable(f"{path.parent} is not a folder that belongs to this user")
        # A guard answers there; the socket that a killed one left behind refuses.
        with contextlib.suppress(OSError), _connect(path):
            raise KernelBusy(
                "an earlier apply still waits to be confirmed: run `nptables confirm`, or wait "
                "until it is rolled back"
            )
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # The rights of a socket are those that it is bound with (unix(7)): to change them later
        # would leave a gap.
        before = os.umask(0o177)
        try:
            listener.bind(str(path))
        finally:
            os.umask(before)
        listener.listen(8)
    except OSError as error:
        raise BackendUnavailable(
            f"changes cannot be guarded: {path}: {error.strerror or error}"
        ) from error
    return listener


def _connect(path: Path) -> socket.socket:
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        line.connect(str(path))
    except OSError:
        line.close()
        raise
    return line


def _answer(line: socket.socket) -> Answer:
    data = b""
    while not data.endswith(b"\n"):
        try:
            more = line.recv(4096)
        except ConnectionError:
            more = b""
        if not more:
            return Answer(FAILED, "the guard process is gone")
        data += more
    outcome, _, details = data.decode("utf-8", "replace").strip().partition(": ")
    return Answer(outcome, details)


def _become_guard(
    listener: socket.socket, seconds: float, take_back: Callable[[], Sequence[str]], path: Path
) -> None:
    """The child: leave the terminal and the parent behind, and watch. Never returns."""
    try:
        # The usual way to become a daemon (daemon(7)): a new session has no terminal, and who does
        # not lead it never gets one.
        os.setsid()
        if os.fork():
            os._exit(0)
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE):
            signal.signal(number, signal.SIG_IGN)
        nothing = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(nothing, standard)
        os.chdir("/")
        _watch(listener, seconds, take_back, path)
    finally:
        # Not sys.exit: buffers and exit handlers are the parent's, and would be run twice.
        os._exit(0)


def _watch(
    listener: socket.socket,
    seconds: float,
    take_back: Callable[[], Sequence[str]],
    path: Path,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Wait for words until one decides or the time is over, then act and tell everybody."""
    until = clock() + seconds
    lines: list[socket.socket] = []
    # The command, for as long as it is at work: to take changes back meanwhile would miss those
    # that it makes afterwards.
    applying: socket.socket | None = None
    keep: bool | None = None
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        while keep is None and (applying is not None or until > clock()):
            left = None if applying is not None else max(0.0, until - clock())
            for key, _ in selector.select(left):
                if key.fileobj is listener:
                    line, _ = listener.accept()
                    applying = line if not lines else applying
                    lines.append(line)
                    selector.register(line, selectors.EVENT_READ)
                    continue
                words = _hear(key.fd)
                if not words:
                    selector.unregister(key.fileobj)
                if "applied" in words or (not words and key.fileobj is applying):
                    # Applying may take long itself: people get all of the time to look at the
                    # result.
                    applying = None
                    until = clock() + seconds
                if "confirm" in words:
                    keep = True
                elif "revert" in words:
                    keep = False
    problems = [] if keep else take_back()
    # Before anybody is told, since whoever is told may start the next guard at once.
    path.unlink(missing_ok=True)
    outcome = KEPT if keep else TAKEN_BACK
    if problems:
        outcome = f"{FAILED}: {'; '.join(problems)}".replace("\n", " ")
    # Those too who came to confirm while the changes were taken back; now nobody comes any more.
    listener.settimeout(0)
    with contextlib.suppress(BlockingIOError):
        while True:
            lines.append(listener.accept()[0])
    for line in lines:
        with contextlib.suppress(OSError):
            line.sendall(f"{outcome}\n".encode())


def _hear(line: int) -> list[str]:
    """The words that arrived; none where the other end is gone."""
    try:
        return os.read(line, _LONGEST_REQUEST).decode("ascii", "replace").split()
    except OSError:
        return []
