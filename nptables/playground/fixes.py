"""Safe changes of a line: what a hint says to write, where it can be about one place only.

Each way looks at the line, at the part of it that is underlined, and at what is said; it gives the
columns (from 0, the end behind the last character) and the text that goes there.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import attrs

# Where in the line, and what to write there.
Change = tuple[int, int, str]

_MEANT = re.compile(r"did you mean ([^\s?]+)\?")
_WRONG = re.compile(r'"([^"\s]+)"')
_NO_QUOTES = re.compile(r"write (\w+) without quotes$")
_FIELD = re.compile(r"write ([A-Za-z][A-Za-z0-9]*: [^\s…]\S*)$")
_QUOTED = re.compile(r'write ("[^"\\…]*")$')
_VALUE = re.compile(r"^(?P<before>\s*(?:- +)*[^\s:#]+: +)(?P<value>\S.*?)\s*$")


@attrs.frozen
class Said:
    """What is said of a part of a line: from `start` to `end`; `field` is the path, or empty."""

    line: str
    start: int
    end: int
    message: str
    hint: str
    field: str = ""


def change_for(said: Said) -> Change | None:
    """The change that a hint names, or None where there is none or it is not certain."""
    return next(filter(None, (way(said) for way in _WAYS)), None)


def _space(said: Said) -> Change | None:
    """`app:web` becomes `app: web`."""
    found = _FIELD.match(said.hint)
    if found is None or "a space is missing after the colon" not in said.message:
        return None
    begin = len(said.line) - len(said.line.lstrip(" -"))
    return begin, len(said.line.rstrip()), found[1]


def _quotes(said: Said) -> Change | None:
    """A value that needs quotes gets them."""
    found, value = _QUOTED.match(said.hint), _VALUE.match(said.line)
    if found is None or value is None or "needs quotes" not in said.message:
        return None
    return value.start("value"), value.end("value"), found[1]


def _no_quotes(said: Said) -> Change | None:
    """A number in quotes loses them."""
    found = _NO_QUOTES.match(said.hint)
    if found is None:
        return None
    return _only(said, rf"([\"']){re.escape(found[1])}\1", found[1])


def _meant(said: Said) -> Change | None:
    """A word that is wrong becomes the one that was most likely meant."""
    found = _MEANT.search(said.hint) or _MEANT.search(said.message)
    if found is None:
        return None
    words = [*_WRONG.findall(said.message), re.split(r"[.\[\]]", said.field.rstrip("]"))[-1]]
    for word in filter(None, words):
        change = _only(said, rf"(?<![\w.-]){re.escape(word)}(?![\w.-])", found[1])
        if change is not None and word != found[1]:
            return change
    return None


_WAYS: tuple[Callable[[Said], Change | None], ...] = (_space, _quotes, _no_quotes, _meant)


def _only(said: Said, pattern: str, text: str) -> Change | None:
    """The text in the place of a pattern that is in the part once."""
    found = list(re.finditer(pattern, said.line[said.start : said.end]))
    if len(found) != 1:
        return None
    return said.start + found[0].start(), said.start + found[0].end(), text
