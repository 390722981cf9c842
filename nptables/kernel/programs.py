"""Starting programs: the one place where nptables does it.

A Runner is passed to everything in this package that needs a program, so that tests give it one
that starts nothing.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from typing import Any

import attrs

from nptables.errors import BackendUnavailable, KernelBusy, printable
from nptables.immutable import frozen


@attrs.frozen(slots=False)
class Completed:
    """How a program ended: exit code, standard output and standard error.

    The output may be given as it was written: that of a save program is 38 MB on a large node, and
    whoever reads it line by line needs it only once.
    """

    code: int
    output: str | bytes
    stderr: str

    @cached_property
    def stdout(self) -> str:
        """The output as text."""
        found = self.output
        return found if isinstance(found, str) else found.decode("utf-8", "surrogateescape")

    def lines(self) -> Iterator[str]:
        """The lines of the output, each with its end."""
        if isinstance(self.output, str):
            yield from io.StringIO(self.output, newline="\n")
        else:
            for line in io.BytesIO(self.output):
                yield line.decode("utf-8", "surrogateescape")


# Arguments, standard input, and how many seconds it may take.
Runner = Callable[[Sequence[str], str, float], Completed]

# File descriptors of locks that programs are to hold as long as they run.
INHERITED: set[int] = set()

# How often whoever waits for a program says so, in seconds.
_WAITING = 1.0
# How often to ask whether to give up on a program, in seconds.
_ASKING = 0.25
# So many characters of an input are encoded at once.
_PIECE = 1 << 20
# Where iptables may be when PATH is that of a plain user or of a daemon.
_MORE_FOLDERS = ("/usr/sbin", "/sbin", "/usr/local/sbin")


@frozen
class Programs:
    """The Runner that starts programs.

    `waiting` is called about every second for as long as one runs, from a thread of its own, so
    that whoever watches this process can tell a long wait, which ends in time, from a hang. A
    program without input only looks, and runs in a context of `looking`: whoever ends it there
    does no harm. Each is started in a context of `starting`, in which no signal may raise: between
    the fork and the next line nobody knows of the program, and so nobody could end it.
    """

    waiting: Callable[[], None] | None = None
    looking: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext
    starting: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext

    def __call__(
        self,
        argv: Sequence[str],
        text: str,
        seconds: float,
        give_up: Callable[[], bool] = lambda: False,
    ) -> Completed:
        """Run a program to its end, with `text` as its standard input.

        `give_up` is asked several times a second whether it shall be ended early, where there is no
        input. Raises BackendUnavailable where it cannot be started and KernelBusy where it does not
        end in time (it is killed then; iptables commits at once or not at all).
        """
        # What programs say is compared with English words, and some of it comes from strerror(3),
        # which speaks the user's language.
        environment = {**os.environ, "LC_ALL": "C", "PATH": search_path()}
        try:
            with _told_of_it(self.waiting), contextlib.nullcontext() if text else self.looking():
                done = _to_its_end(list(argv), text, seconds, give_up, environment, self.starting)
        except FileNotFoundError:
            raise BackendUnavailable(
                f"the program {printable(argv[0])} is not installed: install the package that has "
                "it (Debian: iptables)"
            ) from None
        except PermissionError:
            raise BackendUnavailable(
                f"the program {printable(argv[0])} cannot be started: permission denied"
            ) from None
        except OSError as error:
            raise BackendUnavailable(
                f"{printable(argv[0])} could not be started: {error.strerror}"
            ) from error
        except subprocess.TimeoutExpired:
            raise KernelBusy(
                f"{printable(argv[0])} was stopped after {seconds:g} s: the node may be "
                "overloaded, or another program holds the tables"
            ) from None
        return Completed(
            done.returncode,
            done.stdout,
            done.stderr.decode("utf-8", "replace"),
        )


class _Program(subprocess.Popen[bytes]):
    """A program that is ended where its start is given up in the middle: a signal may do that."""

    def __init__(self, argv: Sequence[str], **options: Any) -> None:
        try:
            super().__init__(argv, **options)
        except BaseException:
            if getattr(self, "pid", None) is not None:
                self.kill()
                self.wait()
            raise


def _to_its_end(
    argv: list[str],
    text: str,
    seconds: float,
    give_up: Callable[[], bool],
    environment: dict[str, str],
    starting: Callable[[], AbstractContextManager[None]],
) -> subprocess.CompletedProcess[bytes]:
    until = time.monotonic() + seconds
    with _memory() as output, _memory() as prepared, contextlib.ExitStack() as ending:
        with starting():
            process = ending.enter_context(
                _Program(
                    argv,
                    stdin=subprocess.PIPE if prepared is None else _filled(prepared, text),
                    stdout=subprocess.PIPE if output is None else output,
                    stderr=subprocess.PIPE,
                    env=environment,
                    pass_fds=tuple(INHERITED),
                )
            )
            # Leaving the block waits for the program: where it is left early, it has to be ended
            # first.
            ending.push(lambda error, *_: process.kill() if error else None)
        given = None if prepared is not None else text.encode("utf-8", "surrogateescape")
        while True:
            left = max(0.0, until - time.monotonic())
            # Input that is not all written when the time is over would be lost with it.
            slot = left if text else min(left, _ASKING)
            try:
                written, said = process.communicate(given, timeout=slot)
                break
            except subprocess.TimeoutExpired:
                if text or left <= slot or give_up():
                    raise
        if output is not None:
            with open(output, "rb", closefd=False) as printed:
                printed.seek(0)
                written = printed.read()
    return subprocess.CompletedProcess(argv, process.returncode, written, said)


@contextlib.contextmanager
def _memory() -> Iterator[int | None]:
    """A file in memory for what a program reads or prints; None where the system has none.

    iptables-save writes 4 kB at a time: by a pipe, reading 38 MB took us a third of its own time.
    And what iptables-restore is fed by a pipe has to be there as a whole once more, as bytes.
    """
    try:
        memory = os.memfd_create("nptables")
    except (AttributeError, OSError):
        yield None
        return
    try:
        yield memory
    finally:
        os.close(memory)


def _filled(file: int, text: str) -> int:
    """The file with the text in it, to be read from its beginning."""
    with open(file, "wb", closefd=False) as writing:
        writing.writelines(
            text[start : start + _PIECE].encode("utf-8", "surrogateescape")
            for start in range(0, len(text), _PIECE)
        )
    os.lseek(file, 0, os.SEEK_SET)
    return file


@contextlib.contextmanager
def _told_of_it(waiting: Callable[[], None] | None) -> Iterator[None]:
    """Call a function every second until the context ends."""
    if waiting is None:
        yield
        return
    over = threading.Event()

    def tell() -> None:
        while not over.wait(_WAITING):
            waiting()

    teller = threading.Thread(target=tell, name="waiting", daemon=True)
    teller.start()
    try:
        yield
    finally:
        over.set()
        teller.join()


run_program = Programs()


def search_path() -> str:
    """PATH with the folders in which system programs usually are."""
    known = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join([*known, *(f for f in _MORE_FOLDERS if f not in known)])


def find_program(name: str) -> str | None:
    """Where a program is, or None."""
    return shutil.which(name, path=search_path())
