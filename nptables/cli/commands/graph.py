"""`nptables graph`: a Service, or the way of a packet, as a picture."""

from __future__ import annotations

from typing import Any

import click

from nptables.answering.drawing import drawn
from nptables.answering.services import service_in, service_key
from nptables.cli.clusters import (
    named_ends,
    namespace_of_names,
    namespace_option,
    with_pods,
)
from nptables.cli.completion import services
from nptables.cli.options import (
    family_options,
    manifest_options,
    node_options,
    read_inputs,
    refuse_both_families,
)
from nptables.cli.repository import settings_options
from nptables.family import Family
from nptables.graphs import Graph, path_graph, to_dot, to_mermaid, to_svg
from nptables.reachability import across
from nptables.tracing import family_between
from nptables.tracing.ends import DESTINATIONS, SOURCES, pods_named

_WRITERS = {"svg": to_svg, "dot": to_dot, "mermaid": to_mermaid}


@click.command("graph")
@click.argument("service", shell_complete=services)
@manifest_options
@node_options
@family_options("the first family of the Service")
@namespace_option("The namespace of a Service or a Pod that is named without one.")
@click.option(
    "--trace",
    "ends",
    nargs=2,
    metavar="FROM TO",
    help=f"Draw the path of a packet instead. FROM is {SOURCES}; TO is {DESTINATIONS}.",
)
@click.option("--down", is_flag=True, help="Draw from top to bottom instead of left to right.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["svg", "dot", "mermaid", "html"]),
    default="svg",
    show_default=True,
)
@settings_options
def command(
    *,
    service: str,
    ends: tuple[str, str] | None,
    family: Family | None,
    down: bool,
    output: str,
    **options: Any,
) -> int:
    """Draw the rules of SERVICE on a node: frontends, chains, endpoints and their shares.

    SERVICE is NAMESPACE/NAME or svc/NAME. With --trace the path of one packet is drawn, through
    that node and every other node on the way.

    \b
    nptables graph default/web web.yaml --node node2 > web.svg
    nptables graph default/web web.yaml --node node2 -o mermaid \\
      --trace outside nodeport:30080
    """  # noqa: D301 - click takes a backspace for "do not wrap"; a raw string has none
    refuse_both_families("a picture is of one family")
    inputs = read_inputs(**options, family=family)
    key = service_key(service, namespace_of_names())
    there = service_in(inputs.cluster, key)
    if ends:
        ends = named_ends(*ends)
        cluster = with_pods(inputs.loaded, pods_named(*ends)).cluster
        family = family or family_between(*ends) or next(iter(there.cluster_ips), Family.IPV4)
        (cell,) = across(cluster, *ends, nodes=[inputs.node], config=inputs.config, family=family)
        graph = path_graph(cell.trace)
    else:
        graph = drawn(inputs, key, family)
    click.echo(_written(graph, output, down=down), nl=False)
    return 0


def _written(graph: Graph, output: str, *, down: bool) -> str:
    if output == "html":
        from nptables.reporting import graph_page  # noqa: PLC0415 - needs Jinja2

        return graph_page(graph, down=down)
    return _WRITERS[output](graph, down=down)
