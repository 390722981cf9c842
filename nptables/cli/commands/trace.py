"""`nptables trace`: follow a packet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from nptables import sources
from nptables.answering.inputs import is_for_each_node
from nptables.answering.tracing import (
    NodeRules,
    Setting,
    cells_document,
    follow,
    followed_family,
    rules_on,
    setting_of,
    told_sets,
)
from nptables.cli.clusters import named_ends, namespace_option, with_pods
from nptables.cli.completion import FILE, receivers, senders
from nptables.cli.evidence import Named, evidence_options
from nptables.cli.manifests import names_a_cluster, read_manifests
from nptables.cli.options import (
    bare_node_name,
    family_options,
    manifest_options,
    node_address_option,
    node_options,
    read_facts,
    refuse_both_families,
)
from nptables.cli.output import coloured, highlighted_rule, print_json, say, say_all
from nptables.cli.repository import settings_options
from nptables.cli.versions import asked, say_once, told_here
from nptables.errors import printable
from nptables.model import Node
from nptables.sources import Loaded, read_connections, read_text
from nptables.tracing import (
    Outcome,
    Trace,
    family_between,
)
from nptables.tracing.ends import (
    DESTINATIONS,
    SOURCES,
    pods_named,
)
from nptables.tracing.explanation.words import (
    HEADINGS,
    answer_line,
    hypotheses,
    outcome_rows,
    reasons_beside,
    table_lines,
    tree,
    tree_lines,
)

if TYPE_CHECKING:
    from nptables.evidence import Evidence
    from nptables.reachability import Cell


@click.command("trace")
@manifest_options
@node_options
@node_address_option
@family_options("that of the addresses, the dump or a cluster that has one, else IPv4")
@namespace_option("The namespace of a Service or a Pod that is named without one.")
@click.option(
    "--from",
    "source",
    required=True,
    metavar="SRC",
    shell_complete=senders,
    help=f"The sender: {SOURCES}.",
)
@click.option(
    "--to",
    "destination",
    required=True,
    metavar="DST",
    shell_complete=receivers,
    help=f"The destination: {DESTINATIONS}.",
)
@evidence_options("Follow it in", formerly="--save")
@click.option(
    "--other",
    "others",
    multiple=True,
    metavar="NODE=DUMP",
    help="The real rules of another node that the packet may pass, in a file as for --snapshot. "
    "May be repeated.",
)
@click.option(
    "--sets",
    "sets_path",
    type=FILE,
    metavar="FILE",
    help="With --snapshot or --live: the output of `ipset save` on the node, for rules that match "
    "sets, if the snapshot lacks it.",
)
@click.option(
    "--conntrack",
    "connections_path",
    type=FILE,
    metavar="FILE",
    help="The output of `conntrack -L` on the node, or '-': UDP connections that still use an old "
    "endpoint are mentioned. --live and snapshots have it already.",
)
@click.option("--path", is_flag=True, help="Show every rule on the path, as a tree.")
@click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True
)
@settings_options
def command(
    *,
    source: str,
    destination: str,
    node_has: Named,
    sets_path: str | None,
    others: tuple[str, ...],
    connections_path: str | None,
    path: bool,
    output: str,
    **options: Any,
) -> int:
    """Say what happens to the first packet of a connection, and why; exit 1 if it does not arrive.

    The rules are those that kube-proxy makes from FILEs or from the cluster, unless --snapshot or
    --live says what the node really has. With FILEs or a cluster the answer names Services and
    policies, and the packet is followed to other nodes: there kube-proxy's rules are assumed,
    unless --other gives the real ones. Without --node the packet is followed on every node.

    \b
    nptables trace web.yaml --node node2 --from outside --to nodeport:30080
    nptables trace --snapshot n2.txt --from 10.1.2.3 --to 10.96.0.10:53/UDP
    """  # noqa: D301 - click takes a backspace for "do not wrap"; a raw string has none
    refuse_both_families("a packet is of one family")
    if sets_path is not None and not node_has:
        raise click.UsageError("--sets needs --snapshot or --live: rules for Services have no sets")
    family = options["family"] or family_between(source, destination)
    loaded = _manifests(node_has, options)
    source, destination = named_ends(source, destination)
    if loaded is not None:
        loaded = with_pods(loaded, pods_named(source, destination))
    if loaded is not None and _on_each_node(loaded, node_has, others, connections_path, options):
        # Most packets are followed from one node.
        from nptables.cli.cluster_wide import cluster_wide_of  # noqa: PLC0415
        from nptables.reachability import across  # noqa: PLC0415

        whole = cluster_wide_of(loaded, options["config_path"])
        cells = across(
            whole.cluster,
            source,
            destination,
            config=whole.configs,
            family=followed_family(family, loaded, None),
        )
        _print_cells(cells, output, path=path)
        return 0 if all(cell.trace.arrives for cell in cells) else 1
    there = node_has.read(family) if node_has else None
    evidence = None if there is None else there.evidence
    family = followed_family(family, loaded, there, say)
    setting = _read(loaded, node_has, evidence, **{**options, "family": family})
    sets = None if sets_path is None else told_sets(read_text(sets_path), sets_path, say)
    connections = None if connections_path is None else read_connections(connections_path)
    answer = follow(
        source,
        destination,
        setting,
        evidence=evidence,
        path=node_has.path,
        backend=node_has.backend,
        sets=sets,
        connections=connections,
        others=_others(others, setting),
        say=say,
    )
    if output == "json":
        print_json(answer.to_json())
    else:
        _print(answer.trace, path=path)
    return 0 if answer.trace.arrives else 1


def _manifests(node_has: Named, options: dict[str, Any]) -> Loaded | None:
    """The cluster, if the command line names one: what a node has is enough by itself."""
    files, more, lenient = (options.pop(key) for key in ("files", "more_files", "lenient"))
    if node_has and not names_a_cluster(files, more):
        return None
    nothing = "there are no rules: name a FILE, or use --snapshot FILE or --live"
    return read_manifests(files, more, lenient=lenient, nothing=nothing)


def _on_each_node(
    loaded: Loaded,
    node_has: Named,
    others: tuple[str, ...],
    connections: str | None,
    options: dict[str, Any],
) -> bool:
    """Whether the packet is followed on every node: nothing on the command line is about one."""
    path = options["config_path"]
    found = None if path is None else sources.find_config(path)
    if found is None and loaded.proxy_config is not None:
        found = sources.FoundConfig(loaded.proxy_config)
    facts = read_facts(options["facts_path"])
    return is_for_each_node(
        loaded, found, options["node_name"], facts, connections, node_has, others
    )


def _read(
    loaded: Loaded | None, node_has: Named, evidence: Evidence | None, **options: Any
) -> Setting:
    config_path = options["config_path"]
    version = asked()
    return setting_of(
        loaded,
        node_name=options["node_name"],
        given=None if config_path is None else sources.find_config(config_path),
        facts=read_facts(options["facts_path"]),
        family=options["family"],
        version=version,
        here=told_here() if node_has.live and version is None else None,
        evidence=evidence,
        say=say_once,
    )


def _others(texts: tuple[str, ...], setting: Setting) -> dict[str, tuple[Node, NodeRules]]:
    """What other nodes have, by their names."""
    if texts and setting.cluster is None:
        raise click.UsageError(
            "--other needs FILEs or --kubeconfig: they say which addresses are on which node"
        )
    found = {}
    for text in texts:
        name, _, path = text.partition("=")
        name = bare_node_name(name)
        nodes = {} if setting.cluster is None else setting.cluster.nodes
        if not path or name not in nodes or name == setting.node.name:
            known = ", ".join(sorted(nodes.keys() - {setting.node.name})) or "none"
            raise click.UsageError(
                f'--other "{printable(text, 80)}": NODE=DUMP, with one of the other nodes: {known}'
            )
        there = Named(path, node=name).read(setting.family)
        found[name] = rules_on(nodes[name], there, setting.family)
    return found


def _print_cells(cells: Sequence[Cell], output: str, *, path: bool) -> None:
    """The answers of several nodes, those that fare alike together."""
    from nptables.reachability.matrix import nodes_text  # noqa: PLC0415 - see `across`

    if output == "json":
        print_json(cells_document(cells))
        return
    for number, cell in enumerate(cells):
        if number:
            click.echo()
        heading = f"on {nodes_text(cell.nodes)}"
        shown = "" if len(cell.nodes) == 1 else f" (shown for {printable(cell.nodes[0])})"
        click.echo(click.style(heading, bold=True) + shown if coloured() else heading + shown)
        _print(cell.trace, path=path)


def _print(answer: Trace, *, path: bool) -> None:
    line = answer_line(answer)
    if coloured():
        line = click.style(line, fg="green" if answer.arrives else "red", bold=True)
    click.echo(line)
    for condition, distribution in hypotheses(answer):
        click.echo()
        if condition:
            click.echo(condition)
        for row in table_lines([HEADINGS, *outcome_rows(distribution)]):
            click.echo(row)
        if path:
            click.echo()
            for row in _path_lines(distribution.outcomes):
                click.echo(row)
    if reasons := reasons_beside(answer):
        click.echo("\nBecause:")
        for reason in reasons:
            click.echo(f"- {printable(reason.text, 1000)}")
    if not answer.exhaustive:
        click.echo("\nEach condition was looked at alone; combinations may end otherwise.")
    if answer.assumptions:
        say("the rules that another node really has are followed with --other NODE=DUMP")
    say_all(answer.notes, kind="note")


# Notes stand in one column, unless that would be further right than this.
_WIDEST_RULE = 160
_TREE_COLOURS = {"hook": "cyan", "table": "blue", "branch": "yellow"}


def _path_lines(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """The walk as a tree; on a terminal in colour, and with what happened in a column."""
    if not coloured():
        yield from tree_lines(outcomes)
        return
    lines = list(tree(outcomes))
    widths = [len(line.text) for line in lines if line.note]
    column = max((width for width in widths if width <= _WIDEST_RULE), default=0)
    for line in lines:
        gap = " " * max(3, column - len(line.text) + 3)
        note = gap + click.style(line.note, dim=True) if line.note else ""
        if line.kind == "rule":
            yield highlighted_rule(line.text) + note
        elif line.kind == "end":
            yield click.style(line.text, bold=True)
        else:
            yield click.style(line.text, fg=_TREE_COLOURS[line.kind], bold=line.kind == "hook")
