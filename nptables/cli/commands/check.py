"""`nptables check`: find mistakes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import click

import nptables
from nptables.checks import Finding, Severity, check_cluster, check_node, chosen
from nptables.checks.reports import github_lines, to_sarif
from nptables.cli.options import (
    family_options,
    manifest_options,
    node_options,
    read_config,
    read_facts,
    read_inputs,
    read_sets,
    say_what_is_unknown,
    say_what_was_read,
)
from nptables.cli.output import coloured, print_json, say, say_all
from nptables.errors import InvalidInput, Problem, printable
from nptables.model import Node, ProxyConfig
from nptables.sources import Loaded

_COLOURS = {Severity.INFO: "cyan", Severity.WARNING: "yellow", Severity.ERROR: "red"}


@click.command("check")
@manifest_options
@node_options
@family_options("both")
@click.option("--live", is_flag=True, help="Also look at the tables and settings of this node.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json", "sarif", "github"]),
    default="text",
    show_default=True,
)
@click.option("--select", multiple=True, metavar="CODE", help="Only these codes, such as NPT1.")
@click.option("--ignore", multiple=True, metavar="CODE", help="All but these codes.")
@click.option(
    "--severity",
    type=click.Choice(["info", "warning", "error"]),
    default="info",
    show_default=True,
    help="Leave out what is less than this.",
)
@click.option("--exit-zero", is_flag=True, help="Exit 0 whatever is found.")
def command(
    *,
    live: bool,
    output: str,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    severity: str,
    exit_zero: bool,
    **options: Any,
) -> int:
    """Find mistakes in manifests, and with --live on this node; exit 1 if there are any.

    Without --node every Node in the input is looked at. docs/checks.md has a paragraph for
    each code.
    """
    judged = _judged(live=live, **options)
    listed = [finding for one in judged for finding in one.findings]
    found = chosen(
        listed,
        select=_listed(select),
        ignore=_listed(ignore),
        severity=Severity[severity.upper()],
    )
    problems = [problem for one in judged for problem in one.problems]
    if output == "json":
        document: dict[str, Any] = {"findings": [finding.to_json() for finding in found]}
        if problems:
            document["problems"] = [problem.to_dict() for problem in problems]
        print_json(document)
    elif output == "sarif":
        print_json(to_sarif(found, nptables.__version__))
    elif output == "github":
        for line in github_lines(found):
            click.echo(line)
    else:
        _print(found, [one.name for one in judged])
    for problem in problems:
        click.echo(f"error: {problem}", err=True)
    if problems:
        return 2
    return 1 if found and not exit_zero else 0


@attrs.frozen
class _Judged:
    """The findings of one set, or why it could not be judged."""

    name: str
    findings: list[Finding]
    problems: tuple[Problem, ...] = ()


def _listed(words: tuple[str, ...]) -> list[str]:
    """Codes of an option that may be repeated, and may hold commas."""
    return [code.strip() for word in words for code in word.split(",")]


def _judged(*, live: bool, **options: Any) -> list[_Judged]:
    """Every set of the input with its findings, sorted as they were read."""
    if live:
        inputs = read_inputs(**options)
        say_what_is_unknown([inputs.cluster])
        found = _findings(inputs.loaded, inputs.config, [inputs.node])
        return [_Judged("", [*found, *_live_findings(inputs, options)])]
    sets = read_sets(options["files"], options["more_files"], lenient=options["lenient"])
    say_all((str(one) for one in sets.left_out), kind="warning")
    sound = [one for one in sets.judged if one.lenient or not one.problems]
    wrong = [problem for one in sets.judged if not one.lenient for problem in one.problems]
    if sets.problems or (wrong and len(sets.judged) == 1):
        raise InvalidInput((*sets.problems, *wrong))
    judged = []
    for loaded in sets.judged:
        if loaded.problems and not loaded.lenient:
            judged.append(_Judged(loaded.name, [], loaded.problems))
            continue
        say_what_was_read(loaded)
        judged.append(_Judged(loaded.name, _findings_of(loaded, **options)))
    say_what_is_unknown(one.cluster for one in sound)
    if not any(one.has_services for one in sound) and not wrong and not sets.left_out:
        say("there is no Service in the input, so nothing is said of any")
    return judged


def _findings_of(loaded: Loaded, **options: Any) -> list[Finding]:
    config = read_config(options["config_path"], loaded.proxy_config)
    nodes = None
    if options["node_name"] is not None:
        nodes = [loaded.cluster.node(options["node_name"], read_facts(options["facts_path"]))]
    found = _findings(loaded, config, nodes)
    name = "" if loaded.name == "." else loaded.name
    return [attrs.evolve(finding, set=name) for finding in found]


def _findings(loaded: Loaded, config: ProxyConfig, nodes: list[Node] | None) -> list[Finding]:
    return check_cluster(loaded.cluster, config, nodes=nodes, place=loaded.place)


def _live_findings(inputs: Any, options: dict[str, Any]) -> Iterator[Finding]:
    from nptables.cli.node import each_family, with_live_facts  # noqa: PLC0415 (needs the kernel)
    from nptables.kernel.node.observing import observe  # noqa: PLC0415
    from nptables.kernel.whole_node import look  # noqa: PLC0415

    inputs = with_live_facts(inputs, options["facts_path"])
    for family, change in each_family(
        options["family"], lambda family: look(inputs.translate(family))
    ):
        state = observe(
            inputs.node.name, change.plan, change.backend.name, warnings=change.warnings
        )
        yield from check_node(state, inputs.config, inputs.translate(family).context)


def _print(findings: list[Finding], sets: list[str]) -> None:
    shown = ""
    for finding in findings:
        if finding.set != shown:
            shown = finding.set
            click.echo(f"{printable(shown)}:")
        line = str(finding)
        if coloured():
            word = finding.what.severity.word
            painted = click.style(word, fg=_COLOURS[finding.what.severity], bold=True)
            line = line.replace(f"{word} {finding.what.code}", f"{painted} {finding.what.code}", 1)
        click.echo(line)
        click.echo(f"    {printable(finding.what.effect, 1000)}")
        click.echo(f"    do: {printable(finding.remedy, 2000)}")
    if findings:
        counts = {
            severity: sum(finding.what.severity is severity for finding in findings)
            for severity in reversed(Severity)
        }
        said = [f"{count} {severity.word}" for severity, count in counts.items() if count]
        click.echo(f"{len(findings)} findings: {', '.join(said)}", err=True)
    else:
        within = f" in {len(sets)} sets" if len(sets) > 1 else ""
        click.echo(f"no findings{within}" if sets else "nothing was judged", err=True)
