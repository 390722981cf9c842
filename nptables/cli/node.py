"""What the commands that touch this node share: options, families, facts, warnings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import attrs
import click

from nptables.cli.options import Inputs, wait_option
from nptables.cli.output import coloured, say
from nptables.errors import BackendUnavailable, InvalidInput, Problem
from nptables.family import Family
from nptables.iptables.changes.plan import Plan
from nptables.iptables.changes.report import ReportLine, report_lines
from nptables.kernel import Applied
from nptables.kernel.node import nfacct
from nptables.kernel.node.facts import gather
from nptables.kernel.tables.choosing import BACKENDS
from nptables.model import NodeFacts
from nptables.translation.explanation.grouping import service_groups

Command = TypeVar("Command", bound=Callable[..., Any])
Found = TypeVar("Found")

BACKEND_HELP = (
    "The iptables backend. auto: the one that holds the kubelet's rules or ours. iptc: the legacy "
    "tables, by python-iptables."
)


def backend_options(command: Command) -> Command:
    """`--backend` and `--wait`."""
    command = wait_option(command)
    return click.option(
        "--backend",
        type=click.Choice(BACKENDS),
        default="auto",
        show_default=True,
        help=BACKEND_HELP,
    )(command)


def families_of(family: Family | None) -> tuple[Family, ...]:
    """The family that was asked for, else both."""
    return (family,) if family is not None else tuple(Family)


def each_family(
    family: Family | None, act: Callable[[Family], Found]
) -> Iterator[tuple[Family, Found]]:
    """What `act` gives for each family; one that the node lacks is a warning, unless asked for."""
    failure: BackendUnavailable | None = None
    count = 0
    for each in families_of(family):
        try:
            found = act(each)
        except BackendUnavailable as error:
            if family is not None or each is Family.IPV4:
                raise
            failure = error
            continue
        count += 1
        yield each, found
    if failure is not None:
        say(f"{Family.IPV6.value} is left out: {failure}", kind="warning")


def with_live_facts(
    inputs: Inputs, facts_path: str | None, *, will_prepare: bool = False
) -> Inputs:
    """The inputs with the facts of this node, unless a file had them.

    With `will_prepare` the facts are those that the node has once it is prepared.
    """
    if facts_path is not None:
        return inputs
    told = inputs.node.facts.addresses
    facts = attrs.evolve(NodeFacts.from_mapping(gather()), addresses=told)
    if will_prepare:
        liberal = facts.tcp_be_liberal or inputs.config.conntrack.tcp_be_liberal
        facts = attrs.evolve(facts, nfacct=nfacct.supported(), tcp_be_liberal=liberal)
    return attrs.evolve(inputs, node=attrs.evolve(inputs.node, facts=facts))


_COLOURS = {
    "heading": "cyan",
    "chain": "blue",
    "removed": "red",
    "added": "green",
    "note": "yellow",
}


def print_plan(plan: Plan) -> None:
    """A plan as a unified diff on standard output, coloured on a terminal."""
    colour = coloured()
    group_of = service_groups(plan.desired, plan.before)
    for line in report_lines(plan, group_of):
        click.echo(_painted(line) if colour else line.text, color=colour)


def print_restore(plans: Iterable[Plan]) -> None:
    """The text for a restore program that carries a plan out, of the only one that is not empty.

    Raises InvalidInput where there are several: iptables-restore would take lines of IPv6 that name
    no address for its own, and rewrite the chains of one set with what belongs to another.
    """
    changing = [plan for plan in plans if plan]
    families = {plan.family for plan in changing}
    if len(changing) > 1:
        raise InvalidInput([
            Problem(
                "-o restore is a text for one family of one node, and more than that changes",
                hint="name a family with -4 or -6"
                if len(families) > 1
                else "compare one set of manifests at a time",
            )
        ])  # fmt: skip
    if families == {Family.IPV6}:
        say("the text is of IPv6: it is for ip6tables-restore")
    for plan in changing:
        click.echo(plan.to_restore(), nl=False)


def _painted(line: ReportLine) -> str:
    return click.style(line.text, fg=_COLOURS.get(line.kind), bold=line.kind == "heading")


def summary(plan: Plan) -> str:
    """A plan in a few words: `12 chains created, 3 changed`."""
    tables = plan.tables.values()
    unread = sum(
        chain in plan.before.tables[name].unread
        for name, table in plan.tables.items()
        if name in plan.before.tables
        for chain in table.create
    )
    counts = (
        ("created", sum(len(table.create) for table in tables) - unread),
        ("written anew without having been read", unread),
        ("changed", sum(len(table.rewrite) for table in tables)),
        ("deleted", sum(len(table.delete) for table in tables)),
    )
    parts = [f"{count} chains {word}" for word, count in counts if count]
    if jumps := sum(len(table.insert) for table in tables):
        parts.append(f"{jumps} jumps inserted")
    if jumps := sum(len(table.remove) for table in tables):
        parts.append(f"{jumps} jumps removed")
    return ", ".join(parts).replace(" 1 chains", " 1 chain").replace(" 1 jumps", " 1 jump")


def say_kept(plan: Plan, applied: Applied) -> None:
    """Name the chains that stay because a foreign rule jumps to them, and what is unknown.

    `applied` is what carrying the plan out came to.
    """
    for (table, chain), line in plan.kept.items():
        say(f"{table} {chain} stays, because others use it: {line}", kind="warning")
    for table, chain in applied.kept:
        if (table, chain) not in plan.kept:
            say(f"{table} {chain} stays, empty: the kernel refuses to delete it", kind="warning")
    if applied.starved is not None:
        say(
            f"{plan.family.value}: other programs keep the tables from being read; the kernel took "
            "every commit, our jumps and the chains of fixed names were read back, and no other "
            "chain was: apply again when they pause to have all of it verified",
            kind="warning",
        )
