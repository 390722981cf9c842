"""`nptables trace`: follow a packet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import click

from nptables.cli.clusters import named_ends, namespace_option, with_pods
from nptables.cli.completion import FILE, receivers, senders
from nptables.cli.evidence import Named, evidence_options, families_of, in_file
from nptables.cli.manifests import names_a_cluster, read_manifests
from nptables.cli.options import (
    bare_node_name,
    family_options,
    find_configuration,
    inputs_of,
    manifest_options,
    node_address_option,
    node_options,
    read_facts,
    refuse_both_families,
)
from nptables.cli.output import coloured, highlighted_rule, print_json, say, say_all
from nptables.cli.repository import settings_options
from nptables.cli.versions import asked, config_for
from nptables.errors import InvalidInput, Problem, printable
from nptables.evidence import Evidence, Form
from nptables.evidence.beside import unfollowed
from nptables.evidence.kubeproxy import kube_proxy_of
from nptables.evidence.serving import acting
from nptables.family import Family
from nptables.immutable import frozen
from nptables.iptables import Ruleset
from nptables.model import Cluster, Node, NodeFacts, ProxyConfig
from nptables.model.kubeproxy import NEWEST
from nptables.sources import FoundConfig, Loaded, find_config, read_text
from nptables.sources.hidden import is_made_up
from nptables.tracing import (
    Outcome,
    Packet,
    Trace,
    family_between,
    missing_tables,
    packet_between,
    read_sets,
    trace,
)
from nptables.tracing.ends import (
    DESTINATIONS,
    SOURCES,
    pods_named,
)
from nptables.tracing.services import services_of
from nptables.tracing.sets import IpSet, Sets
from nptables.tracing.telling.remembered import with_connections

if TYPE_CHECKING:
    from nptables.reachability import Cell
from nptables.tracing.telling.words import (
    HEADINGS,
    answer_line,
    hypotheses,
    outcome_rows,
    reasons_beside,
    table_lines,
    tree,
    tree_lines,
)
from nptables.tracing.walking.rulebook import Rules
from nptables.translation.flows import Flow, listed_flows
from nptables.translation.signs import with_shown_addresses

Rulesets = tuple[Ruleset, ...]


@click.command("trace")
@manifest_options
@node_options
@node_address_option
@family_options("that of the addresses or the dump, else IPv4")
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
            whole.cluster, source, destination, config=whole.configs, family=family or Family.IPV4
        )
        _print_cells(cells, output, path=path)
        return 0 if all(cell.trace.arrives for cell in cells) else 1
    evidence = node_has.read(family) if node_has else None
    if evidence is not None:
        family, *_ = families_of(evidence, family, node_has.path)
    setting = _read(loaded, node_has, evidence, **{**options, "family": family or Family.IPV4})
    sets = _sets(sets_path, evidence)
    followed = None
    if evidence is not None:
        followed = _followed_in(evidence, setting.family, node_has)
        rulesets = evidence.of(setting.family)
        setting = attrs.evolve(setting, node=with_shown_addresses(setting.node, rulesets))
        say_all(followed.unseen, kind="warning")
    here = {setting.node.name: followed} if followed is not None else {}
    there = _others(others, setting)
    packet = _packet(source, destination, setting, evidence)
    kept: dict[str, object] = {}
    followed = followed or _made(setting, packet, kept)
    answer = trace(
        followed.rules,
        packet,
        setting.node,
        setting.cluster,
        config=setting.config,
        others={name: (node, found.rules) for name, (node, found) in there.items()},
        sets=sets,
        unread=followed.unread,
        kept=kept,
        evidence=evidence,
        unknown_tables={
            **{name: found.unknown_tables for name, found in here.items()},
            **{name: found.unknown_tables for name, (_, found) in there.items()},
        },
    )
    flows = _flows(connections_path, setting.family, evidence) if packet.protocol == "udp" else []
    answer = with_connections(answer, flows, followed.rules, setting.node)
    if output == "json":
        print_json({**answer.to_json(), "unseen": list(followed.unseen)})
    else:
        _print(answer, path=path)
    return 0 if answer.arrives else 1


@frozen
class _Setting:
    """What the command line says about the node; no cluster where none is named."""

    cluster: Cluster | None
    node: Node
    config: ProxyConfig
    family: Family


def _packet(source: str, destination: str, setting: _Setting, evidence: Evidence | None) -> Packet:
    """The packet that is meant. Raises InvalidInput."""
    packet = packet_between(
        source, destination, node=setting.node, cluster=setting.cluster, family=setting.family
    )
    if evidence is not None and is_made_up(packet.destination):
        # The node's rules have the real address, which none of them names as the Service's.
        hint = "give the address as the node's rules have it, or a node port"
        problem = Problem(f"{destination}: its address is hidden in the objects", hint=hint)
        raise InvalidInput([problem])
    return packet


def _sets(path: str | None, evidence: Evidence | None) -> Sets:
    """The sets of the node: those in a file, else those that it was seen to have."""
    text = read_text(path) if path is not None else None if evidence is None else evidence.ipset
    if text is None:
        return {}
    sets = in_file(path, lambda: read_sets(text))
    for name, found in sets.items():
        if isinstance(found, IpSet) and found.open_entries:
            say(
                f"set {name} ({found.type_name}) has {found.open_entries} entries with a part "
                f"that no trace can compare: whether it holds a packet is left open"
            )
    return sets


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
    found = find_config(path) if path is not None else FoundConfig(loaded.proxy_config)
    facts = read_facts(options["facts_path"])
    about_one = options["node_name"], facts, connections, found.hostname_override
    return len(loaded.cluster.nodes) > 1 and not (node_has or others or any(about_one))


def _read(
    loaded: Loaded | None, node_has: Named, evidence: Evidence | None, **options: Any
) -> _Setting:
    family = options["family"]
    if loaded is not None:
        inputs = inputs_of(loaded, **options, live=node_has.live, evidence=evidence)
        return _Setting(inputs.cluster, inputs.node, inputs.config, family)
    kube_proxy = None if evidence is None else kube_proxy_of(evidence)
    found = find_configuration(options["config_path"], kube_proxy=kube_proxy)
    override = "" if found is None else found.hostname_override
    known = "" if evidence is None else evidence.node
    facts = read_facts(options["facts_path"])
    if evidence is not None and evidence.facts is not None:
        facts = (facts or NodeFacts()).over(evidence.facts)
    node = Cluster().node(options["node_name"] or override or known or "this-node", facts)
    # Without a cluster no rules are made, so their version is not reported.
    config = config_for(found, [], version=asked() or str(NEWEST))
    return _Setting(None, node, config, family)


def _others(texts: tuple[str, ...], setting: _Setting) -> dict[str, tuple[Node, _Followed]]:
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
        named = Named(path, node=name)
        evidence = named.read(setting.family)
        families_of(evidence, setting.family, path)
        node = nodes[name]
        if evidence.facts is not None:
            node = attrs.evolve(node, facts=node.facts.over(evidence.facts))
        found[name] = node, _followed_in(evidence, setting.family, named)
    return found


@frozen
class _Followed:
    """The rules to follow, a backend whose tables were not read, and what else a packet meets.

    The contents of `unknown_tables` are unknown.
    """

    rules: Rules
    unread: str = ""
    unseen: tuple[str, ...] = ()
    unknown_tables: frozenset[str] = frozenset()


def _made(setting: _Setting, packet: Packet, kept: dict[str, object]) -> _Followed:
    """The rules that the cluster makes for the node, as far as the packet can meet them."""
    cluster = (setting.cluster or Cluster()).seen_by(setting.config.habits)
    services = services_of(kept, cluster, setting.family)
    return _Followed(services.rules_for(packet, setting.node, setting.config))


def _followed_in(evidence: Evidence, family: Family, named: Named) -> _Followed:
    rulesets = in_file(named.path, lambda: acting(evidence, family, named.backend))
    unread = [tables for tables in evidence.unread if tables.family is family]
    # A reading of the kernel leaves no table out; a dump may.
    open_tables = frozenset() if evidence.form is Form.SNAPSHOT else missing_tables(rulesets)
    unread_backend = unread[0].backend if unread else ""
    return _Followed(rulesets, unread_backend, unfollowed(evidence, family), open_tables)


def _flows(path: str | None, family: Family, evidence: Evidence | None) -> Sequence[Flow]:
    """The UDP connections of the node, as far as they are known."""
    if path is not None:
        return listed_flows(read_text(path), family)
    known = () if evidence is None else evidence.flows or ()
    return [flow for flow in known if Family.of(flow.destination[0]) is family]


def _print_cells(cells: Sequence[Cell], output: str, *, path: bool) -> None:
    """The answers of several nodes, those that fare alike together."""
    from nptables.reachability.matrix import nodes_text  # noqa: PLC0415 - see `across`

    if output == "json":
        traced = [{"nodes": list(cell.nodes), **cell.trace.to_json()} for cell in cells]
        print_json({"arrives": all(cell.trace.arrives for cell in cells), "nodes": traced})
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
