"""Where something is underlined, and how it can be mended: ranges of the texts of a state."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import attrs

from nptables.checks import Finding
from nptables.errors import Problem
from nptables.playground.fixes import Said, change_for
from nptables.playground.protocol import Fix, Mark
from nptables.playground.state import CONFIG, FACTS, State
from nptables.playground.words import for_page

# A key, or an item of a list, and its value, as far as both stand on one line.
_FIELD = re.compile(
    r"""(?:-\s+)*                                     # items of lists
        (?:"[^"]*"|'[^']*'|[^\s:#"'\[\]{},][^:#"'\[\]{},]*)   # the key, or a value alone
        (?::(?=[\s"'\[{]|$)\s*(?:"[^"]*"|'[^']*'|[^\s#\[\]{},][^#\[\]{},]*)?)?  # its value
    """,
    re.VERBOSE,
)


@attrs.frozen
class Range:
    """A part of one line; the end is behind the last character."""

    file: str
    line: int
    column: int
    end: int


@attrs.frozen
class Marker:
    """Finds the ranges in the texts of a state, by the names of the files."""

    texts: Mapping[str, str]
    _lines: dict[str, Sequence[str]] = attrs.field(factory=dict)

    @classmethod
    def of(cls, state: State) -> Marker:
        """For the files, the configuration and the facts of a state."""
        texts = {held.name: held.data for held in state.files if isinstance(held.data, str)}
        return cls({CONFIG: state.config, FACTS: state.facts, **texts})

    def of_finding(self, finding: Finding, number: int) -> Mark | None:
        """What is underlined of a finding, or None where it stands in no text."""
        place = self._range(finding.file, finding.line, finding.column)
        if place is None:
            return None
        fix = self._fix(place, finding.message, finding.fix)
        return _mark(place, finding.severity.word, finding.message, number, fix)

    def of_problem(self, problem: Problem) -> Mark | None:
        """What is underlined of a problem with the input, or None where it stands in no text."""
        place = self._range(problem.file, problem.line, problem.column)
        if place is None:
            return None
        said = f"{problem.message} ({problem.hint})" if problem.hint else problem.message
        field = problem.field
        return _mark(
            place,
            "error",
            f"{field}: {said}" if field else said,
            None,
            self._fix(place, problem.message, problem.hint, field),
        )

    def _text(self, file: str, line: int) -> str | None:
        if file not in self._lines:
            if file not in self.texts:
                return None
            self._lines[file] = self.texts[file].split("\n")
        lines = self._lines[file]
        return lines[line - 1].rstrip("\r") if 0 < line <= len(lines) else None

    def _range(self, file: str | None, line: int | None, column: int | None) -> Range | None:
        if file is None or line is None:
            return None
        text = self._text(file, line)
        if text is None:
            return None
        start = min(column - 1 if column else len(text) - len(text.lstrip()), len(text))
        found = _FIELD.match(text, start)
        end = found.end() if found else len(text)
        end = start + len(text[start:end].rstrip())
        if end <= start:
            start, end = len(text) - len(text.lstrip()), len(text.rstrip())
        return Range(file, line, start + 1, max(end, start) + 1)

    def _fix(self, place: Range, message: str, hint: str, field: str = "") -> Fix | None:
        """The change that a hint names, where it is certain."""
        line = self._text(place.file, place.line) or ""
        said = Said(line, place.column - 1, place.end - 1, message, hint, field)
        change = change_for(said)
        if change is None:
            return None
        start, end, text = change
        return {
            "title": f"write {text}",
            "file": place.file,
            "line": place.line,
            "column": start + 1,
            "endLine": place.line,
            "endColumn": end + 1,
            "text": text,
        }


def _mark(place: Range, severity: str, message: str, number: int | None, fix: Fix | None) -> Mark:
    return {
        "file": place.file,
        "line": place.line,
        "column": place.column,
        "endLine": place.line,
        "endColumn": place.end,
        "severity": severity,  # type: ignore[typeddict-item]
        "message": for_page(message),
        "finding": number,
        "fix": fix,
    }
