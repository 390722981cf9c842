"""What an audit found, as text for people and in the formats of programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from nptables.auditing import Cause, NodeResult, Verdict, group_causes, summary
from nptables.checks.finding import Code, Finding
from nptables.cli.codes import SEVERITY_COLOURS
from nptables.cli.forms import FORMS, print_lines
from nptables.cli.forms.form import Findings
from nptables.cli.output import coloured, folded, print_json
from nptables.errors import printable
from nptables.immutable import frozen
from nptables.words import listed

_MOST_NODES = 8
_MOST_SERVICES = 5


@frozen
class Report:
    """The results by name, their causes, and whether all nodes were judged."""

    results: tuple[NodeResult, ...]
    causes: tuple[Cause, ...]
    whole: bool = True

    @staticmethod
    def of(results: Sequence[NodeResult], *, whole: bool = True) -> Report:
        """The report of results in any order."""
        in_order = tuple(sorted(results, key=lambda result: result.name))
        return Report(in_order, group_causes(in_order), whole)

    @property
    def healthy(self) -> bool:
        """Whether no node is other than it should be."""
        return all(result.verdict.healthy for result in self.results)

    def is_on_all(self, code: Code) -> bool:
        """Whether all nodes that can be judged have a cause of this code."""
        judged = [r for r in self.results if r.verdict is not Verdict.UNREADABLE]
        return bool(judged) and all(any(c.code == code for c in r.causes) for r in judged)

    def to_json(self) -> dict[str, Any]:
        """The report as plain data."""
        return {
            "nodes": [result.to_json() for result in self.results],
            "causes": [cause.to_json() for cause in self.causes],
            "summary": {**summary(self.results), "whole": self.whole},
        }

    def findings(self) -> list[Finding]:
        """Each cause on each node that it hits, as a finding."""
        return [
            Finding(cause.code, _said(cause), "Node", "", node)
            for cause in self.causes
            for node in cause.nodes
        ]


def print_report(report: Report, output: str) -> None:
    """Print a report as text, JSON or a page, or in one of the forms for findings."""
    if output == "json":
        print_json(report.to_json())
    elif output == "html":
        # It imports Jinja2, which nobody else here needs.
        from nptables.reporting import audit_of, audit_page  # noqa: PLC0415

        said = _healthy(summary(report.results))
        page = audit_page(audit_of(report.to_json()), said, whole=report.whole)
        click.echo(page, nl=False)
    elif (form := FORMS.get(output)) is not None and form.findings is not None:
        print_lines(form.findings(Findings("nptables audit", report.findings())))
    else:
        for line in _lines(report):
            click.echo(line)


def _said(cause: Cause) -> str:
    services = f"; Services: {listed(cause.services, _MOST_SERVICES)}" if cause.services else ""
    return f"{cause.message}{services}"


def _lines(report: Report) -> Iterator[str]:
    """The worst cause first; the nodes that are right are one line."""
    for cause in report.causes:
        word = cause.code.severity.word
        if coloured():
            word = click.style(word, fg=SEVERITY_COLOURS[cause.code.severity], bold=True)
        nodes = f"{len(cause.nodes)} node{'s' * (len(cause.nodes) > 1)}"
        named = printable(listed(cause.nodes, _MOST_NODES), 2000)
        yield f"{word} {cause.code.code} {cause.code.name}: {nodes}: {named}"
        yield folded(printable(cause.message, 1000), indent="    ", further="")
        if cause.services:
            count = len(cause.services)
            text = printable(listed(cause.services, _MOST_SERVICES), 1000)
            yield folded(f"hits {count} Service{'s' * (count > 1)}: {text}", indent="    ")
        if cause.example:
            yield folded(f"for example {printable(cause.example, 1000)}", indent="    ")
        yield folded(printable(cause.code.effect, 1000), indent="    ", further="")
        yield folded(f"do: {printable(cause.hint, 1000)}", indent="    ")
    yield _healthy(summary(report.results))


def _healthy(counts: Mapping[str, int]) -> str:
    """How many nodes are right, and how many are of each other verdict."""
    right = counts[Verdict.OK.value] + counts[Verdict.COSMETIC.value]
    told = [f"{right} of {counts['nodes']} nodes do what the cluster says"]
    if cosmetic := counts[Verdict.COSMETIC.value]:
        told[0] += f" ({cosmetic} with rules written differently)"
    for verdict, words in (
        (Verdict.DIFFERS, "differ"),
        (Verdict.UNKNOWN, "have Services handled by other programs"),
        (Verdict.UNREADABLE, "cannot be judged"),
    ):
        if count := counts[verdict.value]:
            told.append(f"{count} {words}")
    if counts["inFlight"]:
        told.append(f"up to {counts['inFlight']} Services were changing while a node was read")
    return "; ".join(told)
