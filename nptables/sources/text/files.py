"""Files and standard input to text."""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Iterator

from nptables.errors import InvalidInput, Problem
from nptables.immutable import frozen

STDIN = "-"
STDIN_NAME = "<stdin>"
SUFFIXES = (".yaml", ".yml", ".json")
# Longest first: the mark of UTF-32 little endian begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_GZIP = b"\x1f\x8b"
# A dump of 10,000 Services with 10 endpoints each has a tenth of this.
MOST_BYTES = 2**30
_PACKED = {
    _GZIP: ("gzip", "zcat"),
    b"BZh": ("bzip2", "bzcat"),
    b"\xfd7zXZ": ("xz", "xzcat"),
    b"\x28\xb5\x2f\xfd": ("zstd", "zstdcat"),
}


@frozen
class Input:
    """The text of one file; `name` is what a message calls it."""

    name: str
    text: str


def read_inputs(*paths: str | os.PathLike[str]) -> Iterator[Input | Problem]:
    """The text of every file that `paths` name, or the problem with it.

    `-` is standard input.
    """
    seen_stdin = False
    for path in [os.fspath(path) for path in paths]:
        if path == STDIN and seen_stdin:
            yield Problem("standard input is read once", hint="write - only once", file=STDIN_NAME)
        else:
            seen_stdin = seen_stdin or path == STDIN
            yield _read(path)


def read_one(path: str | os.PathLike[str]) -> Input:
    """The text of one file; `-` is standard input. Raises InvalidInput."""
    found = _read(os.fspath(path))
    if isinstance(found, Problem):
        raise InvalidInput([found])
    return found


def read_unpacked(path: str | os.PathLike[str], most: int = MOST_BYTES) -> Input:
    """The text of one file that may be compressed with gzip, whatever its name; `-` is stdin.

    `most` is how many bytes it may have unpacked. Raises InvalidInput.
    """
    name, data = _bytes(os.fspath(path))
    if not isinstance(data, Problem):
        data = unpacked(name, data, most)
    found = data if isinstance(data, Problem) else decode(name, data)
    if isinstance(found, Problem):
        raise InvalidInput([found])
    return found


def unpacked(name: str, data: bytes, most: int) -> bytes | Problem:
    """The bytes, or what gzip packed, as far as `most`: a small file must not fill the memory."""
    if not data.startswith(_GZIP):
        return data
    import zlib  # noqa: PLC0415 - most files are not compressed

    # For zlib: a header and a sum as gzip writes them.
    with_header = 16 + zlib.MAX_WBITS
    # In one piece: the file object of the standard library takes half as long again.
    pieces: list[bytes] = []
    left = data
    try:
        while left and (room := most + 1 - sum(map(len, pieces))) > 0:
            member = zlib.decompressobj(with_header)
            pieces.append(member.decompress(left, room))
            if not member.eof and not member.unconsumed_tail:
                raise EOFError
            left = member.unused_data.lstrip(b"\0")
    except (EOFError, zlib.error):
        return Problem(
            "is compressed with gzip, and cut off or damaged", hint="copy it again", file=name
        )
    found = b"".join(pieces)
    if len(found) > most:
        return Problem(
            f"is more than {most // 2**20} MiB unpacked",
            hint="leave out what is not of this node",
            file=name,
        )
    return found


def _read(path: str) -> Input | Problem:
    name, data = _bytes(path)
    return data if isinstance(data, Problem) else decode(name, data)


def _bytes(path: str) -> tuple[str, bytes | Problem]:
    """What a message calls a file, and its bytes."""
    name = STDIN_NAME if path == STDIN else path
    if not path:
        problem = Problem("a file name is empty", hint="name a file, or - for standard input")
        return name, problem
    if path == STDIN and sys.stdin is None:
        return name, Problem("cannot be read: it is closed", file=name)
    try:
        if path == STDIN:
            return name, _standard_input()
        with open(path, "rb") as file:
            return name, file.read()
    except FileNotFoundError:
        return name, Problem("there is no such file", file=name)
    except (OSError, ValueError) as error:
        return name, Problem(f"cannot be read: {_reason(error)}", file=name)


# The standard input that was read, so that a second reader learns why there is nothing left.
_READ: list[object] = []


def _standard_input() -> bytes | Problem:
    data = sys.stdin.buffer.read()
    if not data and sys.stdin in _READ:
        return Problem("standard input is read once", hint="write - only once", file=STDIN_NAME)
    _READ[:] = [sys.stdin]
    return data


def decode(name: str, data: bytes) -> Input | Problem:
    """The text that bytes are, or why they are none; `name` is what a message calls them."""
    for magic, (packing, unpack) in _PACKED.items():
        if data.startswith(magic):
            shown = "FILE" if name == STDIN_NAME else name
            return Problem(
                f"is compressed with {packing}",
                hint=f"unpack it first: {unpack} {shown} | nptables ... -",
                file=name,
            )
    encoding = next((encoding for mark, encoding in _MARKS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        before = data[: error.start]
        return Problem(
            f"is not UTF-8 text: byte 0x{data[error.start]:02x}"
            if encoding == "utf-8"
            else f"is not {encoding.upper().removesuffix('-SIG')} text as its first bytes say",
            hint="save it as UTF-8",
            file=name,
            line=before.count(b"\n") + 1,
            column=len(before) - (before.rfind(b"\n") + 1) + 1,
        )
    del data
    position = text.find("\0")
    if position >= 0:
        return Problem(
            "has a NUL character in it: this is not a text file",
            file=name,
            line=text.count("\n", 0, position) + 1,
            column=position - text.rfind("\n", 0, position),
        )
    return Input(name, text)


def text_of(name: str, data: str | bytes) -> Input | Problem:
    """The text of a file, or why it has none: as if it were read from a disk."""
    # Of ASCII without a NUL there is nothing to find out.
    if isinstance(data, str) and data.isascii() and "\0" not in data:
        return Input(name, data)
    return decode(name, data.encode() if isinstance(data, str) else data)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error)
