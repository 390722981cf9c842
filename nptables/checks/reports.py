"""Findings in the formats that other programs read: SARIF and the annotations of GitHub."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from nptables.checks.codes import CODES, INVALID_INPUT, LEFT_OUT
from nptables.checks.finding import Code, Finding, Severity, Silence
from nptables.errors import Problem, format_path, printable

_SARIF_LEVELS = {Severity.INFO: "note", Severity.WARNING: "warning", Severity.ERROR: "error"}
_GITHUB_LEVELS = {Severity.INFO: "notice", Severity.WARNING: "warning", Severity.ERROR: "error"}
# Where the documentation is published, such as https://HOST/nptables: nowhere yet. An address that
# a team has published it at is given with --docs-url.
DOCUMENTATION = ""
_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def problem_findings(problems: Iterable[Problem]) -> list[Finding]:
    """What is wrong with the input, as findings: so that their readers hear of it too."""
    return [
        Finding(
            INVALID_INPUT,
            f"{problem.message} ({problem.hint})" if problem.hint else problem.message,
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


def to_sarif(
    findings: Sequence[Finding],
    version: str,
    *,
    paragraphs: Mapping[str, str] | None = None,
    documentation: str = DOCUMENTATION,
) -> dict[str, Any]:
    """The findings as a SARIF 2.1.0 log.

    Args:
        findings: Those that are reported, and silenced ones, which become suppressed results.
        version: That of nptables.
        paragraphs: What the documentation says of each code, as Markdown.
        documentation: The address of the documentation, for links to each check; empty for none.
    """
    used = sorted({finding.what.code for finding in findings})
    texts = paragraphs or {}
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "nptables",
                        "version": version,
                        "rules": [
                            _sarif_rule(CODES[code], texts.get(code, ""), documentation)
                            for code in used
                        ],
                    }
                },
                "results": [_sarif_result(finding, used) for finding in findings],
            }
        ],
    }


def _sarif_rule(code: Code, paragraph: str, documentation: str) -> dict[str, Any]:
    help_ = {"text": code.remedy}
    if paragraph:
        help_ = {"text": _without_marks(paragraph), "markdown": paragraph}
    return {
        "id": code.code,
        "name": code.name,
        "shortDescription": {"text": code.name.replace("-", " ")},
        "fullDescription": {"text": code.effect},
        "help": help_,
        **({"helpUri": help_uri(code, documentation)} if documentation else {}),
        "defaultConfiguration": {"level": _SARIF_LEVELS[code.severity]},
    }


def help_uri(code: Code, documentation: str) -> str:
    """The address of a check's paragraph, by that of the documentation's first page."""
    return f"{documentation.rstrip('/')}/checks.html#{code.code.lower()}-{code.name}"


def _without_marks(paragraph: str) -> str:
    return paragraph.replace("**", "").replace("*", "", 2)


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
        **({"suppressions": [_suppression(finding.silence)]} if finding.silence else {}),
    }


def _suppression(silence: Silence) -> dict[str, str]:
    kind = "inSource" if silence.in_source else "external"
    return {"kind": kind, "justification": f"{silence.reason} ({silence.by})"}


def _said(finding: Finding) -> str:
    """The message, with the set of a tree and the object that it is about, as far as there are.

    What is wrong with a field does not name it, so it goes before the message; others do.
    """
    field = format_path(finding.path) if finding.what in (INVALID_INPUT, LEFT_OUT) else ""
    parts = (finding.set, finding.subject, field, finding.message)
    return ": ".join(part for part in parts if part)


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
