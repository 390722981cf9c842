"""What stands at a path: an archive of any kind, a folder, and archives within those."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import attrs

from nptables.immutable import frozen
from nptables.sources.archives.budget import Budget, Damaged, Refused
from nptables.sources.archives.packing import Readable, Stream, packing_of, unpacked, with_head
from nptables.sources.archives.tar import BLOCK, begins_tar, tar_entries

STDIN = "-"
# The second begins an archive without members.
_ZIPS = (b"PK\x03\x04", b"PK\x05\x06")
_PIECE = 1 << 20
# Members with such names are looked into, and are archives if their contents are.
_SUFFIXES = (".tar", ".tgz", ".txz", ".tbz", ".tbz2", ".tzst", ".zip", ".gz", ".xz", ".bz2", ".zst")
_DEEPEST_FOLDER = 60


@frozen
class Member:
    """A regular file in an archive or a folder.

    `name` is its path, without any way upwards, behind those of the archives that it stands in.
    `modified` is when it was changed, in seconds since the epoch, where the archive says so. It is
    read before the next member is asked for.
    """

    name: str
    size: int
    modified: float | None
    _read: Callable[[int | None], bytes] = attrs.field(repr=False)

    def read(self, most: int | None = None) -> bytes:
        """All of it, or the first bytes. Raises Damaged, and Refused beyond the budget."""
        return self._read(most)


Wanted = Callable[[str], bool]


def is_archive(path: str) -> bool:
    """Whether a file is an archive, by its first bytes; `-` is standard input."""
    try:
        if path == STDIN:
            return begins_archive(_peeked(sys.stdin.buffer))
        file = Path(path)
        if not file.is_file():
            return False
        with file.open("rb") as handle:
            head = handle.read(BLOCK)
            return begins_archive(head + handle.read(_PIECE) if packing_of(head) else head)
    except (OSError, ValueError, AttributeError):
        return False


def archive_members(path: str, wanted: Wanted, budget: Budget) -> Iterator[Member]:
    """The members of an archive or a folder whose names are wanted, in whatever order they come.

    Raises Damaged for an archive that is cut off or none, once everything before was given;
    Refused beyond the budget; and OSError.
    """
    looking = _Looking(wanted, budget)
    if path == STDIN:
        yield from looking.file(sys.stdin.buffer)
    elif Path(path).is_dir():
        yield from looking.folder(path)
    else:
        with Path(path).open("rb") as handle:
            budget.total = os.fstat(handle.fileno()).st_size
            yield from looking.file(handle)


@frozen
class _Looking:
    """Goes through an archive, and those in it."""

    wanted: Wanted
    budget: Budget

    def file(self, handle: BinaryIO) -> Iterator[Member]:
        """The members of an archive in a file."""
        raw = _File(handle, self.budget)
        head = raw.read(BLOCK)
        if head.startswith(_ZIPS):
            if not handle.seekable():
                handle = io.BytesIO(head + self._all("it", raw, self.budget.limits.member))
            yield from self._zip(handle, "", 0)
        elif packing := packing_of(head):
            yield from self._tar(unpacked(with_head(head, raw), packing, self.budget), "", 0)
        elif raw.seekable:
            raw.rewind()
            yield from self._tar(raw, "", 0)
        else:
            yield from self._tar(with_head(head, raw), "", 0)

    def folder(self, root: str) -> Iterator[Member]:
        """The files of a folder; links are not followed."""
        pending = [(root, "", 0)]
        while pending:
            folder, above, depth = pending.pop()
            with os.scandir(folder) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
            pending.extend(
                (entry.path, f"{above}{entry.name}/", depth + 1)
                for entry in reversed(found)
                if entry.is_dir(follow_symlinks=False) and depth < _DEEPEST_FOLDER
            )
            for entry in found:
                if entry.is_file(follow_symlinks=False):
                    self.budget.count_member()
                    name = f"{above}{entry.name}"
                    if self.wanted(name) or _may_be_archive(name):
                        with Path(entry.path).open("rb") as handle:
                            size = os.fstat(handle.fileno()).st_size
                            file = _File(handle, self.budget)
                            yield from self._member(name, size, None, file, 0)

    def _tar(self, stream: Readable, above: str, depth: int) -> Iterator[Member]:
        for entry in tar_entries(stream, self.budget):
            if (name := self._safe(entry.name)) is not None:
                yield from self._member(above + name, entry.size, entry.modified, entry, depth)

    def _zip(self, handle: BinaryIO, above: str, depth: int) -> Iterator[Member]:
        from nptables.sources.archives.zips import zip_entries  # noqa: PLC0415 - seldom needed

        for name, size, stream in zip_entries(handle, self.budget):
            if (safe := self._safe(name)) is not None:
                yield from self._member(above + safe, size, None, stream, depth)

    def _member(
        self, name: str, size: int, modified: float | None, stream: Readable, depth: int
    ) -> Iterator[Member]:
        """A file that is wanted, or those of the archive that it is."""
        if self.wanted(name):
            yield Member(name, size, modified, lambda most: self._read(name, size, stream, most))
        elif _may_be_archive(name) and size > 0:
            yield from self._within(name, size, stream, depth + 1)

    def _within(self, name: str, size: int, stream: Readable, depth: int) -> Iterator[Member]:
        head = stream.read(min(BLOCK, size))
        is_zip, packing = head.startswith(_ZIPS), packing_of(head)
        if not (is_zip or packing or begins_tar(head)):
            return
        if depth > self.budget.limits.nesting:
            self.budget.skipped["archives too deep within others"] += 1
            return
        try:
            if is_zip:
                most = self.budget.limits.member - len(head)
                data = head + self._all(name, stream, most)
                yield from self._zip(io.BytesIO(data), f"{name}/", depth)
                return
            inner: Readable = with_head(head, stream)
            if packing:
                inner = unpacked(inner, packing, self.budget)
                head = inner.read(BLOCK)
                if not begins_tar(head):
                    return
                inner = with_head(head, inner)
            yield from self._tar(inner, f"{name}/", depth)
        except Damaged:
            self.budget.damaged.append(name)

    def _read(self, name: str, size: int, stream: Readable, most: int | None) -> bytes:
        if most is not None:
            self.budget.keep(name, min(size, most))
            return stream.read(most)
        self.budget.keep(name, size)
        return self._all(name, stream, self.budget.limits.member)

    def _all(self, name: str, stream: Readable, most: int) -> bytes:
        pieces, total = [], 0
        while piece := stream.read(_PIECE):
            total += len(piece)
            if total > most:
                raise Refused(f"{name} has more than {self.budget.limits.member // 2**20} MiB")
            pieces.append(piece)
        return b"".join(pieces)

    def _safe(self, name: str) -> str | None:
        """The name without empty parts; None where it leads out of the archive."""
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if not parts or name.startswith("/") or ".." in parts or "\0" in name:
            self.budget.skipped["files whose paths lead outside it"] += 1
            return None
        return "/".join(parts)


class _File:
    """A file that is open, read with its bytes counted."""

    def __init__(self, handle: BinaryIO, budget: Budget) -> None:
        self._handle = handle
        self._budget = budget
        self.seekable = handle.seekable()

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; fewer only at the end."""
        found = self._handle.read(size)
        self._budget.count_read(len(found))
        return found

    def skip(self, size: int, /) -> None:
        """Pass over so many bytes."""
        if self.seekable:
            # To seek beyond the end of a file is no error.
            if self._handle.seek(size, os.SEEK_CUR) > self._budget.total > 0:
                raise Damaged("it ends in the middle")
            self._budget.count_read(size)
            return
        while size:
            piece = self.read(min(size, _PIECE))
            if not piece:
                raise Damaged("it ends in the middle")
            size -= len(piece)

    def rewind(self) -> None:
        """Go back to the beginning."""
        self._handle.seek(0)


def _may_be_archive(name: str) -> bool:
    return name.lower().endswith(_SUFFIXES)


def _peeked(stream: BinaryIO) -> bytes:
    """What a stream begins with, which stays in it."""
    if isinstance(stream, io.BufferedReader):
        return stream.peek(_PIECE)
    if stream.seekable():
        at = stream.tell()
        found = stream.read(_PIECE)
        stream.seek(at)
        return found
    return b""


def begins_archive(head: bytes) -> bool:
    """Whether bytes are the beginning of an archive; of what is packed a megabyte is enough."""
    if head.startswith(_ZIPS) or begins_tar(head):
        return True
    packing = packing_of(head)
    if not packing:
        return False
    waiting = [head]
    try:
        inner = unpacked(Stream(lambda: waiting.pop() if waiting else b""), packing, Budget(""))
        return begins_tar(inner.read(BLOCK))
    except Damaged:
        return False
    except Refused:
        # Nothing here can look into it: whoever reads it says so.
        return True
