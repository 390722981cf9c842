"""A baseline: known findings, which no longer fail a check.

It is what `check -o json` prints, or `--write-baseline` writes. Findings are the same whatever line
they stand in: code, object, field and set of a tree tell them apart. Where several have all of that
in common, as many pass as the baseline has, those with the same message first. One that is worse
than it was is new.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs

from nptables.checks.finding import Finding, Severity, Silence
from nptables.errors import InvalidInput, Problem, format_path, printable

_KEYS = ("code", "kind", "namespace", "object", "field", "set")
_TEXTS = (*_KEYS, "message", "severity")
_NEEDED = ("code", "severity")
Key = tuple[str, ...]


@attrs.frozen
class Entry:
    """A finding of a baseline."""

    key: Key
    message: str
    severity: Severity

    def to_json(self) -> dict[str, str]:
        """The entry as plain data."""
        named = dict(zip(_KEYS, self.key, strict=True))
        return {**named, "severity": self.severity.word, "message": self.message}

    def __str__(self) -> str:
        code, kind, namespace, name, _, within = self.key
        subject = f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"
        return printable(": ".join(filter(None, (within, f"{code} {subject}".strip()))), 300)


@attrs.frozen
class Baseline:
    """The findings that are let pass; `name` says where they are written."""

    entries: tuple[Entry, ...]
    name: str

    @classmethod
    def read(cls, document: Any, name: str) -> Baseline:
        """The baseline in what `check -o json` printed. Raises InvalidInput for anything else."""
        listed = document.get("findings") if isinstance(document, Mapping) else None
        if not isinstance(listed, list):
            raise InvalidInput([
                Problem(
                    "is not a baseline",
                    hint="write one with nptables check --write-baseline",
                    file=name,
                )
            ])  # fmt: skip
        return cls(tuple(_entry(one, i, name) for i, one in enumerate(listed)), name)

    @property
    def _silence(self) -> Silence:
        return Silence("it was there before", f"baseline {printable(self.name)}")

    def has(self, finding: Finding) -> bool:
        """Whether it is this baseline that lets a finding pass."""
        return finding.silence == self._silence

    def applied(self, findings: Iterable[Finding]) -> tuple[list[Finding], tuple[Entry, ...]]:
        """The findings, the old ones silenced, and the entries that no finding has any more.

        What is silenced already counts as found, and stays as it is.
        """
        found = list(findings)
        left: dict[Key, list[Entry]] = {}
        for entry in self.entries:
            left.setdefault(entry.key, []).append(entry)
        # The worst choose first, since the fewest entries will do for them.
        open_ones = sorted(range(len(found)), key=lambda position: -found[position].severity)
        for fits in (_is_same, _has_same_message, _is_no_worse):
            open_ones = [
                position for position in open_ones if not _taken(found[position], left, fits)
            ]
        silence = self._silence
        for position in set(range(len(found))) - set(open_ones):
            if found[position].silence is None:
                found[position] = attrs.evolve(found[position], silence=silence)
        return found, tuple(entry for entries in left.values() for entry in entries)


def _is_no_worse(finding: Finding, entry: Entry) -> bool:
    return finding.severity <= entry.severity


def _has_same_message(finding: Finding, entry: Entry) -> bool:
    return finding.message == entry.message and _is_no_worse(finding, entry)


def _is_same(finding: Finding, entry: Entry) -> bool:
    return finding.message == entry.message and finding.severity is entry.severity


def _taken(
    finding: Finding, left: dict[Key, list[Entry]], fits: Callable[[Finding, Entry], bool]
) -> bool:
    """Whether an entry that is left stands for a finding; then it is left no more."""
    entries = left.get(key_of(finding), [])
    fitting = [entry for entry in entries if fits(finding, entry)]
    if fitting:
        entries.remove(min(fitting, key=lambda entry: entry.severity))
    return bool(fitting)


def key_of(finding: Finding) -> Key:
    """What tells a finding from others, wherever it stands."""
    field = format_path(finding.path)
    return (
        finding.what.code, finding.kind, finding.namespace, finding.name, field, finding.set,
    )  # fmt: skip


def baseline_document(findings: Sequence[Finding]) -> dict[str, Any]:
    """Findings as a baseline keeps them: without lines, which change with everything above."""
    return {
        "findings": [
            {key: value for key, value in finding.to_json().items() if key in _TEXTS}
            for finding in findings
        ]
    }


def _entry(value: Any, position: int, name: str) -> Entry:
    texts = {key: value.get(key, "") for key in _TEXTS} if isinstance(value, Mapping) else {}
    severities = {severity.word: severity for severity in Severity}
    if (
        any(not isinstance(text, str) for text in texts.values())
        or not all(texts.get(key) for key in _NEEDED)
        or texts["severity"] not in severities
    ):
        path = ("findings", position)
        hint = f"it has at least {', '.join(_NEEDED)}"
        raise InvalidInput(
            [Problem("is not a finding of `check -o json`", hint, path=path, file=name)]
        )
    return Entry(
        tuple(texts[key] for key in _KEYS), texts["message"], severities[texts["severity"]]
    )
