"""`nptables diff`: a node against the cluster, or one set of manifests against another."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import attrs
import click

from nptables.checks import wrong_in_shared_chains
from nptables.checks.reports import workflow_command
from nptables.cli.clusters import all_namespaces_option, namespace_option
from nptables.cli.effects import (
    PlaceOf,
    effects_option,
    of_inputs,
    of_plan,
    print_effects,
    print_effects_of_sets,
    say_summary,
)
from nptables.cli.evidence import Named, evidence_options, families_of
from nptables.cli.manifests import read_sets, say_what_is_unknown, say_what_was_read
from nptables.cli.node import print_plan
from nptables.cli.options import (
    Inputs,
    explained,
    family_options,
    inputs_of,
    manifest_options,
    node_address_option,
    node_options,
    read_inputs,
    with_shown_facts,
)
from nptables.cli.output import print_json, say, say_all
from nptables.cli.settings import asked_namespace
from nptables.cli.versions import config_for
from nptables.effects import Effects
from nptables.errors import InvalidInput, printable
from nptables.evidence import Evidence, Form
from nptables.evidence.handlers import handlers
from nptables.evidence.native import native_rules
from nptables.family import Family
from nptables.iptables.changes import Plan, diff
from nptables.iptables.changes.report import report_lines
from nptables.sources import Loaded, Place, where_changed
from nptables.translation import translate
from nptables.translation.explanation.grouping import service_groups
from nptables.translation.explanation.versions import HabitChange, changes_by_habit

_HINT = "--effects says which"


@click.command("diff")
@manifest_options
@node_options
@node_address_option
@family_options("both, with --snapshot those that it has")
@evidence_options("Compare with")
@click.option(
    "--to-version",
    metavar="VERSION",
    help="What another version of kube-proxy would change on the node, habit by habit.",
)
@effects_option
@namespace_option("With --effects: only those of this namespace's Services.")
@all_namespaces_option("With --effects: those of all namespaces, which is the default.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json", "restore", "github"]),
    default="text",
    show_default=True,
    help="text: a unified diff by Service. json: the plan. restore: for iptables-restore "
    "--noflush. github: annotations for a workflow.",
)
def command(
    *,
    node_has: Named,
    to_version: str | None,
    effects: bool,
    output: str,
    **options: Any,
) -> int:
    """Compare what a node has with what the cluster says; exit 1 if they differ.

    With --snapshot what any node has, with --live this node. Without either, two FILEs (or
    directories): what would change on a node when the first becomes the second. With --to-version
    and one cluster: what an upgrade of kube-proxy would change. With --effects not which rules
    differ but what packets notice.
    """
    if effects and output == "restore":
        raise click.UsageError("--effects is for text, json and github")
    if asked_namespace() and not effects:
        raise click.UsageError("-n goes with --effects: rules are compared whole")
    if to_version is not None:
        if node_has:
            raise click.UsageError("--to-version goes with neither --live nor --snapshot")
        return _upgrade(to_version, output, options, effects=effects)
    if not node_has:
        return _two_trees(output, options, effects=effects)
    inputs, compared, elsewhere = _against(node_has, options)
    if elsewhere:
        return _not_compared(elsewhere, output, effects=effects)
    plans = [plan for plan, _ in compared]
    noticed = [found for _, found in compared]
    say_what_is_unknown([inputs.cluster])
    found = explained(plans, inputs)
    say_all(filter(None, [found.version]), kind="note")
    say_all(filter(None, [found.configuration]), kind="warning")

    def place(service: tuple[str, str]) -> Place | None:
        return where_changed(service, inputs.loaded, None)

    if effects:
        return print_effects(noticed, output, place)
    if output == "github":
        for plan in plans:
            _annotate(plan, place)
    else:
        _print(plans, output)
    if any(plans):
        say_summary(noticed, hint=_HINT)
    return 1 if any(plans) else 0


def _not_compared(elsewhere: str, output: str, *, effects: bool) -> int:
    """Say who handles Services instead of rules, of which a difference would say nothing."""
    if output == "json":
        nothing = Effects((), 0, 0, ()).to_json() if effects else {"plans": []}
        print_json({**nothing, "handledElsewhere": elsewhere})
    elif output == "github":
        click.echo(workflow_command("warning", elsewhere, title="nptables"))
    say(f"{elsewhere}; so nothing is compared", kind="warning")
    return 1


def _against(
    node_has: Named, options: dict[str, Any]
) -> tuple[Inputs, list[tuple[Plan, Effects]], str]:
    """What the cluster says, and for each family how what a node has differs from it.

    And who handles Services there instead of rules, if somebody does.
    """
    evidence = node_has.read_whole(options["family"])
    families = families_of(evidence, options["family"], node_has.path)
    inputs = read_inputs(**options, live=node_has.live, evidence=evidence)
    current = [node_has.serving(evidence, family) for family in families]
    inputs = with_shown_facts(inputs, current, evidence.form.value)
    plans = [diff(each, inputs.translate(each.family)) for each in current]
    for plan in plans:
        _warn_of_missing_tables(plan, evidence)
        say_all(native_rules(evidence.native or (), plan.family), kind="warning")
        _warn(plan, inputs)
    elsewhere = handlers(evidence).instead(inputs.node.name)
    if elsewhere:
        return inputs, [], elsewhere
    return inputs, [(plan, of_plan(plan, inputs, evidence)) for plan in plans], ""


def _warn_of_missing_tables(plan: Plan, evidence: Evidence) -> None:
    """Say which tables may be there although a dump has others only: an empty one has none."""
    missing = [name for name in plan.tables if name not in plan.before.tables]
    if missing and plan.before.tables and evidence.form is not Form.SNAPSHOT:
        tables = " and ".join(missing)
        say(
            f"the {evidence.form.value} has no table {tables}: what is said of it holds only if "
            "the node has none either",
            kind="warning",
        )


def _upgrade(to_version: str, output: str, options: dict[str, Any], *, effects: bool) -> int:
    """What changes on a node when another version of kube-proxy takes over."""
    inputs = read_inputs(**options)
    after = config_for(inputs.found, [inputs.node], version=to_version)
    families = (options["family"],) if options["family"] else tuple(Family)
    upgraded = attrs.evolve(inputs, config=after)
    noticed = [_noticed(inputs, upgraded, family) for family in families]
    if effects:
        say(f"from kube-proxy {inputs.config.version} to {after.version} on {inputs.node.name}")
        return print_effects(
            noticed, output, lambda service: where_changed(service, inputs.loaded, None)
        )
    found = [
        change
        for family in families
        for change in changes_by_habit(inputs.cluster, inputs.node, inputs.config, after, family)
    ]
    count = len({change.habit.name for change in found})
    habits = "1 habit changes rules" if count == 1 else f"{count} habits change rules"
    what = habits if count else "nothing changes"
    say(f"from kube-proxy {inputs.config.version} to {after.version} on {inputs.node.name}: {what}")
    if output == "json":
        print_json({"habits": [_habit_json(change) for change in found]})
    elif output == "text":
        _print_habits(found, several=len(families) > 1)
    else:
        for family in families:
            before = inputs.translate(family)
            plan = diff(before, translate(inputs.cluster, inputs.node, after, family))
            if output == "restore":
                click.echo(plan.to_restore(), nl=False)
            else:
                _annotate(plan, lambda service: where_changed(service, inputs.loaded, None))
    if found:
        say_summary(noticed, hint=_HINT)
    return 1 if found else 0


def _noticed(before: Inputs, after: Inputs, family: Family) -> Effects:
    return of_inputs(before, after, diff(before.translate(family), after.translate(family)))


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


def _habit_json(change: HabitChange) -> dict[str, Any]:
    habit = change.habit
    return {
        "name": habit.name,
        "since": None if habit.since is None else str(habit.since),
        "until": None if habit.until is None else str(habit.until),
        "comes": change.gained,
        "means": habit.means,
        "plan": change.plan.to_json(),
    }


def _warn(plan: Plan, inputs: Inputs) -> None:
    """Say what is wrong in chains that others keep too: those rules are never in a plan."""
    say_all(wrong_in_shared_chains(plan.before, inputs.config.masquerade_mark), kind="warning")


def _two_trees(output: str, options: dict[str, Any], *, effects: bool) -> int:
    """What changes when one input becomes another; of trees, each set with its counterpart."""
    paths = (*options.pop("files"), *options.pop("more_files"))
    if len(paths) != 2:
        raise click.UsageError(
            "name a node's dump with --snapshot, say --live, or give two FILEs to compare"
        )
    lenient = options.pop("lenient")
    families = (options["family"],) if options["family"] else Family
    found: list[tuple[str, Plan]] = []
    noticed: list[tuple[Effects, PlaceOf]] = []
    pairs = _pairs(paths, lenient=lenient)
    for name, old, new in pairs:
        before, after = (_inputs(one, old if one is new else new, options) for one in (old, new))
        plans = [diff(before.translate(each), after.translate(each)) for each in families]
        found += [(name, plan) for plan in plans]
        place = partial(where_changed, new=new, old=old)
        noticed += [(of_inputs(before, after, plan), place) for plan in plans]
        if output == "github" and not effects:
            for plan in plans:
                _annotate(plan, place)
    if effects:
        return print_effects_of_sets(noticed, output)
    if output == "json":
        several = len(pairs) > 1
        print_json(
            {"plans": [{**({"set": n} if several else {}), **p.to_json()} for n, p in found]}
        )
    elif output != "github":
        for name, _, _ in pairs:
            plans = [plan for of, plan in found if of == name]
            if len(pairs) > 1 and any(plans):
                say(f"{printable(name)}:")
            _print(plans, output)
    if any(plan for _, plan in found):
        say_summary((each for each, _ in noticed), hint=_HINT)
    return 1 if any(plan for _, plan in found) else 0


def _pairs(paths: tuple[str, ...], *, lenient: bool) -> list[tuple[str, Loaded, Loaded]]:
    """The sets of two inputs by what they are called in each; one without counterpart is new."""
    sides = [_by_name(path, lenient=lenient) for path in paths]
    if all(len(side) == 1 for side in sides):
        ((name, old),), ((_, new),) = (side.items() for side in sides)
        return [(name, old, new)]
    names = dict.fromkeys((*sides[0], *sides[1]))
    return [(n, sides[0].get(n, Loaded()), sides[1].get(n, Loaded())) for n in names]


def _by_name(path: str, *, lenient: bool) -> dict[str, Loaded]:
    sets = read_sets((path,), (), lenient=lenient)
    say_all((str(one) for one in sets.left_out), kind="warning")
    judged = sets.judged or sets.idle
    problems = [*sets.problems, *(p for one in judged if not one.usable for p in one.problems)]
    if problems or not judged:
        raise InvalidInput(problems or sets.only.problems)
    for loaded in judged:
        say_what_was_read(loaded)
    return {loaded.name.removeprefix(path).strip("/") or ".": loaded for loaded in judged}


def _inputs(loaded: Loaded, other: Loaded, options: dict[str, Any]) -> Inputs:
    """An input for the node that was named, or the only one of it or its counterpart.

    Both are for one kube-proxy, whichever of them tells its version.
    """
    node_name = options["node_name"]
    if node_name is None and not loaded.cluster.nodes and len(other.cluster.nodes) == 1:
        node_name = next(iter(other.cluster.nodes))
    like = other.cluster.nodes.get(node_name or next(iter(loaded.cluster.nodes), ""))
    return inputs_of(loaded, **{**options, "node_name": node_name}, like=like)


def _print(plans: list[Plan], output: str) -> None:
    if output == "json":
        print_json({"plans": [plan.to_json() for plan in plans]})
        return
    for plan in plans:
        if output == "restore":
            click.echo(plan.to_restore(), nl=False)
        else:
            if len(plans) > 1 and (plan or plan.kept or plan.cosmetic):
                say(f"{plan.family.value}:")
            print_plan(plan)


def _annotate(plan: Plan, place: Callable[[tuple[str, str]], Place | None]) -> None:
    """One annotation for each Service: how many rules come and go, and what file it is about."""
    counts: dict[str, dict[str, int]] = {}
    group = ""
    title = f"nptables {plan.family.value}"
    for line in report_lines(plan, service_groups(plan.desired, plan.before)):
        if line.kind == "heading":
            group = line.text.removeprefix("# ")
        elif line.kind in ("added", "removed"):
            found = counts.setdefault(group, {"added": 0, "removed": 0})
            found[line.kind] += 1
        elif line.kind == "note":
            click.echo(workflow_command("notice", line.text[2:], title=title))
    for name, found in counts.items():
        text = f"{name}: {found['added']} rules added, {found['removed']} removed"
        namespace, _, service = name.partition("/")
        file, number, _ = place((namespace, service)) or (None, None, None)
        click.echo(workflow_command("warning", text, title=title, file=file, line=number))
