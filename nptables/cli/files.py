"""Files that a command writes whole or not at all."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import secrets
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, TextIO

from nptables.errors import InvalidInput, NptablesError, Problem

# Of large dumps more than this saves little and takes as long as reading the tables.
_COMPRESSION = 1
_BUFFER = 1 << 20


class FileLost(NptablesError):
    """A file could not be written to its end, and is not there; the text says why."""

    exit_code = 3


@contextlib.contextmanager
def written(path: str, *, mode: int = 0o600) -> Iterator[Callable[[str], object]]:
    """What takes the text of a file; the file is there, with this mode, once the context ends well.

    A name that ends in `.gz` has it compressed; `-` is standard output. What is no ordinary file,
    such as a pipe, is written to as it is. Raises InvalidInput where nothing can be written at
    that place, and FileLost where not all of it could be.
    """
    if path == "-":
        yield sys.stdout.write
        return
    target = Path(path)
    if target.is_symlink() and target.is_file():
        target = target.resolve()
    beside = _beside(target)
    try:
        with _opened(beside, path, mode) as raw:
            try:
                with _text(raw, path) as text:
                    yield text.write
                # Some file systems say only now that they were full.
                raw.close()
            except OSError as error:
                raise FileLost(f"{path}: {(error.strerror or str(error)).lower()}") from error
        if beside != target:
            beside.replace(target)
    except BaseException:
        if beside != target:
            beside.unlink(missing_ok=True)
        raise


def _beside(target: Path) -> Path:
    """Where the file is written first: beside its place, unless that is no ordinary file."""
    try:
        ordinary = stat.S_ISREG(target.stat().st_mode)
    except OSError:
        ordinary = True
    return target.parent / f".{target.name}.{secrets.token_hex(4)}" if ordinary else target


@contextlib.contextmanager
def _opened(path: Path, name: str, mode: int) -> Iterator[BinaryIO]:
    try:
        # An ordinary file is new; what is none is there already.
        fresh = os.O_CREAT | os.O_EXCL if not path.exists() else 0
        handle = os.open(path, os.O_WRONLY | fresh, mode)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise InvalidInput([Problem(f"cannot be written: {why}", file=name)]) from None
    with contextlib.ExitStack() as stack:
        raw = open(handle, "wb", buffering=_BUFFER)  # noqa: SIM115, PTH123 - closed just below
        stack.callback(_close, raw)
        yield raw


def _close(raw: BinaryIO) -> None:
    """Close a file whose last bytes may have been refused already."""
    with contextlib.suppress(OSError):
        raw.close()


@contextlib.contextmanager
def _text(raw: BinaryIO, name: str) -> Iterator[TextIO]:
    with contextlib.ExitStack() as stack:
        bytes_to: BinaryIO = raw
        if name.endswith(".gz"):
            packed = gzip.GzipFile("", "wb", _COMPRESSION, fileobj=raw)
            bytes_to = stack.enter_context(packed)  # type: ignore[assignment]
        text = io.TextIOWrapper(bytes_to, encoding="utf-8", newline="\n")
        yield text
        text.detach()
    raw.flush()
