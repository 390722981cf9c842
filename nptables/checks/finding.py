"""A finding: what is wrong or risky, what happens because of it, and what to do."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from typing import Any

import attrs

from nptables.errors import Path, format_path, printable
from nptables.model.backing import Place


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
class Silence:
    """Why a finding is not reported: the reason that somebody gave, and where it is written.

    `in_source` tells an annotation on the object from what is written elsewhere.
    """

    reason: str
    by: str
    in_source: bool = False


@attrs.frozen
class Finding:
    """One finding about one object: a Node, a Service or a workload; `path` is a field of it.

    `file`, `line` and `column` (from 1) are known where the object was read from text.
    `severity` is that of the code, unless this one is worse or does less harm. `fix` is what to
    write, where that is known; `related` is where the other side stands: object, file and line.
    `set` is the set of a tree that it was found in. `silence` says why it is not reported, if so.
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
    severity: Severity = attrs.field(
        default=attrs.Factory(lambda self: self.what.severity, takes_self=True)
    )
    fix: str = ""
    related: tuple[tuple[str, str, int | None], ...] = ()
    set: str = ""
    silence: Silence | None = None

    @property
    def remedy(self) -> str:
        """What to do: what to write where that is known, else what helps in general."""
        return f"{self.fix[:1].upper()}{self.fix[1:]}." if self.fix else self.what.remedy

    @property
    def subject(self) -> str:
        """The object as people name it."""
        name = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind} {name}".strip()

    def placed(self, place: Place) -> Finding:
        """The finding with file and line of its object or field, where they are known."""
        if not self.kind:
            return self
        found = place(self.kind, self.namespace, self.name, self.path)
        if found is None:
            return self
        return attrs.evolve(self, file=found[0], line=found[1], column=found[2])

    def __str__(self) -> str:
        place = self.file or ""
        if place and self.line is not None:
            place += f":{self.line}"
        field = format_path(self.path)
        parts = [place, f"{self.severity.word} {self.what.code}", self.subject, field]
        return ": ".join(printable(part, 1000) for part in (*parts, self.message) if part)

    def to_json(self) -> dict[str, Any]:
        """The finding as plain data."""
        found: dict[str, Any] = {
            "code": self.what.code,
            "name": self.what.name,
            "severity": self.severity.word,
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
        if self.silence is not None:
            found["ignored"] = {"reason": self.silence.reason, "by": self.silence.by}
        return found


def arranged(findings: Iterable[Finding]) -> list[Finding]:
    """Each finding once, the worst first, then by code and object."""
    return sorted(
        dict.fromkeys(findings),
        key=lambda f: (-f.severity, f.what.code, f.kind, f.namespace, f.name, f.message),
    )


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
        if finding.severity >= severity
        and (not select or any(fits(finding.what, word) for word in select))
        and not any(fits(finding.what, word) for word in ignore)
    ]


def fits(code: Code, word: str) -> bool:
    """Whether a code is meant by a word: the code, a beginning of it (`NPT3`), or its name."""
    return bool(word) and (code.code.startswith(word.upper()) or code.name == word)
