"""Files, directories and standard input to text."""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs

from nptables.errors import InvalidInput, Problem

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
_PACKED = {
    b"\x1f\x8b": ("gzip", "zcat"),
    b"BZh": ("bzip2", "bzcat"),
    b"\xfd7zXZ": ("xz", "xzcat"),
    b"\x28\xb5\x2f\xfd": ("zstd", "zstdcat"),
}


@attrs.frozen
class Input:
    """The text of one file; `name` is what a message calls it."""

    name: str
    text: str


@attrs.frozen
class PassedOver:
    """Files of a directory that are no manifests, and in `text` what they are instead."""

    name: str
    text: str


def read_inputs(*paths: str | os.PathLike[str]) -> Iterator[Input | PassedOver | Problem]:
    """The text of every file that `paths` name, or the problem with it.

    A directory stands for the .yaml, .yml and .json files in it, sorted by name, without those
    of its sub-directories, as `kubectl -f` has it; `-` is standard input. What tools that make
    manifests keep there for themselves is passed over, unless it is named itself.
    """
    seen_stdin = False
    for path in [os.fspath(path) for path in paths]:
        if path == STDIN and seen_stdin:
            yield Problem("standard input is read once", hint="write - only once", file=STDIN_NAME)
        elif path not in ("", STDIN) and _is_directory(path):
            yield from _read_directory(Path(path))
        else:
            seen_stdin = seen_stdin or path == STDIN
            yield _read(path)


def read_one(path: str | os.PathLike[str]) -> Input:
    """The text of one file; `-` is standard input. Raises InvalidInput."""
    found = _read(os.fspath(path))
    if isinstance(found, Problem):
        raise InvalidInput([found])
    return found


def _is_directory(path: str) -> bool:
    try:
        return Path(path).is_dir()
    except ValueError:  # a NUL character in the name
        return False


def _read_directory(directory: Path) -> Iterator[Input | PassedOver | Problem]:
    try:
        entries = sorted(directory.iterdir())
    except OSError as error:
        yield Problem(f"cannot be read: {_reason(error)}", file=str(directory))
        return
    for_tools: set[str] = set()
    for names, tool, command in _for_tools(directory, entries):
        for_tools.update(names)
        listed = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        are = "which is" if len(names) == 1 else "which are"
        yield PassedOver(
            str(directory),
            f"passed over in {directory}: {listed}, {are} for {tool} ({command} | nptables ... -)",
        )
    files = [entry for entry in entries if entry.suffix.lower() in SUFFIXES and not entry.is_dir()]
    for file in files:
        if file.name not in for_tools:
            yield _read(str(file))
    if not files and not for_tools:
        below = any(entry.is_dir() for entry in entries)
        yield Problem(
            f"has no {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]} file in it",
            hint="sub-directories are not searched: name them one by one" if below else "",
            file=str(directory),
        )


_KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_CHART = "Chart.yaml"


def _for_tools(directory: Path, entries: Sequence[Path]) -> Iterator[tuple[list[str], str, str]]:
    """Files that are there for a tool, the tool, and how it is asked for manifests."""
    names = [entry.name for entry in entries if not entry.is_dir()]
    if found := [name for name in names if name in _KUSTOMIZATIONS]:
        yield found, "kustomize", f"kubectl kustomize {directory}"
    if _CHART in names:
        found = [name for name in names if name == _CHART or name.startswith("values.")]
        yield found, "Helm", f"helm template {directory}"
    chart = directory.absolute().parent
    if directory.absolute().name == "templates" and (chart / _CHART).is_file():
        found = [name for name in names if name.lower().endswith(SUFFIXES)]
        yield found, "Helm", f"helm template {chart}"


def _read(path: str) -> Input | Problem:
    name = STDIN_NAME if path == STDIN else path
    if not path:
        return Problem("a file name is empty", hint="name a file, or - for standard input")
    if path == STDIN and sys.stdin is None:
        return Problem("cannot be read: it is closed", file=name)
    try:
        data = sys.stdin.buffer.read() if path == STDIN else Path(path).read_bytes()
    except FileNotFoundError:
        return Problem("there is no such file", file=name)
    except (OSError, ValueError) as error:
        return Problem(f"cannot be read: {_reason(error)}", file=name)
    return _decode(name, data)


def _decode(name: str, data: bytes) -> Input | Problem:
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


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error)
