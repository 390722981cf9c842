"""The sections of the text that deploy/snapshot.sh prints.

Every marker begins with a random number that the first line names: nothing within a section can
look like one.
"""

from __future__ import annotations

import re

from nptables.errors import InvalidInput, Problem
from nptables.immutable import frozen

VERSION = 1

_HEADER = re.compile(r"^nptables-node-text (\d{1,9}) ([0-9a-f]{32})\r?$", re.MULTILINE)
# Before the first line stands at most what kubectl says of itself.
_FIRST = 20_000


@frozen
class Section:
    """A part of the text: what a program or a file said, and how the program ended."""

    name: str
    text: str
    code: int


def is_marked(text: str) -> bool:
    """Whether a text is what deploy/snapshot.sh prints, whole or cut off."""
    return _HEADER.search(text[:_FIRST]) is not None


def read_sections(text: str) -> tuple[list[Section], bool]:
    """The sections that have an end, and whether the text has one.

    Raises InvalidInput where the text is none of deploy/snapshot.sh.
    """
    header = _HEADER.search(text[:_FIRST])
    if header is None:
        raise InvalidInput([
            Problem("this is not output of deploy/snapshot.sh", hint="its first line is missing")
        ])  # fmt: skip
    if int(header[1]) > VERSION:
        raise InvalidInput([
            Problem(
                f"a text of version {header[1]} of deploy/snapshot.sh",
                hint=f"this nptables knows version {VERSION}: take the script that belongs to it",
            )
        ])  # fmt: skip
    if header[0].endswith("\r"):
        # A terminal in between has put a carriage return before every line end.
        text = text.replace("\r\n", "\n")
    return _sections(text[text.index(header[0].rstrip("\r")) :], header[2])


def _sections(text: str, nonce: str) -> tuple[list[Section], bool]:
    """The sections that have an end, and whether the text has one."""
    found: list[Section] = []
    begun: tuple[str, int] | None = None
    marker = f"\n{nonce} "
    at = text.find(marker)
    while at >= 0:
        line_end = text.find("\n", at + 1)
        line = text[at + 1 : line_end if line_end >= 0 else len(text)]
        word, _, rest = line[len(nonce) + 1 :].partition(" ")
        if word == "complete":
            return found, True
        if word == "begin" and line_end >= 0:
            begun = rest, line_end
            # The end of an empty section shares no line end with its beginning.
            at = text.find(marker, line_end)
            continue
        if word == "end" and begun is not None and rest.isascii() and rest.isdigit():
            name, start = begun
            found.append(Section(name, text[start + 1 : at], int(rest[:6])))
            begun = None
        at = text.find(marker, at + 1)
    return found, False
