"""`nptables report`: a cluster as a page to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from nptables.checks import Finding, arranged, check_cluster
from nptables.cli.cluster_wide import (
    ClusterWide,
    cluster_wide_options,
    nodes_option,
    read_cluster_wide,
)
from nptables.cli.options import manifest_options
from nptables.cli.output import say
from nptables.errors import InvalidInput, Problem
from nptables.reachability import reach
from nptables.reporting import Audit, audit_of, report_page
from nptables.sources import read_document


@click.command("report")
@manifest_options
@cluster_wide_options
@nodes_option
@click.option(
    "--audit",
    "audit_path",
    metavar="FILE",
    help="What `nptables audit -o json` printed: its causes are shown too.",
)
@click.option(
    "-o",
    "--output",
    default="report.html",
    show_default=True,
    metavar="FILE",
    help="Where the page goes; '-' is standard output.",
)
def command(
    *, audit_path: str | None, patterns: tuple[str, ...], output: str, **options: Any
) -> int:
    """Write one page about a cluster: who answers on which node, each Service, and what is wrong.

    The page needs nothing else: it opens from disk, asks nobody for anything, and can be printed.

    \b
    nptables report manifests/ -o report.html
    nptables report --kubeconfig ~/.kube/config -o report.html
    """  # noqa: D301 - click takes a backspace for "do not wrap"; a raw string has none
    audit = None if audit_path is None else read_document(audit_path, _audit)
    whole = read_cluster_wide(**options)
    found = reach(whole.cluster, config=whole.configs, nodes=whole.nodes(patterns))
    page = report_page(whole.cluster, whole.configs, found, _findings(whole), audit=audit)
    if output == "-":
        click.echo(page, nl=False)
        return 0
    try:
        Path(output).write_text(page, encoding="utf-8", errors="replace")
    except OSError as error:
        wrong = Problem(f"cannot be written: {error.strerror}", file=output)
        raise InvalidInput([wrong]) from None
    say(f"{output}: {len(found.rows)} addresses of Services on {len(found.nodes)} nodes")
    return 0


def _audit(document: Any) -> Audit:
    if not isinstance(document, dict):
        raise InvalidInput([Problem("is no audit", hint="what `nptables audit -o json` prints")])
    return audit_of(document)


def _findings(whole: ClusterWide) -> list[Finding]:
    """The findings of every group of nodes with one configuration, each once."""
    loaded = whole.loaded
    found: dict[Finding, None] = {}
    for config, nodes in whole.by_config:
        judged = check_cluster(loaded.cluster, config, nodes=nodes, place=loaded.place)
        found.update(dict.fromkeys(judged))
    return arranged(found)
