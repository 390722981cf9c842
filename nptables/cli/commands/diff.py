"""`nptables diff`: a node against the cluster, or one set of manifests against another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import click

from nptables.checks import wrong_in_shared_chains
from nptables.checks.reports import workflow_command
from nptables.cli.dumps import read_current
from nptables.cli.node import each_family, print_plan, with_live_facts
from nptables.cli.options import (
    Inputs,
    family_options,
    live_options,
    manifest_options,
    node_options,
    read_inputs,
    refuse_both_families,
    with_shown_facts,
)
from nptables.cli.output import print_json, say, say_all
from nptables.family import Family
from nptables.iptables.changes import Plan, diff
from nptables.iptables.changes.report import report_lines
from nptables.sources import Loaded, Place, where_changed
from nptables.translation import Translation
from nptables.translation.explanation.grouping import service_groups
from nptables.translation.signs import suspicions


@click.command("diff")
@manifest_options
@node_options
@family_options("both, with --current that of the dump")
@click.option(
    "--current", "current_path", metavar="DUMP", help="A node's iptables-save output, or '-'."
)
@live_options("Compare with the tables")
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
    *, current_path: str | None, live: bool, backend: str, output: str, **options: Any
) -> int:
    """Compare what a node has with what the cluster says; exit 1 if they differ.

    With --current a dump of any node, with --live this node. Without either, two FILEs (or
    directories): what would change on a node when the first becomes the second.
    """
    if live and current_path is not None:
        raise click.UsageError("--live and --current exclude each other")
    old: Loaded | None = None
    if live:
        inputs = with_live_facts(read_inputs(**options), options["facts_path"])
        plans = list(_live(backend, inputs, options["family"]))
    elif current_path is not None:
        refuse_both_families("a dump is of one family")
        current = read_current(current_path, options["family"])
        inputs = read_inputs(**{**options, "family": current.family})
        inputs = with_shown_facts(inputs, current)
        plans = [diff(current, inputs.translate())]
        _warn(plans[0], inputs)
    else:
        before, inputs = _two_inputs(options)
        old = before.loaded
        families = (options["family"],) if options["family"] else Family
        plans = [diff(before.translate(each), inputs.translate(each)) for each in families]
    _say_suspicions(plans, inputs)
    if output == "github":
        for plan in plans:
            _annotate(plan, lambda service: where_changed(service, inputs.loaded, old))
    else:
        _print(plans, output)
    return 1 if any(plans) else 0


def _live(backend: str, inputs: Inputs, family: Family | None) -> Iterator[Plan]:
    from nptables.kernel.whole_node import look  # noqa: PLC0415 (a dump needs no kernel)

    for _, change in each_family(
        family, lambda each: look(inputs.translate(each), backend=backend)
    ):
        say_all(change.warnings, kind="warning")
        _warn(change.plan, inputs)
        yield change.plan


def _warn(plan: Plan, inputs: Inputs) -> None:
    """Say what is wrong in chains that others keep too: those rules are never in a plan."""
    say_all(wrong_in_shared_chains(plan.before, inputs.config.masquerade_mark), kind="warning")


def _say_suspicions(plans: list[Plan], inputs: Inputs) -> None:
    """Name the configuration that a node's rules look made with, where it is not the one here."""
    found: dict[str, dict[str, None]] = {}
    for plan in filter(None, plans):
        # Two sets of manifests are compared under one configuration.
        if not isinstance(plan.before, Translation) and isinstance(plan.desired, Translation):
            for suspicion in suspicions(plan.before, plan.desired, inputs.node):
                found.setdefault(suspicion.field, {})[suspicion.value] = None
    if found:
        fields = ", ".join(f"{field}: {' and '.join(values)}" for field, values in found.items())
        say(
            f"the node's rules look made with another configuration, one with {fields}: "
            "give the node's own with --config",
            kind="warning",
        )


def _two_inputs(options: dict[str, Any]) -> tuple[Inputs, Inputs]:
    paths = (*options.pop("files"), *options.pop("more_files"))
    if len(paths) != 2:
        raise click.UsageError(
            "name a node's dump with --current, say --live, or give two FILEs to compare"
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
