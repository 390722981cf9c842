"""`nptables reach`: which nodes answer at which addresses of which Services."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import click

from nptables.answering.services import service_key
from nptables.cli.cluster_wide import cluster_wide_options, nodes_option, read_cluster_wide
from nptables.cli.clusters import (
    all_namespaces_option,
    namespace_of_names,
    namespace_option,
    services_in,
    shown_namespace,
    with_pods,
)
from nptables.cli.completion import FILE, senders
from nptables.cli.completion import services as complete_services
from nptables.cli.forms import print_lines
from nptables.cli.forms.markdown import cut, text
from nptables.cli.options import family_options, manifest_options
from nptables.cli.output import coloured, folded, print_json, say_all
from nptables.cli.repository import settings_options
from nptables.errors import printable
from nptables.family import Family
from nptables.model import Cluster
from nptables.reachability import (
    Cell,
    Contradiction,
    Expectation,
    Fares,
    Reach,
    contradictions,
    reach,
)
from nptables.reachability.matrix import nodes_text
from nptables.reachability.reaching import OUTSIDE
from nptables.sources import read_document
from nptables.tracing.ends import SOURCES, named_source, pods_named
from nptables.tracing.explanation.words import WIDTH, table_lines

_COLOURS = {Fares.ANSWERS: "green", Fares.UNKNOWN: "yellow", Fares.DEPENDS: "yellow"}


@click.command("reach")
@manifest_options
@cluster_wide_options
@family_options("both, for Services that have both")
@click.option(
    "--service",
    "services",
    multiple=True,
    metavar="NS/NAME",
    shell_complete=complete_services,
    help="Only this Service; may be repeated.  [default: all]",
)
@namespace_option("Only the Services of this namespace.  [default: that of the context, if any]")
@all_namespaces_option("The Services of all namespaces.")
@click.option(
    "--from",
    "source",
    default="outside",
    show_default=True,
    metavar="SRC",
    shell_complete=senders,
    help=f"The sender: {SOURCES}.",
)
@nodes_option
@click.option(
    "--expect",
    "expect_path",
    type=FILE,
    metavar="FILE",
    help="A file (YAML or JSON) that says what has to hold: exit 1 if it does not, and say why.",
)
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json", "markdown", "html"]),
    default="table",
    show_default=True,
)
@settings_options
def command(
    *,
    services: tuple[str, ...],
    source: str,
    patterns: tuple[str, ...],
    expect_path: str | None,
    family: Family | None,
    output: str,
    **options: Any,
) -> int:
    """Show which nodes answer at which addresses of Services, and why the others do not.

    A packet to every node port, external IP and load-balancer IP is traced on every node, and one
    to every cluster IP if it is not --from outside. Nodes with the same result share a line. Exit 1
    if something in --expect FILE does not hold.

    \b
    nptables reach web.yaml --service default/web
    nptables reach manifests/ --nodes 'edge-*' --expect relied-on.yaml -o markdown
    """  # noqa: D301 - click takes a backspace for "do not wrap"; a raw string has none
    expected = None if expect_path is None else read_document(expect_path, Expectation.listed)
    whole = read_cluster_wide(**options)
    source = named_source(source, namespace_of_names())
    cluster = with_pods(whole.loaded, pods_named(source, "")).cluster
    found = reach(
        cluster,
        config=whole.configs,
        services=_asked(services, cluster),
        nodes=whole.nodes(patterns),
        source=source,
        families=tuple(Family) if family is None else (family,),
    )
    wrong = [] if expected is None else list(contradictions(expected, found))
    _print(found, wrong, output, family=family, judged=expected is not None)
    return 1 if wrong else 0


def _asked(services: Sequence[str], cluster: Cluster) -> list[tuple[str, str]] | None:
    """The Services that are named, else those of the namespace that is shown; None for all."""
    if services:
        namespace = namespace_of_names()
        return [service_key(text, namespace) for text in services]
    shown = shown_namespace(cluster)
    return None if shown is None else services_in(shown, cluster)


def _print(
    found: Reach,
    wrong: list[Contradiction],
    output: str,
    *,
    family: Family | None,
    judged: bool,
) -> None:
    if output == "json":
        document = found.to_json()
        if judged:
            document["contradictions"] = [each.to_json() for each in wrong]
        print_json(document)
        return
    if output == "markdown":
        print_lines(cut([line] for line in markdown_lines(found, wrong, judged=judged)))
        return
    if output == "html":
        from nptables.reporting import matrix_page  # noqa: PLC0415 - needs Jinja2

        click.echo(matrix_page(found, wrong, judged=judged))
        return
    _print_table(found, family)
    say_all(wrong, kind="contradiction")


def _print_table(found: Reach, family: Family | None) -> None:
    if not found.rows:
        kinds = "node port, external IP or load-balancer IP"
        if found.source != OUTSIDE:
            kinds = "node port, external IP, load-balancer IP or cluster IP"
        which = "any" if family is None else f"any {family.value}"
        click.echo(f"no Service examined has {which} {kinds}")
    for number, row in enumerate(found.rows):
        if number:
            click.echo()
        heading = printable(f"{row.name} at {row.to}", 200)
        click.echo(click.style(heading, bold=True) if coloured() else heading)
        rows = [("  NODES", "OUTCOME"), *(_cell_row(cell) for cell in row.cells)]
        lines = list(table_lines(rows, WIDTH))
        for line, cell in zip(lines, [None, *row.cells], strict=False):
            shown = line
            if coloured() and cell is not None and len(lines) == len(rows):
                shown = click.style(line, fg=_COLOURS.get(cell.fare.fares, "red"))
            click.echo(shown)
        for reason in dict.fromkeys(_why(row.cells)):
            click.echo(folded(printable(reason, 1000), indent="  "))


def _cell_row(cell: Cell) -> tuple[str, str]:
    return f"  {nodes_text(cell.nodes)}", cell.fare.text


def _why(cells: Sequence[Cell]) -> Iterator[str]:
    for cell in cells:
        if cell.fare.fares is not Fares.ANSWERS:
            for reason in cell.reasons[:1]:
                yield f"{cell.nodes[0]}: {reason.text}"


def markdown_lines(
    found: Reach, wrong: Sequence[Contradiction] = (), *, judged: bool = False
) -> Iterator[str]:
    """The matrix as a Markdown table for a pull request."""
    if judged:
        yield (
            f"**{len(wrong)} expectations are not met**" if wrong else ("All expectations are met.")
        )
        yield ""
        for each in wrong:
            yield f"- {text(str(each))}"
        if wrong:
            yield ""
    yield "| Service | to | nodes | outcome | why |"
    yield "| --- | --- | --- | --- | --- |"
    for row in found.rows:
        for cell in row.cells:
            why = ""
            if cell.fare.fares is not Fares.ANSWERS and cell.reasons:
                why = cell.reasons[0].text
            cells = (str(row.name), row.to, nodes_text(cell.nodes), cell.fare.text, why)
            yield "| " + " | ".join(map(text, cells)) + " |"
