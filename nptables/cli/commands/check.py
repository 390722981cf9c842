"""`nptables check`: find mistakes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import click

import nptables
from nptables.checks import CODES, Finding, Severity, check_cluster, check_node, chosen
from nptables.checks.finding import fits
from nptables.checks.reports import github_lines, to_sarif
from nptables.cli.options import (
    Inputs,
    family_options,
    manifest_options,
    node_options,
    read_config,
    read_inputs,
    read_manifests,
)
from nptables.cli.output import coloured, folded, print_json, say
from nptables.errors import printable
from nptables.model import ProxyConfig
from nptables.model.reading import nearest, quoted
from nptables.sources import Loaded


def _codes(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> list[str]:  # noqa: ARG001
    """The codes of an option that may be repeated, and may hold commas; each must mean one."""
    words = [word.strip() for value in values for word in value.split(",")]
    for word in words:
        if not any(fits(code, word) for code in CODES.values()):
            raise click.BadParameter(f"there is no code {quoted(word)} ({_meant(word)})")
    return words


def _meant(word: str) -> str:
    """A hint at the code that has all characters but one in common, or at a name like it."""
    for code in CODES:
        same = sum(one == other for one, other in zip(word.upper(), code, strict=False))
        if len(word) == len(code) == same + 1:
            return f"did you mean {code}?"
    names = [code.name for code in CODES.values()]
    return nearest(word, names) or "docs/checks.md has them all"


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
@click.option(
    "--select",
    multiple=True,
    metavar="CODE",
    callback=_codes,
    help="Only these codes, or all that begin so, such as NPT1.",
)
@click.option(
    "--ignore", multiple=True, metavar="CODE", callback=_codes, help="All but these codes."
)
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
    select: list[str],
    ignore: list[str],
    severity: str,
    exit_zero: bool,
    **options: Any,
) -> int:
    """Find mistakes in manifests, and with --live on this node; exit 1 if there are any.

    Without --node every Node in the input is looked at. docs/checks.md has a paragraph for
    each code.
    """
    checked = _read(live=live, **options)
    found = chosen(
        _findings(checked, options, live=live),
        select=select,
        ignore=ignore,
        severity=Severity[severity.upper()],
    )
    if not checked.loaded.cluster.services:
        say("there is no Service in the input, so none was checked")
    if output == "json":
        print_json({"findings": [finding.to_json() for finding in found]})
    elif output == "sarif":
        print_json(to_sarif(found, nptables.__version__))
    elif output == "github":
        for line in github_lines(found):
            click.echo(line)
    elif found or checked.loaded.cluster.services:
        _print(found)
    return 1 if found and not exit_zero else 0


@attrs.frozen
class _Checked:
    """What is looked at: the nodes are all that the cluster has where none is named."""

    loaded: Loaded
    config: ProxyConfig
    inputs: Inputs | None = None


def _read(*, live: bool, **options: Any) -> _Checked:
    if live or options["node_name"] is not None:
        inputs = read_inputs(**options)
        return _Checked(inputs.loaded, inputs.config, inputs)
    loaded = read_manifests(options["files"], options["more_files"], lenient=options["lenient"])
    return _Checked(loaded, read_config(options["config_path"], loaded.proxy_config))


def _findings(checked: _Checked, options: dict[str, Any], *, live: bool) -> Iterator[Finding]:
    loaded, inputs = checked.loaded, checked.inputs
    yield from check_cluster(
        loaded.cluster,
        checked.config,
        nodes=None if inputs is None else [inputs.node],
        pods=loaded.pods,
        place=loaded.place,
    )
    if live and inputs is not None:
        yield from _live_findings(inputs, options)


def _live_findings(inputs: Inputs, options: dict[str, Any]) -> Iterator[Finding]:
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


def _print(findings: list[Finding]) -> None:
    for finding in findings:
        line = folded(str(finding), further="  ")
        if coloured():
            word = finding.what.severity.word
            painted = click.style(word, fg=_COLOURS[finding.what.severity], bold=True)
            line = line.replace(f"{word} {finding.what.code}", f"{painted} {finding.what.code}", 1)
        click.echo(line)
        click.echo(folded(printable(finding.what.effect, 1000), indent="    ", further=""))
        click.echo(folded(f"do: {printable(finding.what.remedy, 1000)}", indent="    "))
    if findings:
        counts = {
            severity: sum(finding.what.severity is severity for finding in findings)
            for severity in reversed(Severity)
        }
        said = [f"{count} {severity.word}" for severity, count in counts.items() if count]
        click.echo(f"{len(findings)} findings: {', '.join(said)}", err=True)
    else:
        click.echo("no findings", err=True)
