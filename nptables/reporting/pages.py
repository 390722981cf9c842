"""The pages: self-contained files in which every name is text, whatever is in it.

A page asks nobody for anything: its policy (Content-Security-Policy) allows no request, and no
script and style but its own, by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import jinja2

from nptables.checks import Finding
from nptables.errors import printable
from nptables.graphs import STYLE, Graph, svg_element
from nptables.model import Cluster
from nptables.reachability import Configs, Contradiction, Reach
from nptables.reporting.audit import Audit
from nptables.reporting.packing import packed
from nptables.reporting.rows import (
    OUTCOME_HEADINGS,
    VERDICT_WORDS,
    MatrixView,
    RowView,
    matrix_view,
    path_views,
)
from nptables.reporting.services import ServicesOf, ServiceView
from nptables.tracing.explanation.words import answer_line, reasons_beside

# More rows than this are unpacked when somebody asks for them.
_ROWS_AT_ONCE = 1500
# With more Services than this their graphs are left out; `nptables graph` draws each.
_MOST_DRAWN = 3000
_MOST_FINDINGS = 100


@cache
def _environment() -> jinja2.Environment:
    found = jinja2.Environment(
        loader=jinja2.PackageLoader("nptables.reporting"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["printable"] = lambda text, most=2000: printable(str(text), most)
    return found


def report_page(
    cluster: Cluster,
    configs: Configs,
    found: Reach,
    findings: Sequence[Finding],
    *,
    services: Collection[tuple[str, str]] | None = None,
    title: str = "Services and the nodes that answer for them",
    audit: Audit | None = None,
) -> str:
    """The report of a cluster: `found` is its matrix, `findings` what is wrong with it.

    `configs` are as in `reach`. `services` are those that are shown, all by default. With an
    `audit` it is shown before the findings.
    """
    drawn = len(cluster.services) <= _MOST_DRAWN
    shown = ServicesOf(cluster, configs, findings, drawn=drawn)
    matrix = matrix_view(found)
    first_node = _first_nodes(cluster, matrix)
    nodes = {name: cluster.node(name) for name in found.nodes}
    keys = sorted(cluster.services if services is None else services)
    views = []
    parts: list[dict[str, str]] = []
    rows_of: dict[tuple[str, str], list[RowView]] = {}
    for row in matrix.rows:
        rows_of.setdefault((row.row.name.namespace, row.row.name.name), []).append(row)
    for number, key in enumerate(keys):
        node = nodes[first_node.get(key, found.nodes[0])]
        view = shown.view(key, number, node)
        together = {view.key: _render("service.html", view=view)}
        together.update(_cell_parts(rows_of.get(key, ())))
        parts.append(together)
        views.append(_listed(view))
    return _page(title, found, matrix, parts, services=views, findings=findings, audit=audit,
                 drawn=drawn)  # fmt: skip


def matrix_page(found: Reach, wrong: Sequence[Contradiction] = (), *, judged: bool = False) -> str:
    """The matrix alone, and where `judged`, which expectations do not hold."""
    matrix = matrix_view(found)
    parts = [dict(_cell_parts([row])) for row in matrix.rows]
    return _page(f"Who answers, from {found.source}", found, matrix, parts, wrong=wrong,
                 judged=judged)  # fmt: skip


def audit_page(audit: Audit, said: str, *, whole: bool = True) -> str:
    """What an audit found, the worst first; `said` is that in one sentence.

    Without `whole` it was ended before all nodes were judged.
    """
    style = _source("page.css")
    return _render(
        "audit.html", title="Audit of the nodes", audit=audit, said=said, whole=whole, linked=False,
        style=style, policy=_policy("", style),
    )  # fmt: skip


def graph_page(graph: Graph, *, down: bool = False) -> str:
    """One graph, with its content in words below."""
    style = _source("page.css") + STYLE
    return _render(
        "graph.html", title=graph.title, graph=graph, svg=svg_element(graph, down=down),
        style=style, policy=_policy("", style),
    )  # fmt: skip


def _page(
    title: str,
    found: Reach,
    matrix: MatrixView,
    parts: Sequence[Mapping[str, str]],
    *,
    services: Sequence[Mapping[str, Any]] = (),
    findings: Sequence[Finding] = (),
    audit: Audit | None = None,
    wrong: Sequence[Contradiction] = (),
    judged: bool = False,
    drawn: bool = True,
) -> str:
    details = packed(parts)
    shown = {fares.value: words for fares, words in VERDICT_WORDS.items()}
    common = {"matrix": matrix, "details": details.where, "linked": bool(services)}
    later = [
        {f"rows{number}": _render("rows.html", rows=rows, **common)}
        for number, rows in enumerate(_pages(matrix.rows[_ROWS_AT_ONCE:]))
    ]
    more = packed(later)
    script, style = _source("page.js"), _source("page.css") + STYLE
    return _render(
        "report.html",
        title=title,
        found=found,
        rows=matrix.rows[:_ROWS_AT_ONCE],
        more=more.texts,
        left=max(0, len(matrix.rows) - _ROWS_AT_ONCE),
        chunks=details.texts,
        services=services,
        findings=_by_code(findings),
        count=len(findings),
        audit=audit,
        wrong=wrong,
        judged=judged,
        drawn=drawn,
        verdicts=_counted(matrix),
        verdict_words=shown,
        namespaces=sorted({row.row.name.namespace for row in matrix.rows}),
        script=script,
        style=style,
        policy=_policy(script, style),
        **common,
    )


def _pages(rows: Sequence[RowView]) -> Iterator[Sequence[RowView]]:
    for first in range(0, len(rows), _ROWS_AT_ONCE):
        yield rows[first : first + _ROWS_AT_ONCE]


def _first_nodes(cluster: Cluster, matrix: MatrixView) -> dict[tuple[str, str], str]:
    """The node that each Service is shown on: the one that its first cell is shown for."""
    found: dict[tuple[str, str], str] = {}
    for view in matrix.rows:
        key = (view.row.name.namespace, view.row.name.name)
        node = view.row.cells[0].trace.node
        if node in cluster.nodes:
            found.setdefault(key, node)
    return found


def _cell_parts(rows: Sequence[RowView]) -> dict[str, str]:
    parts = {}
    for row in rows:
        for view in row.cells:
            if view.key not in parts:
                parts[view.key] = _render(
                    "cell.html", row=row, view=view, answer=answer_line(view.cell.trace),
                    reasons=reasons_beside(view.cell.trace),
                    paths=list(path_views(view.cell)), headings=OUTCOME_HEADINGS,
                )  # fmt: skip
    return parts


def _listed(view: ServiceView) -> dict[str, Any]:
    """What the list of Services has of one: little, since there may be thousands."""
    return {
        "key": view.key,
        "name": view.name,
        "namespace": view.service.namespace,
        "type": view.service.type,
        "endpoints": sum(len(port.endpoints) + port.hidden for port in view.ports),
        "findings": len(view.findings),
    }


def _by_code(findings: Sequence[Finding]) -> list[tuple[Finding, list[Finding], int]]:
    groups: dict[tuple[str, int], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.what.code, finding.severity), []).append(finding)
    return [
        (found[0], found[:_MOST_FINDINGS], max(0, len(found) - _MOST_FINDINGS))
        for found in groups.values()
    ]


def _counted(matrix: MatrixView) -> dict[str, int]:
    """How many cells there are of each verdict, node by node."""
    found: dict[str, int] = {}
    for view in matrix.rows:
        for cell in view.row.cells:
            verdict = cell.fare.fares.value
            found[verdict] = found.get(verdict, 0) + len(cell.nodes)
    return found


def _policy(script: str, style: str) -> str:
    scripts = f"script-src {_hash(script)}; " if script else ""
    return (
        f"default-src 'none'; {scripts}style-src {_hash(style)}; base-uri 'none'; "
        f"form-action 'none'"
    )


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


@cache
def _source(name: str) -> str:
    loader = _environment().loader
    if loader is None:
        raise LookupError(name)
    return loader.get_source(_environment(), name)[0]


def _render(template: str, **values: Any) -> str:
    return _environment().get_template(template).render(**values)
