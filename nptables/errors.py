"""Every exception a caller of nptables can catch, and the problem they carry.

Errors are few and carry data: code reads the attributes, people read the text.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

Path = tuple[str | int, ...]


def format_path(path: Path) -> str:
    """The field path as Kubernetes writes it: `("spec", "ports", 0)` is `spec.ports[0]`."""
    parts: list[str] = []
    for step in path:
        if isinstance(step, int):
            parts.append(f"[{step}]")
        elif parts:
            parts.append(f".{step}")
        else:
            parts.append(step)
    return "".join(parts)


@attrs.frozen
class Problem:
    """One thing that is wrong with the input, and how to mend it.

    `message` says what is wrong, `hint` what would be right. `index` is the position of the
    object in the input, `path` the field within it; `file`, `line` and `column` (from 1) are
    known where the input was text.
    """

    message: str
    hint: str = ""
    kind: str = ""
    namespace: str = ""
    name: str = ""
    path: Path = ()
    index: int | None = None
    file: str | None = None
    line: int | None = None
    column: int | None = None

    @property
    def field(self) -> str:
        """The field path, such as `spec.ports[0].nodePort`, or an empty string."""
        return format_path(self.path)

    @property
    def subject(self) -> str:
        """The object as people name it, such as `Service default/web`, or an empty string."""
        name = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind} {name}".strip()

    def __str__(self) -> str:
        where = self.file or ""
        if where and self.line is not None:
            where += f":{self.line}"
        parts = [part for part in (where, self.subject, self.field, self.message) if part]
        text = ": ".join(printable(part) for part in parts)
        return f"{text} ({printable(self.hint)})" if self.hint else text


def printable(text: str, limit: int = 300) -> str:
    """`text` on one line: control characters escaped, and cut where it is very long."""
    if len(text) > limit:
        text = text[:limit] + "…"
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


class NptablesError(Exception):
    """The base of every error that nptables raises on purpose."""


class InvalidInput(NptablesError):
    """The objects, the configuration or the facts are wrong; `.problems` has all of it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class UnknownNode(InvalidInput):
    """There is no such node; `.known` lists the names that are there."""

    def __init__(self, message: str, *, hint: str = "", known: Sequence[str] = ()) -> None:
        self.known = tuple(known)
        super().__init__([Problem(message, hint=hint, kind="Node")])


class SaveSyntaxError(NptablesError):
    """A text is not what `iptables-save` prints; `.line_number` counts from 1."""

    def __init__(self, message: str, *, line_number: int, line: str) -> None:
        self.message = message
        self.line_number = line_number
        self.line = line
        super().__init__(f"line {line_number}: {message}: {printable(line, 200)}")


class RuleSyntaxError(NptablesError):
    """A rule line cannot be read; `.line` is the whole of it."""

    def __init__(self, message: str, *, line: str) -> None:
        self.message = message
        self.line = line
        super().__init__(f"{message}: {printable(line, 200)}")
