"""`nptables check`: find mistakes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import attrs
import click

import nptables
from nptables.checks import (
    Finding,
    NodeState,
    Severity,
    arranged,
    check_cluster,
    check_connections,
    check_node,
    chosen,
)
from nptables.checks.reports import github_lines, to_sarif
from nptables.cli.options import (
    Inputs,
    family_options,
    manifest_options,
    node_options,
    read_config,
    read_inputs,
    read_manifests,
)
from nptables.cli.output import coloured, print_json, say, say_all
from nptables.errors import printable
from nptables.family import Family
from nptables.iptables import Ruleset
from nptables.iptables.changes import diff
from nptables.model import Cluster, Node, ProxyConfig
from nptables.sources import read_text
from nptables.translation import translate
from nptables.translation.flows import listed_flows

_COLOURS = {Severity.INFO: "cyan", Severity.WARNING: "yellow", Severity.ERROR: "red"}


@click.command("check")
@manifest_options
@node_options
@family_options("both")
@click.option("--live", is_flag=True, help="Also look at the tables and settings of this node.")
@click.option(
    "--current",
    "current_path",
    metavar="DUMP",
    help="Also look at the tables in a node's iptables-save output, or '-'.",
)
@click.option(
    "--conntrack",
    "connections_path",
    metavar="FILE",
    help="Also look at a node's UDP connections: what `conntrack -L` prints there, or '-'.",
)
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
    current_path: str | None,
    connections_path: str | None,
    output: str,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    severity: str,
    exit_zero: bool,
    **options: Any,
) -> int:
    """Find mistakes in manifests, and with --live or --current on a node; exit 1 if there are any.

    Without --node every Node in the input is looked at. docs/checks.md has a paragraph for
    each code.
    """
    if live and current_path is not None:
        raise click.UsageError("--live and --current exclude each other")
    looked_at = _findings(
        live=live, current_path=current_path, connections_path=connections_path, **options
    )
    found = chosen(
        arranged(looked_at),
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


def _findings(
    *, live: bool, current_path: str | None, connections_path: str | None, **options: Any
) -> Iterator[Finding]:
    if live or current_path is not None or options["node_name"] is not None:
        inputs = read_inputs(**options)
        if live:
            from nptables.cli.node import with_live_facts  # noqa: PLC0415 (needs the kernel)

            inputs = with_live_facts(inputs, options["facts_path"])
        loaded, config, nodes = inputs.loaded, inputs.config, [inputs.node]
    else:
        loaded = read_manifests(options["files"], options["more_files"], lenient=options["lenient"])
        config, nodes = read_config(options["config_path"], loaded.proxy_config), None
    yield from check_cluster(
        loaded.cluster, config, nodes=nodes, pods=loaded.pods, place=loaded.place
    )
    if connections_path is not None:
        looked_at = nodes or list(loaded.cluster.nodes.values()) or [loaded.cluster.node()]
        yield from _connections(read_text(connections_path), loaded.cluster, looked_at, config)
    if current_path is not None:
        yield from _dump_findings(current_path, inputs)
    if live:
        yield from _live_findings(inputs, options["family"])


def _connections(
    listing: str, cluster: Cluster, nodes: Sequence[Node], config: ProxyConfig
) -> Iterator[Finding]:
    """Connections in a listing that the rules of none of the nodes would make."""
    for family in Family:
        made = [translate(cluster, node, config, family) for node in nodes]
        yield from check_connections(listed_flows(listing, family), made)


def _dump_findings(path: str, inputs: Inputs) -> Iterator[Finding]:
    current = Ruleset.from_save(read_text(path), family=inputs.family)
    desired = inputs.translate()
    plan = diff(current, desired)
    if absent := [name for name in plan.tables if name not in current.tables]:
        say(f"the dump has no table {', '.join(absent)}: nothing is said of it", kind="warning")
        kept = {name: table for name, table in plan.tables.items() if name in current.tables}
        plan = attrs.evolve(plan, tables=kept)
    yield from check_node(NodeState(inputs.node.name, plan), inputs.config, desired.context)


def _live_findings(inputs: Inputs, asked: Family | None) -> Iterator[Finding]:
    from nptables.cli.node import each_family  # noqa: PLC0415 (needs the kernel)
    from nptables.kernel.node.observing import observe  # noqa: PLC0415
    from nptables.kernel.whole_node import look  # noqa: PLC0415

    for family, change in each_family(asked, lambda family: look(inputs.translate(family))):
        state = observe(
            inputs.node.name, change.plan, change.backend.name, warnings=change.warnings
        )
        say_all(state.unseen, kind="warning")
        yield from check_node(state, inputs.config, inputs.translate(family).context)


# Of more findings with one code than this only the first are printed.
_MOST_PRINTED = 20


def _print(findings: list[Finding]) -> None:
    for (severity, what), group in groupby(findings, lambda f: (f.severity, f.what)):
        found = list(group)
        for finding in found[:_MOST_PRINTED]:
            line = str(finding)
            if coloured():
                painted = click.style(severity.word, fg=_COLOURS[severity], bold=True)
                said = f"{severity.word} {what.code}"
                line = line.replace(said, f"{painted} {what.code}", 1)
            click.echo(line)
        if len(found) > _MOST_PRINTED:
            rest = found[_MOST_PRINTED:]
            objects = len({finding.subject for finding in rest})
            about = "1 more object" if objects == 1 else f"{objects} more objects"
            click.echo(f"... and {len(rest)} more {what.code} about {about} (-o json has all)")
        click.echo(f"    {printable(what.effect, 1000)}")
        click.echo(f"    do: {printable(what.remedy, 1000)}")
    if findings:
        counts = {
            severity: sum(finding.severity is severity for finding in findings)
            for severity in reversed(Severity)
        }
        counted = [f"{count} {severity.word}" for severity, count in counts.items() if count]
        total = "1 finding" if len(findings) == 1 else f"{len(findings)} findings"
        click.echo(f"{total}: {', '.join(counted)}", err=True)
    else:
        click.echo("no findings", err=True)
