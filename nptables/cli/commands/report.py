"""`nptables report`: a cluster as a page to look at."""

from __future__ import annotations

from typing import Any

import click

from nptables.answering.checking import cluster_findings
from nptables.auditing import Options
from nptables.checks import Finding, arranged
from nptables.cli.cluster_wide import (
    ClusterWide,
    cluster_wide_options,
    nodes_option,
    read_cluster_wide,
)
from nptables.cli.clusters import (
    all_namespaces_option,
    namespace_option,
    services_in,
    shown_namespace,
)
from nptables.cli.completion import FILE
from nptables.cli.files import written
from nptables.cli.fleet.judging import judge_folder
from nptables.cli.fleet.report import Report
from nptables.cli.manifests import asked_node_ports
from nptables.cli.options import manifest_options
from nptables.cli.output import say
from nptables.cli.repository import settings_options
from nptables.cli.versions import asked
from nptables.errors import InvalidInput, Problem
from nptables.reachability import reach
from nptables.reporting import Audit, audit_of, report_page
from nptables.sources import find_config, read_document
from nptables.sources.fleet.locations import Place, place_at
from nptables.sources.fleet.reading import Collection, missing_in
from nptables.words import counted


@click.command("report")
@manifest_options
@cluster_wide_options
@nodes_option
@namespace_option("Only the Services of this namespace.  [default: that of the context, if any]")
@all_namespaces_option("The Services of all namespaces.")
@click.option(
    "--snapshots",
    "folder",
    metavar="DIR",
    type=click.Path(),
    help="What the nodes have, as `nptables audit` takes it: they are judged, and the page shows "
    "the causes.",
)
@click.option(
    "--audit",
    "audit_path",
    type=FILE,
    metavar="FILE",
    help="The output of `nptables audit -o json`: the page shows its causes too.",
)
@click.option(
    "-o",
    "--output",
    default="report.html",
    type=FILE,
    show_default=True,
    metavar="FILE",
    help="The file to write; '-' is standard output.",
)
@settings_options
def command(
    *,
    folder: str | None,
    audit_path: str | None,
    patterns: tuple[str, ...],
    output: str,
    **options: Any,
) -> int:
    """Write one HTML page about a cluster: which nodes answer, every Service, and what is wrong.

    The page is one file that loads nothing else: open it from disk, mail it, or print it.

    \b
    nptables report manifests/ -o report.html
    nptables report --kubeconfig ~/.kube/config -o report.html
    nptables report cluster.json --snapshots fleet/ -o report.html
    """  # noqa: D301 - click takes a backspace for "do not wrap"; a raw string has none
    if folder is not None and audit_path is not None:
        raise click.UsageError("--snapshots and --audit cannot be used together")
    audit = None if audit_path is None else read_document(audit_path, _audit)
    whole = read_cluster_wide(**options)
    if folder is not None:
        audit = _audit_of_folder(place_at(folder), whole, options["config_path"])
    namespace = shown_namespace(whole.cluster)
    services = None if namespace is None else services_in(namespace, whole.cluster)
    found = reach(
        whole.cluster, config=whole.configs, services=services, nodes=whole.nodes(patterns)
    )
    findings = [f for f in _findings(whole) if namespace is None or f.namespace in ("", namespace)]
    page = report_page(
        whole.cluster, whole.configs, found, findings, services=services, audit=audit
    )
    if output == "-":
        click.echo(page, nl=False)
        return 0
    with written(output, mode=0o666) as write:
        write(page.encode("utf-8", "replace").decode())
    say(
        f"{output}: {counted(len(found.rows), 'address', 'addresses')} of Services on "
        f"{counted(len(found.nodes), 'node')}"
    )
    return 0


def _audit(document: Any) -> Audit:
    if not isinstance(document, dict):
        raise InvalidInput(
            [Problem("is not an audit", hint="what `nptables audit -o json` prints")]
        )
    return audit_of(document)


def _audit_of_folder(folder: Place, whole: ClusterWide, config_path: str | None) -> Audit:
    """What an audit of the nodes in a folder finds. Raises KeyboardInterrupt where it was ended."""
    cluster, in_manifests = whole.cluster, whole.loaded.proxy_config
    found = Collection(cluster, (), in_manifests, missing_in(folder, cluster))
    configuration = in_manifests if config_path is None else find_config(config_path).value
    results, complete = judge_folder(found, Options(configuration, asked() or ""), folder)
    if not complete:
        raise KeyboardInterrupt
    return audit_of(Report.of(results).to_json())


def _findings(whole: ClusterWide) -> list[Finding]:
    """The findings of every group of nodes with one configuration, each once."""
    loaded = whole.loaded
    node_ports = asked_node_ports()
    found: dict[Finding, None] = {}
    for config, nodes in whole.by_config:
        found.update(dict.fromkeys(cluster_findings(loaded, [(config, nodes)], node_ports)))
    return arranged(found)
