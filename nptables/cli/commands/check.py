"""`nptables check`: find mistakes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

import nptables
from nptables.checks import Finding, Severity, check_cluster, check_node, chosen
from nptables.checks.reports import github_lines, to_sarif
from nptables.cli.options import (
    family_options,
    find_configuration,
    manifest_options,
    node_options,
    read_inputs,
    read_manifests,
)
from nptables.cli.output import coloured, print_json
from nptables.cli.versions import asked, config_for
from nptables.errors import printable
from nptables.model import Node, ProxyConfig
from nptables.model.kubeproxy import Version
from nptables.sources import FoundConfig

_COLOURS = {Severity.INFO: "cyan", Severity.WARNING: "yellow", Severity.ERROR: "red"}


@click.command("check")
@manifest_options
@node_options
@family_options("both")
@click.option("--live", is_flag=True, help="Also look at the tables and settings of this node.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json", "sarif", "github"]),
    default="text",
    show_default=True,
)
@click.option("--select", multiple=True, metavar="CODE", help="Only these codes, such as NPT1.")
@click.option("--ignore", multiple=True, metavar="CODE", help="All but these codes.")
@click.option(
    "--severity",
    type=click.Choice(["info", "warning", "error"]),
    default="info",
    show_default=True,
    help="Leave out what is less than this.",
)
@click.option("--exit-zero", is_flag=True, help="Exit 0 whatever is found.")
def command(
    *,
    live: bool,
    output: str,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    severity: str,
    exit_zero: bool,
    **options: Any,
) -> int:
    """Find mistakes in manifests, and with --live on this node; exit 1 if there are any.

    Without --node every Node in the input is looked at. docs/checks.md has a paragraph for
    each code.
    """
    found = chosen(
        _findings(live=live, **options),
        select=_listed(select),
        ignore=_listed(ignore),
        severity=Severity[severity.upper()],
    )
    if output == "json":
        print_json({"findings": [finding.to_json() for finding in found]})
    elif output == "sarif":
        print_json(to_sarif(found, nptables.__version__))
    elif output == "github":
        for line in github_lines(found):
            click.echo(line)
    else:
        _print(found)
    return 1 if found and not exit_zero else 0


def _listed(words: tuple[str, ...]) -> list[str]:
    """Codes of an option that may be repeated, and may hold commas."""
    return [code.strip() for word in words for code in word.split(",")]


def _findings(*, live: bool, **options: Any) -> Iterator[Finding]:
    if live or options["node_name"] is not None:
        inputs = read_inputs(**options, live=live)
        loaded, looked_at = inputs.loaded, [(inputs.config, [inputs.node])]
    else:
        loaded = read_manifests(options["files"], options["more_files"], lenient=options["lenient"])
        found = find_configuration(options["config_path"], loaded.proxy_config)
        looked_at = list(_by_version(found, list(loaded.cluster.nodes.values())))
    found_so_far = {
        finding: None
        for config, nodes in looked_at
        for finding in check_cluster(
            loaded.cluster, config, nodes=nodes, pods=loaded.pods, place=loaded.place
        )
    }
    yield from found_so_far
    if live:
        yield from _live_findings(inputs, options)


def _by_version(
    found: FoundConfig | None, nodes: list[Node]
) -> Iterator[tuple[ProxyConfig, list[Node]]]:
    """The nodes by the version that they have, each with the configuration as that reads it."""
    groups: dict[Version | None, list[Node]] = {}
    for node in nodes:
        groups.setdefault(Version.parse(node.kubelet_version), []).append(node)
    if asked() is not None or not nodes:
        groups = {None: nodes}
    for alike in groups.values():
        yield config_for(found, alike), alike


def _live_findings(inputs: Any, options: dict[str, Any]) -> Iterator[Finding]:
    from nptables.cli.node import each_family, with_live_facts  # noqa: PLC0415 (needs the kernel)
    from nptables.kernel.node.observing import observe  # noqa: PLC0415
    from nptables.kernel.whole_node import look  # noqa: PLC0415

    inputs = with_live_facts(inputs, options["facts_path"])
    for family, change in each_family(
        options["family"], lambda family: look(inputs.translate(family))
    ):
        state = observe(
            inputs.node.name, change.plan, change.backend.name, warnings=change.warnings
        )
        yield from check_node(state, inputs.config, inputs.translate(family).context)


def _print(findings: list[Finding]) -> None:
    for finding in findings:
        line = str(finding)
        if coloured():
            word = finding.what.severity.word
            painted = click.style(word, fg=_COLOURS[finding.what.severity], bold=True)
            line = line.replace(f"{word} {finding.what.code}", f"{painted} {finding.what.code}", 1)
        click.echo(line)
        click.echo(f"    {printable(finding.what.effect, 1000)}")
        click.echo(f"    do: {printable(finding.what.remedy, 1000)}")
    if findings:
        counts = {
            severity: sum(finding.what.severity is severity for finding in findings)
            for severity in reversed(Severity)
        }
        said = [f"{count} {severity.word}" for severity, count in counts.items() if count]
        click.echo(f"{len(findings)} findings: {', '.join(said)}", err=True)
    else:
        click.echo("no findings", err=True)
