"""A finding: what is wrong or risky, what happens because of it, and what to do."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from typing import Any

import attrs

from nptables.errors import Path, format_path, printable


class Severity(enum.IntEnum):
    """How bad a finding is: it does no harm yet, it surprises, it breaks traffic."""

    INFO = 1
    WARNING = 2
    ERROR = 3

    @property
    def word(self) -> str:
        """The name in lower case."""
        return self.name.lower()


@attrs.frozen
class Code:
    """A kind of finding. `effect` says what happens because of it, `remedy` what to do."""

    code: str
    name: str
    severity: Severity
    effect: str
    remedy: str


@attrs.frozen
class Finding:
    """One finding about one object: a Node, a Service or a workload; `path` is a field of it.

    `file`, `line` and `column` (from 1) are known where the object was read from text. `fix` is
    what to write, where that is known; `related` is where the other side stands: object, file
    and line. `set` is the set of a tree that it was found in.
    """

    what: Code
    message: str
    kind: str = ""
    namespace: str = ""
    name: str = ""
    path: Path = ()
    file: str | None = None
    line: int | None = None
    column: int | None = None
    fix: str = ""
    related: tuple[tuple[str, str, int | None], ...] = ()
    set: str = ""

    @property
    def remedy(self) -> str:
        """What to do: what to write where that is known, else what helps in general."""
        return f"{self.fix[:1].upper()}{self.fix[1:]}." if self.fix else self.what.remedy

    @property
    def subject(self) -> str:
        """The object as people name it."""
        name = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind} {name}".strip()

    def __str__(self) -> str:
        place = self.file or ""
        if place and self.line is not None:
            place += f":{self.line}"
        field = format_path(self.path)
        parts = [place, f"{self.what.severity.word} {self.what.code}", self.subject, field]
        return ": ".join(printable(part) for part in (*parts, self.message) if part)

    def to_json(self) -> dict[str, Any]:
        """The finding as plain data."""
        return {
            "code": self.what.code,
            "name": self.what.name,
            "severity": self.what.severity.word,
            "kind": self.kind,
            "namespace": self.namespace,
            "object": self.name,
            "field": format_path(self.path),
            "message": self.message,
            "effect": self.what.effect,
            "remedy": self.remedy,
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "related": [
                {"object": subject, "file": file, "line": line}
                for subject, file, line in self.related
            ],
            "set": self.set,
        }


def chosen(
    findings: Iterable[Finding],
    *,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    severity: Severity = Severity.INFO,
) -> list[Finding]:
    """The findings of codes that are selected and not ignored, at least of a severity.

    `select` and `ignore` hold codes, beginnings of codes (`NPT3`) or names; no selection is all.
    """
    return [
        finding
        for finding in findings
        if finding.what.severity >= severity
        and (not select or _fits(finding.what, select))
        and not _fits(finding.what, ignore)
    ]


def _fits(code: Code, wanted: Sequence[str]) -> bool:
    return any(code.code.startswith(word.upper()) or code.name == word for word in wanted if word)
