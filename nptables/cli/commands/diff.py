"""`nptables diff`: a node against the cluster, or one set of manifests against another."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import attrs
import click

from nptables.answering.comparing import (
    Against,
    against,
    changed,
    habit_changes,
    habits_document,
    plans_document,
    say_beside,
)
from nptables.answering.effects import of_inputs
from nptables.cli.clusters import all_namespaces_option, namespace_option
from nptables.cli.comparing import Alike, compared, pairs_of
from nptables.cli.effects import (
    effects_option,
    print_effects,
    say_summary,
)
from nptables.cli.evidence import Named, evidence_options
from nptables.cli.forms import FORMS, forms_of, print_lines
from nptables.cli.forms.form import Noticed, Planned
from nptables.cli.manifests import is_verbose
from nptables.cli.node import print_plan, print_restore
from nptables.cli.options import (
    Inputs,
    family_options,
    manifest_options,
    node_address_option,
    node_options,
    read_inputs,
)
from nptables.cli.output import print_json, say
from nptables.cli.repository import settings_options
from nptables.cli.settings import asked_namespace
from nptables.cli.versions import config_for
from nptables.effects import Effects
from nptables.effects.words import nodes_in_words
from nptables.errors import printable
from nptables.family import Family
from nptables.iptables.changes import diff
from nptables.sources import where_changed
from nptables.translation.explanation.versions import HabitChange

_HINT = "--effects says which"


@click.command("diff")
@manifest_options
@node_options
@node_address_option
@family_options("both, or with --snapshot those in it")
@evidence_options("Compare with", whole=True)
@click.option(
    "--to-version",
    metavar="VERSION",
    help="Show what this version of kube-proxy would change on the node, and why.",
)
@click.option(
    "--all-nodes",
    is_flag=True,
    help="With two FILEs: what changes on every Node in them; equal changes are shown once.",
)
@effects_option
@namespace_option("With --effects: only those of this namespace's Services.")
@all_namespaces_option("With --effects: those of all namespaces, which is the default.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json", "restore", *forms_of("plans")]),
    default="text",
    show_default=True,
    help="text: a unified diff, grouped by Service. json: the changes as data. restore: input for "
    "iptables-restore --noflush, of one family. github: annotations for a workflow. markdown: a "
    "comment on a pull request.",
)
@settings_options
def command(
    *,
    node_has: Named,
    to_version: str | None,
    all_nodes: bool,
    effects: bool,
    output: str,
    **options: Any,
) -> int:
    """Compare the rules of a node with those that its cluster asks for; exit 1 if they differ.

    --snapshot compares the node in that file, --live this node. Without either, give two FILEs or
    folders: shown is what changes on a node when the second replaces the first. With --to-version
    shown is what an upgrade of kube-proxy changes.
    """
    if effects and output == "restore":
        raise click.UsageError("--effects works with -o text, json, github and markdown")
    one = options["node_name"] is not None or options["facts_path"] is not None
    if all_nodes and (node_has or to_version is not None or one):
        raise click.UsageError(
            "--all-nodes compares two FILEs: --node, --facts, --live, --snapshot and --to-version "
            "are about one node"
        )
    if all_nodes and output == "restore":
        raise click.UsageError("--all-nodes cannot be used with -o restore: a text is for one node")
    if asked_namespace() and not effects:
        raise click.UsageError("-n works only with --effects: rules are compared whole")
    if to_version is not None:
        if node_has:
            raise click.UsageError("--to-version cannot be used with --live or --snapshot")
        return _upgrade(to_version, output, options, effects=effects)
    if not node_has:
        return _two_trees(output, options, effects=effects, all_nodes=all_nodes)
    compared = _against(node_has, options)
    if compared.elsewhere:
        return _not_compared(compared.elsewhere, output, effects=effects)
    inputs, plans, noticed = compared.inputs, compared.plans, compared.noticed()
    place = partial(where_changed, new=inputs.loaded)
    if effects:
        return print_effects([Noticed(each, place) for each in noticed], output)
    _print_all([Planned(plan, place) for plan in plans], output)
    if any(plans):
        say_summary(noticed, hint=_HINT)
    return 1 if any(plans) else 0


def _not_compared(elsewhere: str, output: str, *, effects: bool) -> int:
    """Say who handles Services instead of rules, of which a difference would say nothing."""
    if output == "json":
        nothing = Effects((), 0, 0, ()).to_json() if effects else {"plans": []}
        print_json({**nothing, "handledElsewhere": elsewhere})
    elif (form := FORMS.get(output)) is not None and form.warning is not None:
        print_lines(form.warning(elsewhere))
    say(f"{elsewhere}; so nothing is compared", kind="warning")
    return 1


def _against(node_has: Named, options: dict[str, Any]) -> Against[Inputs]:
    """How what a node has differs from what the cluster says; says what may be wrong with it."""
    there = node_has.read(options["family"])
    there.refuse_part()
    families = there.families(options["family"], say)
    inputs = read_inputs(**options, live=node_has.live, evidence=there.evidence)
    found = against(there, inputs, families, say=say)
    say_beside(found, say, each=is_verbose())
    return found


def _upgrade(to_version: str, output: str, options: dict[str, Any], *, effects: bool) -> int:
    """What changes on a node when another version of kube-proxy takes over."""
    inputs = read_inputs(**options)
    after = config_for(inputs.found, [inputs.node], version=to_version)
    families = (options["family"],) if options["family"] else tuple(Family)
    upgraded = attrs.evolve(inputs, config=after)
    plans, noticed = changed(inputs, upgraded, families)
    if effects:
        say(f"from kube-proxy {inputs.config.version} to {after.version} on {inputs.node.name}")
        place = partial(where_changed, new=inputs.loaded)
        return print_effects([Noticed(each, place) for each in noticed], output)
    found = habit_changes(inputs, upgraded, families)
    count = len({change.habit.name for change in found})
    habits = "1 habit changes rules" if count == 1 else f"{count} habits change rules"
    what = habits if count else "nothing changes"
    say(f"from kube-proxy {inputs.config.version} to {after.version} on {inputs.node.name}: {what}")
    if output == "json":
        print_json(habits_document(found))
    elif output == "text":
        _print_habits(found, several=len(families) > 1)
    else:
        place = partial(where_changed, new=inputs.loaded)
        _print_all([Planned(plan, place) for plan in plans], output)
    if found:
        say_summary(noticed, hint=_HINT)
    return 1 if found else 0


def _print_habits(changes: list[HabitChange], *, several: bool) -> None:
    """The changes by habit, each with what it means, and of each family where there are several."""
    by_habit: dict[str, list[HabitChange]] = {}
    for change in changes:
        by_habit.setdefault(change.title, []).append(change)
    for title, found in by_habit.items():
        click.echo(f"## {title}")
        click.echo(f"## {found[0].habit.means}")
        for change in found:
            if several:
                click.echo(f"## {change.plan.family.value}:")
            print_plan(change.plan)


def _two_trees(output: str, options: dict[str, Any], *, effects: bool, all_nodes: bool) -> int:
    """What changes when one input becomes another; of trees, each set with its counterpart."""
    paths = (*options.pop("files"), *options.pop("more_files"))
    if len(paths) != 2:
        raise click.UsageError(
            "name a node's dump with --snapshot, say --live, or give two FILEs to compare"
        )
    lenient = options.pop("lenient")
    families = (options["family"],) if options["family"] else tuple(Family)
    planned: list[Planned] = []
    noticed: list[Noticed] = []
    pairs = pairs_of(paths, lenient=lenient)
    for name, old, new in pairs:
        place = partial(where_changed, new=new, old=old)
        parts: list[Effects] = []
        own: dict[str, tuple[str, ...]] = {}
        alike = Alike()
        for before, after in compared(old, new, options, all_nodes=all_nodes):
            nodes = (before.node.name,) if all_nodes else ()
            if all_nodes:
                own[before.node.name] = tuple(address for _, address in before.node.addresses)
            for each in families:
                plan = diff(before.translate(each), after.translate(each))
                alike.add(Planned(plan, place, name if len(pairs) > 1 else "", nodes))
                # Of all nodes only where it is asked for: a line of summary is not worth the time.
                if effects or not all_nodes:
                    parts.append(of_inputs(before, after, plan))
        planned += alike.parts
        noticed.append(Noticed(Effects.joined(tuple(parts)), place, own))
    if effects:
        return print_effects(noticed, output)
    _print_all(planned, output)
    differs = any(part.plan for part in planned)
    if all_nodes and not differs:
        say("nothing changes on any Node")
    elif differs and not all_nodes:
        say_summary((each.effects for each in noticed), hint=_HINT)
    return 1 if differs else 0


def _print_all(parts: Sequence[Planned], output: str) -> None:
    """Print how rules differ, each part under the set, the family and the nodes that it is of."""
    form = FORMS.get(output)
    if form is not None and form.plans is not None:
        print_lines(form.plans(parts))
    elif output == "json":
        print_json(plans_document((part.plan, _about(part)) for part in parts))
    elif output == "restore":
        print_restore(part.plan for part in parts)
    else:
        _print(parts)


def _about(part: Planned) -> dict[str, Any]:
    about: dict[str, Any] = {"set": part.set} if part.set else {}
    return {**about, "nodes": list(part.nodes)} if part.nodes else about


def _print(parts: Sequence[Planned]) -> None:
    families = {part.plan.family for part in parts}
    shown = ""
    for part in parts:
        plan = part.plan
        if not (plan or plan.kept or plan.cosmetic):
            continue
        if part.set != shown:
            shown = part.set
            say(f"{printable(shown)}:")
        if part.nodes:
            say(f"{plan.family.value} on {nodes_in_words(part.nodes)}:")
        elif len(families) > 1:
            say(f"{plan.family.value}:")
        print_plan(plan)
