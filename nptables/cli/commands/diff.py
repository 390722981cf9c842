"""`nptables diff`: a node against the cluster, or one set of manifests against another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from nptables.cli.node import each_family, print_plan, with_live_facts
from nptables.cli.options import Inputs, family_options, manifest_options, node_options, read_inputs
from nptables.cli.output import print_json, say, say_all
from nptables.errors import printable
from nptables.family import Family
from nptables.iptables import Ruleset
from nptables.iptables.changes import Plan, diff
from nptables.iptables.changes.report import report_lines
from nptables.sources import read_text
from nptables.translation.grouping import service_groups


@click.command("diff")
@manifest_options
@node_options
@family_options
@click.option(
    "--current", "current_path", metavar="DUMP", help="A node's iptables-save output, or '-'."
)
@click.option("--live", is_flag=True, help="Compare with the tables of this node (needs root).")
@click.option(
    "--backend",
    type=click.Choice(["auto", "legacy", "nft"]),
    default="auto",
    show_default=True,
    help="With --live: which tables.",
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
    *, current_path: str | None, live: bool, backend: str, output: str, **options: Any
) -> int:
    """Compare what a node has with what the cluster says; exit 1 if they differ.

    With --current a dump of any node, with --live this node. Without either, two FILEs (or
    directories): what would change on a node when the first becomes the second.
    """
    if live and current_path is not None:
        raise click.UsageError("--live and --current exclude each other")
    if live:
        plans = list(_live(backend, options))
    elif current_path is not None:
        inputs = read_inputs(**options)
        current = Ruleset.from_save(read_text(current_path), family=inputs.family)
        plans = [diff(current, inputs.translate())]
    else:
        plans = list(_between(options))
    _print(plans, output)
    return 1 if any(plans) else 0


def _live(backend: str, options: dict[str, Any]) -> Iterator[Plan]:
    from nptables.kernel.whole_node import look  # noqa: PLC0415 (a dump needs no kernel)

    inputs = with_live_facts(read_inputs(**options), options["facts_path"])
    for _, change in each_family(
        options["family"], lambda family: look(inputs.translate(family), backend=backend)
    ):
        say_all(change.warnings, kind="warning")
        yield change.plan


def _between(options: dict[str, Any]) -> Iterator[Plan]:
    """The plans from the first FILE to the second, for both families unless one is asked for."""
    paths = (*options.pop("files"), *options.pop("more_files"))
    if len(paths) != 2:
        raise click.UsageError(
            "name a node's dump with --current, say --live, or give two FILEs to compare"
        )
    old, new = (_inputs(path, options) for path in paths)
    for family in (options["family"],) if options["family"] else Family:
        yield diff(old.translate(family), new.translate(family))


def _inputs(path: str, options: dict[str, Any]) -> Inputs:
    return read_inputs(files=(path,), more_files=(), **options)


def _print(plans: list[Plan], output: str) -> None:
    if output == "json":
        print_json({"plans": [plan.to_json() for plan in plans]})
        return
    for plan in plans:
        if output == "restore":
            click.echo(plan.to_restore(), nl=False)
        elif output == "github":
            _annotate(plan)
        else:
            if len(plans) > 1 and (plan or plan.kept or plan.cosmetic):
                say(f"{plan.family.value}:")
            print_plan(plan)


def _annotate(plan: Plan) -> None:
    """One annotation for each Service: how many rules come and go."""
    counts: dict[str, dict[str, int]] = {}
    group = ""
    for line in report_lines(plan, service_groups(plan.desired, plan.before)):
        if line.kind == "heading":
            group = line.text.removeprefix("# ")
        elif line.kind in ("added", "removed"):
            found = counts.setdefault(group, {"added": 0, "removed": 0})
            found[line.kind] += 1
        elif line.kind == "note":
            click.echo(f"::notice title=nptables {plan.family.value}::{_escaped(line.text[2:])}")
    for name, found in counts.items():
        text = f"{name}: {found['added']} rules added, {found['removed']} removed"
        click.echo(f"::warning title=nptables {plan.family.value}::{_escaped(text)}")


def _escaped(text: str) -> str:
    """Data of a workflow command, which is one line."""
    return printable(text, 2000).replace("%", "%25")
