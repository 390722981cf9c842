"""Standard output and standard error, also where they are closed or full.

A reader who stops early (`| head -1`) changes nothing: the rest goes nowhere, and the command ends
with the code of what it found. Data that cannot be written (`> /dev/full`, `>&-`) are an error of
their own. Words that cannot be written are lost, and change no code.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
import sys
from collections.abc import Callable, Iterator
from typing import TextIO

import click

# After so many seconds somebody who waits for standard input is told so.
_TIMEOUT = 3.0


def piped_in(timeout: float = _TIMEOUT) -> bool:
    """Whether there is text on standard input that somebody has piped in.

    There is none on a terminal, on /dev/null or where it is closed, nor in a pipe that ends without
    a byte: none of these makes anybody wait. A pipe that is open and silent may yet bring
    objects, so this waits for its first byte or its end, and says so after `timeout` seconds.
    """
    try:
        mode = os.fstat(0).st_mode
    except OSError:
        return False
    if stat.S_ISREG(mode):
        return os.lseek(0, 0, os.SEEK_CUR) < os.fstat(0).st_size
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        return False
    import select  # noqa: PLC0415 - only where no file is named

    waiting = select.poll()
    waiting.register(0, select.POLLIN)
    if not waiting.poll(timeout * 1000):
        click.echo(
            "note: waiting for objects on standard input; with `< /dev/null` the cluster of the "
            "current context is read instead",
            err=True,
        )
        waiting.poll()
    return _unread_bytes() > 0


def _unread_bytes() -> int:
    """How many bytes can be read at once; none where whoever wrote has ended."""
    # No other command needs them, and not every system has them.
    import fcntl  # noqa: PLC0415
    import struct  # noqa: PLC0415
    import termios  # noqa: PLC0415

    found: int = struct.unpack("i", fcntl.ioctl(0, termios.FIONREAD, b"\0" * 4))[0]
    return found


class OutputLost(Exception):
    """Standard output takes no data; the text says why."""


class _Stream(io.TextIOBase):
    """A text stream in the place of one that may be closed, full, or gone; None is closed."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            # What the terminal has no character for is escaped.
            stream.reconfigure(errors="backslashreplace")

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the stream beneath."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        """What becomes of characters that the encoding lacks."""
        return getattr(self._stream, "errors", None)

    def writable(self) -> bool:
        """Whether text may be written: always, whatever becomes of it."""
        return True

    def isatty(self) -> bool:
        """Whether a person reads it."""
        return self._stream is not None and self._stream.isatty()

    def fileno(self) -> int:
        """The descriptor beneath. Raises OSError where there is none."""
        if self._stream is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return self._stream.fileno()

    def write(self, text: str) -> int:
        """Write text, as far as somebody takes it; returns its length."""
        if text != "":
            self._attempt(lambda stream: stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Hand on what is buffered."""
        if self._stream is not None:
            self._attempt(lambda stream: stream.flush())

    def _attempt(self, act: Callable[[TextIO], object]) -> None:
        try:
            if self._stream is None:
                raise OSError(errno.EBADF, "it is closed")
            act(self._stream)
        except OSError as error:
            self._failed(error)

    def drop_the_rest(self) -> None:
        """Send what is buffered, and what follows, nowhere: the next flush would fail as well."""
        with contextlib.suppress(OSError, ValueError):
            number = self.fileno()
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, number)
            if nowhere != number:
                os.close(nowhere)

    def _failed(self, error: OSError) -> None:
        raise NotImplementedError


class _Data(_Stream):
    """Standard output: a reader who left is no error, anything else is."""

    def _failed(self, error: OSError) -> None:
        self.drop_the_rest()
        if not isinstance(error, BrokenPipeError):
            raise OutputLost((error.strerror or str(error)).lower()) from error


class _Words(_Stream):
    """Standard error: a failure is ignored, and the next line is tried again."""

    lost = False

    def _failed(self, error: OSError) -> None:  # noqa: ARG002
        self.lost = True


@contextlib.contextmanager
def guarded_streams() -> Iterator[None]:
    """Put both streams of the process under guard for a while."""
    # Python has None in the place of a stream that was closed when the process started.
    output, errors = sys.stdout, sys.stderr
    words = _Words(errors)
    sys.stdout, sys.stderr = _Data(output), words
    try:
        yield
    finally:
        sys.stdout, sys.stderr = output, errors
        if words.lost:
            words.drop_the_rest()
