"""Every exception a caller of nptables can catch, and the problem they carry.

Errors are few and carry data: code reads the attributes, people read the text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import attrs

from nptables.immutable import frozen

Path = tuple[str | int, ...]


def format_path(path: Path) -> str:
    """The field path as Kubernetes writes it.

    `("spec", "ports", 0)` is `spec.ports[0]`, and
    `("metadata", "labels", "example.com/tier")` is `metadata.labels[example.com/tier]`.
    """
    parts: list[str] = []
    for step in path:
        if isinstance(step, int):
            parts.append(f"[{step}]")
        elif re.fullmatch(_FIELD, step):
            parts.append(f".{step}" if parts else step)
        else:
            parts.append(f"[{step}]")
    return "".join(parts)


# Keys of labels and the like stand in brackets, as the API server writes them.
_FIELD = r"[A-Za-z][A-Za-z0-9_-]*"


@frozen
class Problem:
    """One thing that is wrong with the input, and how to mend it.

    `message` says what is wrong, `hint` what would be right. `index` is the position of the
    object in the input, `path` the field within it; `file`, `line` and `column` (from 1) are
    known where the input was text. `code` names the few problems that programs tell apart:
    `wrong-family`, an endpoint's address that is not of its slice's addressType, and
    `two-backends`, a node whose two backends both hold rules for Services.
    """

    message: str
    hint: str = ""
    code: str = ""
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

    def to_dict(self) -> dict[str, str | int | None]:
        """The problem as JSON has it; `line` and `column` are null where they are not known."""
        return {
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "kind": self.kind,
            "namespace": self.namespace,
            "name": self.name,
            "field": self.field,
            "code": self.code,
            "message": self.message,
            "hint": self.hint,
        }

    def __str__(self) -> str:
        where = self.file or ""
        if where and self.line is not None:
            where += f":{self.line}" + (f":{self.column}" if self.column else "")
        parts = [part for part in (where, self.subject, self.field, self.message) if part]
        text = ": ".join(printable(part) for part in parts)
        return f"{text} ({printable(self.hint)})" if self.hint else text


def printable(text: str, limit: int = 300) -> str:
    """`text` on one line: control characters escaped, and cut where it is very long."""
    if len(text) > limit:
        text = text[:limit] + "…"
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


class NptablesError(Exception):
    """The base of every error that nptables raises on purpose.

    Only an argument that a program has mixed up, such as what is no Family, is a TypeError or a
    ValueError.
    """


class InvalidInput(NptablesError):
    """The objects, the configuration or the facts are wrong; `.problems` has all of it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def in_file(self, file: str | None) -> InvalidInput:
        """The same about a file, where a problem names none."""
        return InvalidInput([attrs.evolve(p, file=p.file or file) for p in self.problems])


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


class IncompleteRuleset(NptablesError):
    """A dump lacks tables that are there; `.tables` names them. An empty table looks the same."""

    exit_code = 2

    def __init__(self, tables: Sequence[str]) -> None:
        self.tables = tuple(tables)
        names = " and ".join(map(printable, tables))
        super().__init__(
            f"the dump has no {names} table: iptables-save cannot print it because it holds a "
            f"native nft rule, so its rules are unknown (`nft list ruleset` on the node shows them)"
        )


class RuleSyntaxError(NptablesError):
    """A rule line cannot be read; `.line` is the whole of it."""

    def __init__(self, message: str, *, line: str) -> None:
        self.message = message
        self.line = line
        super().__init__(f"{message}: {printable(line, 200)}")


class MissingPackage(NptablesError):
    """A Python package that the request needs is not installed; `.package` names it."""

    exit_code = 3

    def __init__(self, package: str, *, extra: str, purpose: str) -> None:
        self.package = package
        super().__init__(f"the package {package} is needed to {purpose}: install nptables[{extra}]")


class ApiServerError(NptablesError):
    """An API server refused, could not be reached, or sent what cannot be understood.

    `.status` is the HTTP status, or 0 where there was no answer; `.retry_after` is how many
    seconds the server asked to wait, or 0.
    """

    exit_code = 3

    def __init__(self, message: str, *, status: int = 0, retry_after: float = 0.0) -> None:
        self.status = status
        self.retry_after = retry_after
        super().__init__(f"the API server: {message}")


class AlreadyRunning(NptablesError):
    """Another agent keeps this node in sync; `.holder` says which, as far as it said so."""

    exit_code = 4

    def __init__(self, message: str, *, holder: str = "") -> None:
        self.holder = holder
        super().__init__(message)


class KernelError(NptablesError):
    """Something about the node's tables did not go as asked; the message says what and why."""


class BackendUnavailable(KernelError):
    """The programs, the package, the rights or the kernel support that are needed are missing."""


class AmbiguousBackend(KernelError):
    """Both backends hold rules for Services, so that only a person can say which one is meant."""


class AnotherProxy(KernelError):
    """A kube-proxy runs on this node and would undo what is applied; `.found` says what runs."""

    def __init__(self, message: str, *, found: str) -> None:
        self.found = found
        super().__init__(message)


class KernelBusy(KernelError):
    """Somebody else is changing the tables; trying again later helps.

    `holder` is the process that holds the lock, as `name (pid)`, or an empty string.
    """

    exit_code = 4

    def __init__(self, message: str, *, holder: str = "") -> None:
        self.holder = holder
        super().__init__(message)


class ReadingStarved(KernelBusy):
    """The tables could not be read, since others change them faster than they can be read.

    `commits` is how many changes there were in the `seconds` that reading was given.
    """

    def __init__(self, message: str, *, commits: int, seconds: float) -> None:
        self.commits = commits
        self.seconds = seconds
        super().__init__(message)


class KernelRefused(KernelError):
    """The kernel, or the program in front of it, refused a change.

    `table` and `step` say which commit it was. `line` is the rule or the command that was refused
    where that is known, `service` the `namespace/name` that it belongs to. `code` is the exit code
    and `stderr` the words of the program beneath.
    """

    def __init__(
        self,
        message: str,
        *,
        table: str = "",
        step: str = "",
        line: str = "",
        service: str = "",
        code: int | None = None,
        stderr: str = "",
    ) -> None:
        self.message = message
        self.table = table
        self.step = step
        self.line = line
        self.service = service
        self.code = code
        self.stderr = stderr
        where = f"{step}: " if step else ""
        whose = f" (of Service {printable(service)})" if service else ""
        what = f": {printable(line)}" if line else ""
        super().__init__(f"{where}{printable(message, 600)}{what}{whose}")


class NotConverged(KernelError):
    """The tables were read back after a change and are not what they should be.

    `difference` is the plan that is still to do.
    """

    def __init__(self, message: str, *, difference: object) -> None:
        self.difference = difference
        super().__init__(message)
