"""`nptables diff`: a node against the cluster, or one set of manifests against another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import click

from nptables.checks import wrong_in_shared_chains
from nptables.checks.reports import workflow_command
from nptables.cli.dumps import read_current
from nptables.cli.manifests import read_sets, say_what_is_unknown, say_what_was_read
from nptables.cli.node import each_family, print_plan, with_live_facts
from nptables.cli.options import (
    Inputs,
    family_options,
    inputs_of,
    live_options,
    manifest_options,
    node_options,
    read_inputs,
    refuse_both_families,
    with_shown_facts,
)
from nptables.cli.output import print_json, say, say_all
from nptables.errors import InvalidInput, printable
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
        return _two_trees(output, options)
    say_what_is_unknown([inputs.cluster])
    _say_suspicions(plans, inputs)
    if output == "github":
        for plan in plans:
            _annotate(plan, lambda service: where_changed(service, inputs.loaded, None))
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
        if isinstance(plan.desired, Translation):
            for suspicion in suspicions(plan.before, plan.desired, inputs.node):
                found.setdefault(suspicion.field, {})[suspicion.value] = None
    if found:
        fields = ", ".join(f"{field}: {' and '.join(values)}" for field, values in found.items())
        say(
            f"the node's rules look made with another configuration, one with {fields}: "
            "give the node's own with --config",
            kind="warning",
        )


def _two_trees(output: str, options: dict[str, Any]) -> int:
    """What changes when one input becomes another; of trees, each set with its counterpart."""
    paths = (*options.pop("files"), *options.pop("more_files"))
    if len(paths) != 2:
        raise click.UsageError(
            "name a node's dump with --current, say --live, or give two FILEs to compare"
        )
    lenient = options.pop("lenient")
    families = (options["family"],) if options["family"] else Family
    found: list[tuple[str, Plan]] = []
    pairs = _pairs(paths, lenient=lenient)
    for name, old, new in pairs:
        before, after = (_inputs(one, old if one is new else new, options) for one in (old, new))
        plans = [diff(before.translate(each), after.translate(each)) for each in families]
        found += [(name, plan) for plan in plans]
        if output == "github":
            for plan in plans:
                _annotate(plan, partial(where_changed, new=new, old=old))
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
    """An input for the node that was named, or the only one of it or its counterpart."""
    node_name = options["node_name"]
    if node_name is None and not loaded.cluster.nodes and len(other.cluster.nodes) == 1:
        node_name = next(iter(other.cluster.nodes))
    return inputs_of(loaded, **{**options, "node_name": node_name})


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
