"""Why a YAML text does not parse, in words that say how to mend it.

The parser knows what it stumbled over, rarely why. The reason is read off the line itself and
the lines around it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from nptables.errors import Problem, printable
from nptables.immutable import frozen

_KEY = re.compile(r"^( *)(- +)*([^\s#:'\"\[\]{}-][^#:'\"\[\]{}]*):(?:\s|$)")
_KEY_AND_VALUE = re.compile(r"^( *)(?:- +)*([^\s#:'\"\[\]{}-][^#:'\"\[\]{}]*): +([^\s#].*)$")
_NO_SPACE = re.compile(r"^\s*(?:- +)*([A-Za-z][A-Za-z0-9]*):([^\s/:][^:]*)$")
_TEMPLATE = re.compile(r"{{|{%")


@frozen
class _Mistake:
    """What the parser said, where, and the text around it; lines count from 0."""

    said: str
    line: int
    column: int
    began: int
    lines: Sequence[str]

    @property
    def text(self) -> str:
        """The line at which the parser stopped."""
        return self.lines[self.line] if self.line < len(self.lines) else ""

    @property
    def above(self) -> int:
        """The nearest line above in the document that says anything, or -1."""
        if self.text.startswith("---"):
            return -1
        number = min(self.line, len(self.lines)) - 1
        while number >= 0 and not self.lines[number].partition("#")[0].strip():
            number -= 1
        return number


# The words, the hint, and the line and column where they differ from the parser's.
_Words = tuple[str, str, int | None]
_NO_WORDS: _Words = ("", "", None)


def in_words(error: Any, lines: Sequence[str], first_line: int = 0) -> Problem:
    """The problem behind an error of the YAML parser; `first_line` is where its text began."""
    mistake = _mistake(error, lines, first_line)
    for explain in _EXPLANATIONS:
        message, hint, line = explain(mistake)
        if message:
            at = mistake.line if line is None else line
            column = mistake.column if line is None else _indent(lines[line]) if lines else 0
            return Problem(f"YAML: {message}", hint=hint, line=at + 1, column=column + 1)
    return Problem(
        f"YAML: {printable(mistake.said, 120)}", line=mistake.line + 1, column=mistake.column + 1
    )


def _mistake(error: Any, lines: Sequence[str], first_line: int) -> _Mistake:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is None:
        said = getattr(error, "reason", "") or str(error).partition("\n")[0]
        line, column = _find_control(lines)
        return _Mistake(str(said), line, column, line, lines)
    context = getattr(error, "context_mark", None) or mark
    said = " ".join(
        filter(None, (getattr(error, "context", None), getattr(error, "problem", None)))
    )
    line = min(mark.line + first_line, max(len(lines) - 1, 0))
    return _Mistake(said, line, mark.column, min(context.line + first_line, line), lines)


def _find_control(lines: Sequence[str]) -> tuple[int, int]:
    for number, line in enumerate(lines):
        for column, char in enumerate(line):
            if not char.isprintable() and char not in "\t\x85\xa0\u2028\u2029":
                return number, column
    return 0, 0


def _control(mistake: _Mistake) -> _Words:
    if "control characters" not in mistake.said and "not allowed" not in mistake.said.split("(")[0]:
        return _NO_WORDS
    if "special characters" in mistake.said or "control characters" in mistake.said:
        return "the text contains a control character", "remove it", None
    return _NO_WORDS


def _template(mistake: _Mistake) -> _Words:
    for number in (mistake.line, mistake.began, mistake.above):
        if 0 <= number < len(mistake.lines) and _TEMPLATE.search(mistake.lines[number]):
            return (
                "this is a template, not a manifest",
                "render it first, for example with `helm template`",
                number,
            )
    return _NO_WORDS


def _conflict_marker(mistake: _Mistake) -> _Words:
    for number in (mistake.line, mistake.above):
        if 0 <= number < len(mistake.lines) and mistake.lines[number].startswith(
            ("<<<<<<< ", "=======", ">>>>>>> ")
        ):
            return "a merge conflict of git is still in the file", "resolve it", number
    return _NO_WORDS


def _tab(mistake: _Mistake) -> _Words:
    # The parser may only notice a line later that a tab is no indentation.
    for number in (mistake.line, mistake.above):
        if number < 0 or number >= len(mistake.lines):
            continue
        line = mistake.lines[number]
        if "\t" in line[: len(line) - len(line.lstrip())]:
            return "a tab indents this line", "YAML takes spaces only", number
    return _NO_WORDS


def _deeper_than_a_value(mistake: _Mistake) -> _Words:
    """`selector:` indented under `type: NodePort`, which has its value already."""
    if "mapping values are not allowed" not in mistake.said or mistake.above < 0:
        return _NO_WORDS
    here = _KEY.match(mistake.text)
    above = _KEY_AND_VALUE.match(mistake.lines[mistake.above])
    if not here or not above or mistake.text[: mistake.column].count(":"):
        return _NO_WORDS
    if _indent(mistake.text) <= _indent(mistake.lines[mistake.above]):
        return _NO_WORDS
    key, holder, value = (printable(t.strip(), 40) for t in (here[3], above[2], above[3]))
    return (
        f'"{key}:" is indented under "{holder}: {value}", which has its value already',
        f'begin "{key}:" in the same column as "{holder}:"',
        mistake.line,
    )


def _two_colons(mistake: _Mistake) -> _Words:
    if "mapping values are not allowed" not in mistake.said:
        return _NO_WORDS
    above = _NO_SPACE.match(mistake.lines[mistake.above]) if mistake.above >= 0 else None
    if above:
        return (
            "a space is missing after the colon",
            f"write {above[1]}: {printable(above[2], 40)}",
            mistake.above,
        )
    value = _KEY_AND_VALUE.match(mistake.text)
    if value and ":" in value[3]:
        text = printable(value[3].strip(), 60)
        return "a value with a colon and a space in it needs quotes", f'write "{text}"', None
    alone = mistake.lines[mistake.above].strip() if mistake.above >= 0 else ":"
    if ":" not in alone and not alone.startswith("-"):
        return (
            f'"{printable(alone, 40)}" is neither "key: value" nor a list item',
            "add the colon",
            mistake.above,
        )
    return "a colon stands where no field can begin", "check the indentation of this line", None


def _list_on_the_line(mistake: _Mistake) -> _Words:
    if "sequence entries are not allowed" not in mistake.said:
        return _NO_WORDS
    if _KEY_AND_VALUE.match(mistake.text):
        return (
            'a list item ("- ") cannot stand on the line of its key',
            "begin it on the next line",
            None,
        )
    return (
        'a list item ("- ") stands where the line above has its value already',
        "check the indentation of this line and of the one above",
        None,
    )


def _unclosed(mistake: _Mistake) -> _Words:
    for opened, closing in (("{", "}"), ("[", "]")):
        if f"'{closing}'" in mistake.said:
            line = mistake.began
            return (
                f'"{opened}" is not closed, or an item in it is not followed by a comma',
                f'add "{closing}" or the comma',
                line,
            )
    return _NO_WORDS


def _quote(mistake: _Mistake) -> _Words:
    if "quoted scalar" in mistake.said and (
        "end of stream" in mistake.said or "document" in mistake.said
    ):
        return "a quote is opened here and never closed", "add the closing quote", mistake.began
    if "unknown escape character" in mistake.said or "hexadecimal" in mistake.said:
        return (
            "a backslash in double quotes begins an escape that YAML does not know",
            "use single quotes, or write \\\\",
            None,
        )
    if "did not find expected key" in mistake.said or "block end" in mistake.said:
        value = _KEY_AND_VALUE.match(mistake.text)
        if value and value[3][0] in "'\"":
            return "something follows the closing quote", "put the whole value in quotes", None
    return _NO_WORDS


def _first_character(mistake: _Mistake) -> _Words:
    char = mistake.text[mistake.column : mistake.column + 1]
    starts = "cannot start any token" in mistake.said
    star = "while scanning an alias" in mistake.said or "while scanning an anchor" in mistake.said
    if not starts and not star:
        return _NO_WORDS
    if star:
        value = _KEY_AND_VALUE.match(mistake.text)
        text = printable((value[3] if value else mistake.text).strip(), 60)
        return "a value that begins with * or & needs quotes", f'write "{text}"', None
    shown = printable(char, 5)
    return f"a value cannot begin with {shown}", "put it in quotes", None


def _no_colon(mistake: _Mistake) -> _Words:
    if "could not find expected ':'" not in mistake.said and "':'" not in mistake.said:
        return _NO_WORDS
    line = mistake.began
    text = printable(mistake.lines[line].strip(), 40) if mistake.lines else ""
    key = re.match(r"([A-Za-z]+):\S", text)
    if key:
        return (
            "a space is missing after the colon",
            f"write {key[1]}: {text[key.end() - 1 :]}",
            line,
        )
    return f'"{text}" is neither "key: value" nor a list item', "add the colon, or indent it", line


def _indentation(mistake: _Mistake) -> _Words:
    if "'-' indicator" in mistake.said:
        return (
            "a field begins in the column of a list's items",
            'indent it under its item, or begin it with "- "',
            None,
        )
    if "did not find expected key" in mistake.said or "block end" in mistake.said:
        here, above = _indent(mistake.text), mistake.above
        if mistake.text.lstrip().startswith("- "):
            return (
                'a list item ("- ") stands among fields',
                "indent it like the other items of its list",
                None,
            )
        if above >= 0 and here < _indent(mistake.lines[above]):
            return (
                "this line is indented less than the one above, and like none before it",
                "begin it in the column of the field it belongs beside",
                None,
            )
        return (
            "this line does not fit the indentation of those above it",
            "begin it in the column of the field it belongs beside",
            None,
        )
    if "document start" in mistake.said:
        return "something follows the end of the document", 'begin a new document with "---"', None
    if "expected node content" in mistake.said or "expected the node content" in mistake.said:
        return "a value is missing here", "two commas in a row, or a bracket too many?", None
    return _NO_WORDS


# The surest signs first: the parser says the same of many mistakes.
_EXPLANATIONS: tuple[Callable[[_Mistake], _Words], ...] = (
    _control,
    _template,
    _conflict_marker,
    _tab,
    _deeper_than_a_value,
    _two_colons,
    _list_on_the_line,
    _quote,
    _unclosed,
    _first_character,
    _no_colon,
    _indentation,
)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
