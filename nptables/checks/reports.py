"""Findings in the formats that other programs read: SARIF and the annotations of GitHub."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from nptables.checks.codes import CODES, INVALID_INPUT
from nptables.checks.finding import Finding, Severity
from nptables.errors import Problem, printable

_SARIF_LEVELS = {Severity.INFO: "note", Severity.WARNING: "warning", Severity.ERROR: "error"}
_GITHUB_LEVELS = {Severity.INFO: "notice", Severity.WARNING: "warning", Severity.ERROR: "error"}
_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def problem_findings(problems: Iterable[Problem]) -> list[Finding]:
    """What is wrong with the input, as findings: so that their readers hear of it too."""
    return [
        Finding(
            INVALID_INPUT,
            (f"{problem.field}: " if problem.path else "")
            + (f"{problem.message} ({problem.hint})" if problem.hint else problem.message),
            problem.kind,
            problem.namespace,
            problem.name,
            problem.path,
            problem.file,
            problem.line,
            problem.column,
        )
        for problem in problems
    ]


def to_sarif(findings: Sequence[Finding], version: str) -> dict[str, Any]:
    """The findings as a SARIF 2.1.0 log; `version` is that of nptables."""
    used = sorted({finding.what.code for finding in findings})
    rules = [
        {
            "id": code,
            "name": CODES[code].name,
            "shortDescription": {"text": CODES[code].name.replace("-", " ")},
            "fullDescription": {"text": CODES[code].effect},
            "help": {"text": CODES[code].remedy},
            "defaultConfiguration": {"level": _SARIF_LEVELS[CODES[code].severity]},
        }
        for code in used
    ]
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": "nptables", "version": version, "rules": rules}},
                "results": [_sarif_result(finding, used) for finding in findings],
            }
        ],
    }


def _sarif_result(finding: Finding, used: Sequence[str]) -> dict[str, Any]:
    location: dict[str, Any] = {}
    if finding.subject:
        location["logicalLocations"] = [{"fullyQualifiedName": finding.subject, "kind": "object"}]
    if finding.file is not None:
        physical: dict[str, Any] = {"artifactLocation": {"uri": finding.file}}
        if finding.line is not None:
            physical["region"] = {"startLine": finding.line}
        location["physicalLocation"] = physical
    related = [
        {
            "physicalLocation": {
                "artifactLocation": {"uri": file},
                **({"region": {"startLine": line}} if line is not None else {}),
            },
            "message": {"text": subject},
        }
        for subject, file, line in finding.related
    ]
    return {
        "ruleId": finding.what.code,
        "ruleIndex": used.index(finding.what.code),
        "level": _SARIF_LEVELS[finding.severity],
        "message": {"text": f"{_said(finding)}. {finding.what.effect}"},
        "locations": [location],
        **({"relatedLocations": related} if related else {}),
    }


def _said(finding: Finding) -> str:
    """The message, with the set of a tree and the object that it is about, as far as there are."""
    return ": ".join(part for part in (finding.set, finding.subject, finding.message) if part)


def github_lines(findings: Sequence[Finding]) -> Iterator[str]:
    """The findings as workflow commands."""
    for finding in findings:
        yield workflow_command(
            _GITHUB_LEVELS[finding.severity],
            f"{_said(finding)}. {finding.remedy}",
            title=f"{finding.what.code} {finding.what.name}",
            file=finding.file,
            line=finding.line,
        )


def workflow_command(
    level: str, text: str, *, title: str, file: str | None = None, line: int | None = None
) -> str:
    """One annotation of GitHub; `level` is notice, warning or error, `line` counts from 1."""
    fields = [f"title={_property(title)}"]
    if file is not None:
        fields.insert(0, f"file={_property(file)}")
        if line is not None:
            fields.insert(1, f"line={line}")
    return f"::{level} {','.join(fields)}::{_data(text)}"


def _data(text: str) -> str:
    return printable(text, 2000).replace("%", "%25")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
