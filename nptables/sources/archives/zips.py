"""Zip archives, whose directory stands at their end."""

from __future__ import annotations

import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO, BinaryIO

from nptables.sources.archives.budget import Budget, Damaged, Refused
from nptables.sources.archives.packing import Readable

try:
    from lzma import LZMAError as _LZMAError
except ImportError:  # a small build of Python
    _LZMAError = EOFError  # type: ignore[assignment,misc]

# The directory of a zip archive is read as a whole.
_LARGEST_DIRECTORY = 1 << 26
_PIECE = 1 << 20
# What the module zipfile, and those that it unpacks with, say of what is no zip archive.
_ZIP_ERRORS = (
    zipfile.BadZipFile, EOFError, NotImplementedError, OSError, RuntimeError, ValueError,
    IndexError, KeyError, struct.error, zlib.error, _LZMAError,
)  # fmt: skip


def zip_entries(handle: BinaryIO, budget: Budget) -> Iterator[tuple[str, int, Readable]]:
    """The names, sizes and contents of the files; what is not read is not unpacked either.

    Raises Damaged, and Refused beyond the budget.
    """
    _refuse_large_directory(handle)
    try:
        archive = zipfile.ZipFile(handle)
    except _ZIP_ERRORS as error:
        raise Damaged(f"it is cut off or damaged: {error}") from None
    with archive:
        for info in archive.infolist():
            budget.count_member()
            # Programs on Unix keep the mode of a file there.
            if stat.S_ISLNK(info.external_attr >> 16):
                budget.skipped["links"] += 1
            elif not info.is_dir():
                yield info.filename, info.file_size, _ZipMember(archive, info, budget)


class _ZipMember:
    """A member of a zip archive, opened once it is read."""

    def __init__(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo, budget: Budget) -> None:
        self._archive = archive
        self._info = info
        self._budget = budget
        self._open: IO[bytes] | None = None

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; fewer only at the end. Raises Damaged."""
        try:
            if self._open is None:
                if self._info.flag_bits & 1:
                    raise Refused("is encrypted: unpack it with its password first")
                self._open = self._archive.open(self._info)
                self._budget.count_read(self._info.compress_size)
            found = self._open.read(size)
        except _ZIP_ERRORS as error:
            raise Damaged(f"{self._info.filename} in it is damaged: {error}") from None
        self._budget.count_unpacked(len(found))
        return found

    def skip(self, size: int, /) -> None:
        """Pass over so many bytes."""
        while size and (piece := self.read(min(size, _PIECE))):
            size -= len(piece)


def _refuse_large_directory(handle: BinaryIO) -> None:
    """Look at the end of a zip archive for how large its directory says that it is."""
    length = handle.seek(0, os.SEEK_END)
    # The last record has 22 bytes, and a comment of at most 65,535 behind it (APPNOTE.TXT, 4.3.16).
    handle.seek(max(0, length - (1 << 16) - 22))
    tail = handle.read()
    at = tail.rfind(b"PK\x05\x06")
    size = int.from_bytes(tail[at + 12 : at + 16], "little") if at >= 0 else 0
    # Zip64 has the true size in a record of its own (APPNOTE.TXT, 4.3.14).
    if at >= 0 and size == 0xFFFFFFFF and (at64 := tail.rfind(b"PK\x06\x06")) >= 0:
        size = int.from_bytes(tail[at64 + 40 : at64 + 48], "little")
    handle.seek(0)
    if size > _LARGEST_DIRECTORY:
        raise Refused("has more members than are looked at")
