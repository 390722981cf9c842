"""`nptables diff`: a node against the cluster, or one set of manifests against another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import click

from nptables.checks.reports import workflow_command
from nptables.cli.node import each_family, print_plan, with_live_facts
from nptables.cli.options import (
    Inputs,
    family_options,
    live_options,
    manifest_options,
    node_options,
    read_inputs,
)
from nptables.cli.output import print_json, say, say_all
from nptables.cli.versions import config_for, read_for
from nptables.family import Family
from nptables.iptables import Ruleset
from nptables.iptables.changes import Plan, diff
from nptables.iptables.changes.report import report_lines
from nptables.model.kubeproxy import Version
from nptables.sources import Loaded, Place, read_text, where_changed
from nptables.translation import translate
from nptables.translation.explanation.grouping import service_groups
from nptables.translation.explanation.versions import (
    HabitChange,
    changes_by_habit,
    count_lines,
    looks_like,
    sentence,
)


@click.command("diff")
@manifest_options
@node_options
@family_options("both, with --snapshot IPv4")
@click.option(
    "--snapshot",
    "current_path",
    metavar="FILE",
    help="What a node has: its iptables-save output, or '-'.",
)
@click.option("--current", "current_path", metavar="FILE", hidden=True)
@live_options("Compare with the tables")
@click.option(
    "--to-version",
    metavar="VERSION",
    help="What another version of kube-proxy would change on the node, habit by habit.",
)
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
    current_path: str | None,
    live: bool,
    backend: str,
    to_version: str | None,
    output: str,
    **options: Any,
) -> int:
    """Compare what a node has with what the cluster says; exit 1 if they differ.

    With --snapshot a dump of any node, with --live this node. Without either, two FILEs (or
    directories): what would change on a node when the first becomes the second. With --to-version
    and one cluster: what an upgrade of kube-proxy would change.
    """
    if live and current_path is not None:
        raise click.UsageError("--live and --snapshot exclude each other")
    if to_version is not None:
        if live or current_path is not None:
            raise click.UsageError("--to-version goes with neither --live nor --snapshot")
        return _upgrade(to_version, output, options)
    old: Loaded | None = None
    if live:
        inputs = with_live_facts(read_inputs(**options, live=True), options["facts_path"])
        plans = list(_live(backend, inputs, options["family"]))
    elif current_path is not None:
        inputs = read_inputs(**options)
        current = Ruleset.from_save(read_text(current_path), family=inputs.family)
        plans = [diff(current, inputs.translate())]
    else:
        before, inputs = _two_inputs(options)
        old = before.loaded
        families = (options["family"],) if options["family"] else Family
        plans = [diff(before.translate(each), inputs.translate(each)) for each in families]
    if live or current_path is not None:
        _say_whose(plans, inputs)
    if output == "github":
        for plan in plans:
            _annotate(plan, lambda service: where_changed(service, inputs.loaded, old))
    else:
        _print(plans, output)
    return 1 if any(plans) else 0


def _upgrade(to_version: str, output: str, options: dict[str, Any]) -> int:
    """What changes on a node when another version of kube-proxy takes over."""
    inputs = read_inputs(**options)
    after = config_for(inputs.found, [inputs.node], version=to_version)
    families = (options["family"],) if options["family"] else tuple(Family)
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


def _say_whose(plans: list[Plan], inputs: Inputs) -> None:
    """Say where drift is only the habit of another version of kube-proxy."""
    said = Version.parse(inputs.node.kubelet_version)
    for plan in plans:
        if not plan:
            continue
        likeness = looks_like(
            plan,
            inputs.cluster,
            inputs.node,
            lambda version: read_for(inputs.found, version),
            inputs.config,
        )
        if likeness is not None:
            family = f"{plan.family.value}: " if len(plans) > 1 else ""
            preferred = [] if said is None else [said]
            say(family + sentence(likeness, count_lines(plan), preferred))


def _live(backend: str, inputs: Inputs, family: Family | None) -> Iterator[Plan]:
    from nptables.kernel.whole_node import look  # noqa: PLC0415 (a dump needs no kernel)

    for _, change in each_family(
        family, lambda each: look(inputs.translate(each), backend=backend)
    ):
        say_all(change.warnings, kind="warning")
        yield change.plan


def _two_inputs(options: dict[str, Any]) -> tuple[Inputs, Inputs]:
    paths = (*options.pop("files"), *options.pop("more_files"))
    if len(paths) != 2:
        raise click.UsageError(
            "name a node's dump with --snapshot, say --live, or give two FILEs to compare"
        )
    old, new = (_inputs(path, options) for path in paths)
    return old, new


def _inputs(path: str, options: dict[str, Any]) -> Inputs:
    return read_inputs(files=(path,), more_files=(), **options)


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
