"""`nptables trace`: follow a packet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import click

from nptables.cli.dumps import read_dump
from nptables.cli.manifests import names_a_cluster
from nptables.cli.options import (
    family_options,
    find_configuration,
    live_options,
    manifest_options,
    node_address_option,
    node_options,
    read_facts,
    read_inputs,
    refuse_both_families,
    snapshot_option,
)
from nptables.cli.output import coloured, print_json, say, say_all
from nptables.cli.versions import asked, config_for
from nptables.errors import BackendUnavailable, InvalidInput, printable
from nptables.family import Family
from nptables.iptables import Ruleset
from nptables.model import Cluster, Node, NodeFacts, ProxyConfig
from nptables.model.kubeproxy import NEWEST
from nptables.sources import read_text
from nptables.tracing import (
    Trace,
    family_between,
    missing_tables,
    packet_between,
    read_sets,
    trace,
)
from nptables.tracing.ends import DESTINATIONS, SOURCES
from nptables.tracing.sets import IpSet, Sets
from nptables.tracing.telling.remembered import with_connections
from nptables.tracing.telling.words import (
    HEADINGS,
    answer_line,
    hypotheses,
    outcome_rows,
    reasons_beside,
    table_lines,
    tree_lines,
)
from nptables.tracing.walking.rulebook import Rules
from nptables.translation import translate
from nptables.translation.flows import Flow, listed_flows
from nptables.translation.signs import with_shown_addresses

Rulesets = tuple[Ruleset, ...]


@click.command("trace")
@manifest_options
@node_options
@node_address_option
@family_options("that of the addresses or the dump, else IPv4")
@click.option("--from", "source", required=True, metavar="SRC", help=f"The sender: {SOURCES}.")
@click.option("--to", "destination", required=True, metavar="DST", help=f"{DESTINATIONS}.")
@snapshot_option(
    "Follow it in what a node has: its iptables-save output, or '-'.", formerly="--save"
)
@click.option(
    "--other",
    "others",
    multiple=True,
    metavar="NODE=DUMP",
    help="Another node's iptables-save output, where the packet may pass it; may be repeated.",
)
@live_options("Follow it in the tables")
@click.option(
    "--sets",
    "sets_path",
    metavar="FILE",
    help="With --snapshot or --live: what `ipset save` prints on the node, for rules that match "
    "sets.",
)
@click.option(
    "--conntrack",
    "connections_path",
    metavar="FILE",
    help="What `conntrack -L` prints on the node, or '-': UDP connections that keep to an old way "
    "are mentioned. --live looks by itself.",
)
@click.option("--path", is_flag=True, help="Show every rule on the way, as a tree.")
@click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True
)
def command(
    *,
    source: str,
    destination: str,
    snapshot: str | None,
    live: bool,
    backend: str,
    sets_path: str | None,
    others: tuple[str, ...],
    connections_path: str | None,
    path: bool,
    output: str,
    **options: Any,
) -> int:
    """Say what happens to the first packet of a connection, and why; exit 1 if it does not arrive.

    The rules are those that FILEs make for the node, or with --snapshot those of a dump, or with
    --live those of this node. With FILEs, or a cluster by --kubeconfig, the reasons are given in
    the words of the cluster, and the packet is followed to other nodes, whose rules are taken to
    be those that the cluster makes for them unless --other gives a dump.

    \b
    nptables trace web.yaml --node node2 --from outside --to nodeport:30080
    nptables trace --snapshot n2.txt --from 10.1.2.3 --to 10.96.0.10:53/UDP
    """  # noqa: D301 - click takes a backspace for "do not wrap"; a raw string has none
    refuse_both_families("a packet is of one family")
    if live and snapshot is not None:
        raise click.UsageError("--live and --snapshot exclude each other")
    if not (live or snapshot is not None or _has_cluster(options)):
        raise click.UsageError(
            "no rules: name a FILE or a cluster with --kubeconfig, or give --snapshot FILE or "
            "--live"
        )
    if sets_path is not None and not live and snapshot is None:
        raise click.UsageError(
            "--sets goes with --snapshot or --live: rules for Services have no sets"
        )
    sets = {} if sets_path is None else _read_sets(sets_path)
    options["family"] = options["family"] or family_between(source, destination)
    dumped = None if snapshot is None else read_dump(snapshot, options["family"])
    if dumped is not None:
        options["family"] = dumped[0].family
    setting = _read(live=live, **options)
    if dumped is not None:
        node = with_shown_addresses(setting.node, dumped)
        setting = attrs.evolve(setting, node=node)
    found = _rules(setting, dumped, backend, live=live)
    say_all(found.unseen, kind="warning")
    dumps = {} if dumped is None else {setting.node.name: (setting.node, dumped)}
    dumps |= _others(others, setting)
    packet = packet_between(
        source, destination, node=setting.node, cluster=setting.cluster, family=setting.family
    )
    answer = trace(
        found.rules,
        packet,
        setting.node,
        setting.cluster,
        config=setting.config,
        others=dumps,
        sets=sets,
        unread=found.unread,
        unknown_tables={name: missing_tables(rules) for name, (_, rules) in dumps.items()},
    )
    flows = _flows(connections_path, setting.family, live=live and packet.protocol == "udp")
    answer = with_connections(answer, flows, found.rules, setting.node)
    if output == "json":
        print_json({**answer.to_json(), "unseen": list(found.unseen)})
    else:
        _print(answer, path=path)
    return 0 if answer.arrives else 1


@attrs.frozen
class _Setting:
    """What the command line says about the node; no cluster where none is named."""

    cluster: Cluster | None
    node: Node
    config: ProxyConfig
    family: Family


def _read_sets(path: str) -> Sets:
    try:
        sets = read_sets(read_text(path))
    except InvalidInput as error:
        raise InvalidInput([attrs.evolve(p, file=p.file or path) for p in error.problems]) from None
    for name, found in sets.items():
        if isinstance(found, IpSet) and found.open_entries:
            say(
                f"set {name} ({found.type_name}) has {found.open_entries} entries with a part "
                f"that no trace can compare: whether it holds a packet is left open"
            )
    return sets


def _has_cluster(options: dict[str, Any]) -> bool:
    return names_a_cluster(options["files"], options["more_files"])


def _read(*, live: bool, **options: Any) -> _Setting:
    family = options["family"] or Family.IPV4
    if _has_cluster(options):
        inputs = read_inputs(**{**options, "family": family}, live=live)
        cluster: Cluster | None = inputs.cluster
        node, config = inputs.node, inputs.config
    else:
        cluster = None
        found = find_configuration(options["config_path"])
        override = "" if found is None else found.hostname_override
        name = options["node_name"] or override or "this-node"
        node = Cluster().node(name, read_facts(options["facts_path"]))
        # Without a cluster no rules are made, so nobody has to hear which version they would be of.
        config = config_for(found, [], version=asked() or str(NEWEST))
    if live and options["facts_path"] is None:
        from nptables.kernel.node.facts import gather  # noqa: PLC0415 (a dump needs no kernel)

        facts = attrs.evolve(NodeFacts.from_mapping(gather()), addresses=node.facts.addresses)
        node = attrs.evolve(node, facts=facts)
    return _Setting(cluster, node, config, family)


def _others(texts: tuple[str, ...], setting: _Setting) -> dict[str, tuple[Node, Rulesets]]:
    """The dumps of other nodes, by their names."""
    if texts and setting.cluster is None:
        raise click.UsageError(
            "--other goes with FILEs or --kubeconfig: they say which addresses are on which node"
        )
    found = {}
    for text in texts:
        name, _, path = text.partition("=")
        nodes = {} if setting.cluster is None else setting.cluster.nodes
        if not path or name not in nodes or name == setting.node.name:
            known = ", ".join(sorted(nodes.keys() - {setting.node.name})) or "none"
            raise click.UsageError(
                f'--other "{printable(text, 80)}": NODE=DUMP, with one of the other nodes: {known}'
            )
        found[name] = (nodes[name], read_dump(path, setting.family))
    return found


@attrs.frozen
class _Evidence:
    """The rules to follow, a backend whose tables were not read, and what else a packet meets."""

    rules: Rules
    unread: str = ""
    unseen: tuple[str, ...] = ()


def _rules(setting: _Setting, dumped: Rulesets | None, backend: str, *, live: bool) -> _Evidence:
    if dumped is not None:
        return _Evidence(dumped, unseen=tuple(_left_out(dumped)))
    if not live:
        cluster = setting.cluster or Cluster()
        return _Evidence(translate(cluster, setting.node, setting.config, setting.family))
    from nptables.kernel.node.unseen import rules_met  # noqa: PLC0415 (a dump needs no kernel)

    met = rules_met(setting.family, backend)
    return _Evidence(met.rulesets, met.unread, met.unseen)


def _left_out(rulesets: Rulesets) -> Iterator[str]:
    """What a packet meets that a dump says it leaves out."""
    for ruleset in rulesets:
        for table in ruleset.remarks.native_chains:
            yield f"table {table} has chains of nft's own, which are not followed"


def _flows(path: str | None, family: Family, *, live: bool) -> list[Flow]:
    """The UDP connections of the node, as far as they are known."""
    if path is not None:
        return listed_flows(read_text(path), family)
    if not live:
        return []
    from nptables.kernel.node.conntrack import udp_flows  # noqa: PLC0415 (a dump needs no kernel)

    try:
        return udp_flows(family)
    except BackendUnavailable as error:
        say(str(error), kind="warning")
        return []


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
            for row in tree_lines(distribution.outcomes):
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
