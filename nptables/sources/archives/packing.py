"""Compressed bytes to those that were compressed, as a stream that is read once."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, Protocol

from nptables.sources.archives.budget import Budget, Damaged, Refused

MAGICS = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
}
_PIECE = 1 << 16
# What `xz -9` and `zstd --long` need; more is asked for by nobody who wants to be understood.
_XZ_MEMORY = 1 << 27
_ZSTD_WINDOW = 27


class Readable(Protocol):
    """What bytes can be read from, in their order."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; fewer only at the end."""

    def skip(self, size: int, /) -> None:
        """Pass over so many bytes. Raises Damaged where there are fewer."""


class Stream:
    """Bytes of a source that gives them in pieces of its own choice."""

    def __init__(self, more: Callable[[], bytes]) -> None:
        self._more = more
        self._held = b""
        self._at = 0

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; fewer only at the end."""
        pieces: list[bytes] = []
        while size:
            if self._at == len(self._held):
                self._held, self._at = self._more(), 0
                if not self._held:
                    break
            piece = self._held[self._at : self._at + size]
            self._at += len(piece)
            size -= len(piece)
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def skip(self, size: int, /) -> None:
        """Pass over so many bytes, without putting them together. Raises Damaged."""
        while size:
            if self._at == len(self._held):
                self._held, self._at = self._more(), 0
                if not self._held:
                    raise Damaged("it ends in the middle")
            step = min(size, len(self._held) - self._at)
            self._at += step
            size -= step


def packing_of(head: bytes) -> str:
    """What the bytes that begin so are compressed with, or an empty string."""
    return next((kind for magic, kind in MAGICS.items() if head.startswith(magic)), "")


def with_head(head: bytes, rest: Readable) -> Stream:
    """The stream again from where its head was read."""
    waiting = [head]

    def more() -> bytes:
        return waiting.pop() if waiting else rest.read(_PIECE)

    return Stream(more)


def unpacked(packed: Readable, packing: str, budget: Budget) -> Stream:
    """What is in a compressed stream, or in several one behind the other.

    Reading raises Damaged for what is cut off or none, and Refused beyond the budget.
    """
    make, errors = _decompressors(packing)
    magic = next(magic for magic, kind in MAGICS.items() if kind == packing)
    return Stream(_Unpacking(packed, make, errors, magic, budget).more)


class _Unpacking:
    def __init__(
        self,
        packed: Readable,
        make: Callable[[], Any],
        errors: tuple[type[Exception], ...],
        magic: bytes,
        budget: Budget,
    ) -> None:
        self._packed = packed
        self._make = make
        self._errors = errors
        self._magic = magic
        self._budget = budget
        self._now: Any = make()
        self._waiting = b""

    def more(self) -> bytes:
        """The next piece, empty at the end."""
        while self._now is not None:
            found = self._step()
            if self._now.eof:
                self._go_on(self._now.unused_data)
            if found:
                self._budget.count_unpacked(len(found))
                return found
        return b""

    def _step(self) -> bytes:
        data, self._waiting = self._waiting, b""
        if not data and self._now.needs_input:
            data = self._packed.read(_PIECE)
            if not data:
                raise Damaged("it ends in the middle of what is compressed")
        try:
            found: bytes = self._now.decompress(data, _PIECE)
        except self._errors as error:
            raise Damaged(f"what is compressed in it is damaged: {error}") from None
        return found

    def _go_on(self, rest: bytes) -> None:
        """Begin the next stream; zeros, and bytes of others, behind the last one end it all."""
        while len(rest) < len(self._magic) and (piece := self._packed.read(_PIECE)):
            rest += piece
        again = rest.startswith(self._magic)
        self._now, self._waiting = (self._make(), rest) if again else (None, b"")


class _Inflating:
    """What zlib has, with the interface that the decompressors of bz2, lzma and zstd share."""

    def __init__(self) -> None:
        import zlib  # noqa: PLC0415 - as the others

        # 16 for the header of gzip, and 15 for the largest window (inflateInit2 in zlib.h).
        self._now = zlib.decompressobj(31)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        """Whether the stream is at its end."""
        return self._now.eof

    @property
    def unused_data(self) -> bytes:
        """What stands behind the stream."""
        return self._now.unused_data

    def decompress(self, data: bytes, most: int) -> bytes:
        """The next bytes."""
        found = self._now.decompress(self._now.unconsumed_tail + data, most)
        # After a full piece zlib may hold more that came of the same input.
        self.needs_input = not self._now.unconsumed_tail and len(found) < most
        return found


def _decompressors(packing: str) -> tuple[Callable[[], Any], tuple[type[Exception], ...]]:
    """What makes a decompressor, and what it raises for damaged bytes.

    The modules are those of the standard library, which a small build of Python may lack.
    """
    try:
        if packing == "gzip":
            return _Inflating, (importlib.import_module("zlib").error,)
        if packing == "bzip2":
            return importlib.import_module("bz2").BZ2Decompressor, (OSError, ValueError)
        if packing == "xz":
            lzma = importlib.import_module("lzma")
            return lambda: lzma.LZMADecompressor(memlimit=_XZ_MEMORY), (lzma.LZMAError,)
        zstd = _zstd()
        window = {zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW}
        return lambda: zstd.ZstdDecompressor(options=window), (zstd.ZstdError,)
    except ImportError:
        extra = ", which comes with the extra `bundles`: pip install 'nptables[bundles]'"
        raise Refused(
            f"is compressed with {packing}, which this Python cannot read"
            + (extra if packing == "zstd" else "")
        ) from None


def _zstd() -> Any:
    """The module of Python 3.14, or the same for those before it."""
    try:
        return importlib.import_module("compression.zstd")
    except ImportError:
        return importlib.import_module("backports.zstd")
