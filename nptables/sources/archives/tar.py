"""Tar archives, read once from front to end.

The module tarfile of the standard library keeps every header, and reads as much for one as it asks
for: from an archive that somebody sent neither will do. Formats: V7, ustar, GNU, pax.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs

from nptables.sources.archives.budget import Budget, Damaged
from nptables.sources.archives.packing import Readable

BLOCK = 512
_LONGEST_NAME = 1 << 16
_LONGEST_PAX = 1 << 20
# V7 has a NUL there; 7 is a contiguous file, which nobody treats otherwise.
_REGULAR = (b"0", b"\0", b"7")
# What has no contents, whatever its size says: links, devices, folders, pipes.
_EMPTY = (b"1", b"2", b"3", b"4", b"5", b"6")
_KINDS = {b"1": "links", b"2": "links", b"3": "devices", b"4": "devices", b"6": "pipes"}


@attrs.define
class Entry:
    """A regular file in the archive; it is read before the next one is asked for."""

    name: str
    size: int
    modified: float | None
    _stream: Readable = attrs.field(repr=False)
    left: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Nothing has been read."""
        self.left = self.size

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; fewer only at the end. Raises Damaged."""
        wanted = min(size, self.left)
        found = self._stream.read(wanted)
        if len(found) < wanted:
            raise Damaged("it ends in the middle")
        self.left -= wanted
        return found

    def skip(self, size: int, /) -> None:
        """Pass over so many bytes. Raises Damaged."""
        if size > self.left:
            raise Damaged("it ends in the middle")
        self.left -= size
        self._stream.skip(size)


def begins_tar(head: bytes) -> bool:
    """Whether bytes, of which there are at least 512, begin a tar archive."""
    return len(head) >= BLOCK and any(head[:BLOCK]) and _has_checksum(head[:BLOCK])


def tar_entries(stream: Readable, budget: Budget) -> Iterator[Entry]:
    """The regular files of an archive. Raises Damaged, and Refused beyond the budget."""
    told: dict[str, str] = {}
    name = ""
    while block := stream.read(BLOCK):
        if len(block) < BLOCK:
            raise Damaged("it ends in the middle")
        # Two blocks of zeros end an archive, but some programs write one.
        if not any(block):
            return
        if not _has_checksum(block):
            raise Damaged("it is damaged: no file begins where one should")
        kind, size = block[156:157], _number(block[124:136])
        # Headers of pax for the next file and for all, GNU's for a long name and for a link's
        # target.
        if kind in (b"x", b"g", b"L", b"K"):
            data = _header(stream, size, _LONGEST_PAX if kind in b"xg" else _LONGEST_NAME)
            if kind == b"x":
                told = _pax(data)
            elif kind == b"L":
                name = _text(data)
            continue
        budget.count_member()
        size = _told_number(told, "size", size)
        modified = _told_number(told, "mtime", _number(block[136:148]))
        name = told.get("path") or name or _name(block)
        sparse = kind == b"S" or any(key.startswith("GNU.sparse.") for key in told)
        told = {}
        if kind == b"S":
            _skip_map(stream, block)
        entry = Entry(name, 0 if kind in _EMPTY else size, float(modified) or None, stream)
        name = ""
        if kind in _REGULAR and not sparse and not entry.name.endswith("/"):
            yield entry
        elif sparse:
            budget.skipped["sparse files"] += 1
        elif kind in _KINDS:
            budget.skipped[_KINDS[kind]] += 1
        stream.skip(entry.left + -entry.size % BLOCK)
    raise Damaged("it ends without the mark that ends one")


def _has_checksum(block: bytes) -> bool:
    """Whether a header is one: the sum of its bytes stands in it, with blanks in its own place."""
    try:
        expected = _number(block[148:156])
    except Damaged:
        return False
    rest = block[:148] + b" " * 8 + block[156:]
    # Some old programs summed signed bytes, and GNU tar takes both.
    return expected in (sum(rest), sum(rest) - 256 * sum(byte > 127 for byte in rest))


def _number(field: bytes) -> int:
    # GNU's form for large numbers: the first bit says that the others are binary.
    if field[0] & 0x80:
        found = int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
        if field[0] & 0x40 or found >= 1 << 62:
            # Less than zero, or more than any file has: a time before 1970 is not needed.
            return 0
        return found
    text = field.split(b"\0", 1)[0].strip()
    try:
        return int(text or b"0", 8)
    except ValueError:
        raise Damaged("it is damaged: a header has no number where one should be") from None


def _told_number(told: Mapping[str, str], key: str, usual: int) -> int:
    text = told.get(key, "").partition(".")[0]
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else usual


def _header(stream: Readable, size: int, most: int) -> bytes:
    if size > most:
        raise Damaged("it is damaged: a name in it is longer than any file's")
    data = stream.read(size + -size % BLOCK)
    if len(data) < size:
        raise Damaged("it ends in the middle")
    return data[:size]


def _pax(data: bytes) -> dict[str, str]:
    """Records of length, key and value, such as `17 path=web.yaml`; what is none ends them."""
    found = {}
    at = 0
    while at < len(data):
        digits, blank, _ = data[at : at + 20].partition(b" ")
        if not blank or not digits.isdigit() or int(digits) <= len(digits) + 1:
            break
        record = data[at + len(digits) + 1 : at + int(digits) - 1]
        key, _, value = record.partition(b"=")
        found[_text(key)] = _text(value)
        at += int(digits)
    return found


def _skip_map(stream: Readable, block: bytes) -> None:
    """Pass over the further maps of a sparse file, which stand before its contents."""
    extended = block[482]
    while extended:
        block = stream.read(BLOCK)
        if len(block) < BLOCK:
            raise Damaged("it ends in the middle")
        extended = block[504]


def _name(block: bytes) -> str:
    name, prefix = _text(block[:100]), ""
    # GNU's own header has blanks there, and other fields in place of the prefix.
    if block[257:263] == b"ustar\0":
        prefix = _text(block[345:500])
    return f"{prefix}/{name}" if prefix else name


def _text(data: bytes) -> str:
    return data.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")
