"""`nptables check`: find mistakes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import attrs
import click

from nptables.answering.checking import (
    Judged,
    Nodes,
    cluster_findings,
    findings_document,
    judged,
)
from nptables.answering.checking_nodes import connection_findings, node_findings
from nptables.checks import (
    Finding,
    Severity,
    chosen,
)
from nptables.checks.baseline import Baseline, Entry, baseline_document
from nptables.checks.silencing import silenced_by_rules
from nptables.cli.clusters import all_namespaces_option, namespace_option, shown_namespace
from nptables.cli.codes import SEVERITY_COLOURS, complete_codes, listed_codes
from nptables.cli.completion import FILE
from nptables.cli.evidence import Named, evidence_options
from nptables.cli.files import written
from nptables.cli.forms import FORMS, forms_of, print_lines
from nptables.cli.forms.form import Findings
from nptables.cli.forms.sarif import docs_url_option
from nptables.cli.manifests import (
    asked_node_ports,
    read_sets,
    say_what_is_unknown,
    say_what_was_read,
)
from nptables.cli.options import (
    family_options,
    find_configuration,
    inputs_of,
    manifest_options,
    node_address_option,
    node_options,
)
from nptables.cli.output import coloured, folded, print_json, say, say_all
from nptables.cli.repository import ignore_rules, settings_options
from nptables.cli.versions import by_version
from nptables.errors import printable
from nptables.immutable import frozen
from nptables.sources import Loaded, read_connections, read_document
from nptables.words import counted, listed


@click.command("check")
@manifest_options
@node_options
@node_address_option
@family_options("both")
@evidence_options("Also check")
@click.option(
    "--conntrack",
    "connections_path",
    type=FILE,
    metavar="FILE",
    help="Also check a node's UDP connections: the output of `conntrack -L` there, or '-'.",
)
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json", *forms_of("findings")]),
    default="text",
    show_default=True,
    help="sarif is for code scanning, github for the annotations of a workflow, markdown for a "
    "comment on a pull request.",
)
@docs_url_option
@click.option(
    "--select",
    multiple=True,
    metavar="CODE",
    callback=listed_codes,
    shell_complete=complete_codes,
    help="Only report this code, or all codes that begin so, such as NPT1.",
)
@click.option(
    "--ignore",
    multiple=True,
    metavar="CODE",
    callback=listed_codes,
    shell_complete=complete_codes,
    help="Do not report this code, or codes that begin so.",
)
@click.option(
    "--severity",
    type=click.Choice(["info", "warning", "error"]),
    default="info",
    show_default=True,
    help="Only report findings at least this severe.",
)
@click.option("--show-ignored", is_flag=True, help="Also list the findings that are ignored.")
@click.option(
    "--baseline",
    type=FILE,
    metavar="FILE",
    help="Do not fail for the findings in this file, which `check -o json` or --write-baseline "
    "wrote.",
)
@click.option(
    "--write-baseline",
    type=FILE,
    metavar="FILE",
    help="Write the findings to a file for --baseline, and exit 0.",
)
@namespace_option(
    "Only findings about this namespace, and about nodes.  [default: that of the context, if any]"
)
@all_namespaces_option("Findings about all namespaces.")
@click.option("--exit-zero", is_flag=True, help="Exit 0 even if there are findings.")
@settings_options
def command(
    *,
    node_has: Named,
    connections_path: str | None,
    output: str,
    select: list[str],
    ignore: list[str],
    severity: str,
    show_ignored: bool,
    baseline: str | None,
    write_baseline: str | None,
    exit_zero: bool,
    **options: Any,
) -> int:
    """Find mistakes in manifests or in a cluster, and on a node; exit 1 if there are any.

    --live and --snapshot also check the rules of a node. Without --node every Node in the input is
    checked. `nptables rule CODE` says what a code means.
    """
    known = None
    if baseline is not None:
        known = read_document(baseline, lambda value: Baseline.read(value, baseline))
    sets = list(_read(_Besides(node_has, connections_path), options))
    every = [finding for one in sets for finding in one.findings]
    every = silenced_by_rules(every, ignore_rules())
    gone: tuple[Entry, ...] = ()
    if known is not None:
        every, gone = known.applied(every)
    chosen_ones = chosen(every, select=select, ignore=ignore, severity=Severity[severity.upper()])
    found = [finding for finding in chosen_ones if finding.silence is None]
    ignored = [finding for finding in chosen_ones if finding.silence is not None]
    problems = [problem for one in sets for problem in one.problems]
    # As where nothing can be read: what is wrong with the input is a finding in these formats.
    reported = [*(finding for one in sets for finding in one.wrong), *found]
    form = FORMS.get(output)
    if form is not None and form.findings is not None:
        print_lines(form.findings(Findings("nptables check", reported, ignored)))
    elif output == "json":
        print_json(findings_document(found, ignored=ignored, gone=gone, problems=problems))
    elif found or ignored or any(one.has_services for one in sets):
        _print(found, ignored, len(sets), show_ignored=show_ignored)
    if not all(one.whole for one in sets):
        gone = ()
    if gone:
        _say_gone(gone, baseline or "")
    for problem in problems:
        click.echo(f"error: {problem}", err=True)
    if problems:
        return 2
    if write_baseline is not None:
        _write(write_baseline, [*found, *(f for f in ignored if known and known.has(f))])
        return 0
    return 1 if found and not exit_zero else 0


def _write(path: str, findings: Sequence[Finding]) -> None:
    with written(path) as write:
        write(json.dumps(baseline_document(findings), indent=2, ensure_ascii=False) + "\n")
    one = len(findings) == 1
    count = "1 finding is" if one else f"{len(findings)} findings are"
    say(f"{count} written to {path}: --baseline {path} lets {'it' if one else 'them'} pass")


def _say_gone(gone: Sequence[Entry], path: str) -> None:
    """Say which findings of a baseline are fixed, so that they can be removed from it."""
    what, there = ("1 finding", "is") if len(gone) == 1 else (f"{len(gone)} findings", "are")
    named = listed(map(str, gone), _MOST_GONE)
    say(f"{path} has {what} that {there} gone: {named}; --write-baseline leaves such out")


@frozen
class _Besides:
    """What is looked at besides the manifests: what a node has, and a file of connections."""

    node_has: Named
    connections: str | None

    def __bool__(self) -> bool:
        return bool(self.node_has) or self.connections is not None


def _read(besides: _Besides, options: Mapping[str, Any]) -> Iterator[Judged]:
    """Every set of the input with its findings, as they were read.

    What is known of a node belongs to one cluster: then the input has to hold one set.
    """
    sets = read_sets(options["files"], options["more_files"], lenient=options["lenient"])
    say_all((str(one) for one in sets.left_out), kind="warning")
    if besides:
        loaded = sets.only
        sets = attrs.evolve(sets, judged=(loaded,), problems=())

    def find(loaded: Loaded) -> Iterator[Finding]:
        say_what_was_read(loaded)
        yield from _findings(loaded, besides, options)

    yield from judged(sets, find, _shown)
    say_what_is_unknown(one.cluster for one in sets.judged if one.usable)
    if sets.left_out and not sets.judged:
        say("nothing was checked")
    elif all(one.usable and not one.has_services for one in sets.judged):
        say("there is no Service in the input, so none was checked")


def _shown(findings: list[Finding], loaded: Loaded) -> list[Finding]:
    """The findings about the namespace that is meant, and those about what is in none."""
    namespace = shown_namespace(loaded.cluster)
    if namespace is None:
        return findings
    return [finding for finding in findings if finding.namespace in ("", namespace)]


def _findings(loaded: Loaded, besides: _Besides, options: Mapping[str, Any]) -> Iterator[Finding]:
    cluster, inputs, there = loaded.cluster, None, None
    node_has = besides.node_has
    if node_has:
        there = node_has.read(options["family"])
    if there is not None or options["node_name"] is not None:
        inputs = inputs_of(
            loaded,
            **{key: options[key] for key in ("node_name", "config_path", "facts_path", "family")},
            live=node_has.live,
            evidence=None if there is None else there.evidence,
        )
        looked_at: Nodes = [(inputs.config, [inputs.node])]
    else:
        config = find_configuration(options["config_path"], loaded.proxy_config)
        looked_at = by_version(config, list(cluster.nodes.values()))
    yield from cluster_findings(loaded, looked_at, asked_node_ports())
    if besides.connections is not None:
        yield from connection_findings(read_connections(besides.connections), cluster, looked_at)
    if there is not None and inputs is not None:
        yield from node_findings(there, inputs, options["family"], say=say)


# Of more findings with one code than this only the first are printed.
_MOST_PRINTED = 20
_MOST_GONE = 4


def _print(
    findings: Sequence[Finding], ignored: Sequence[Finding], judged: int, *, show_ignored: bool
) -> None:
    shown = ""
    for (within, severity, what), group in groupby(findings, lambda f: (f.set, f.severity, f.what)):
        found = list(group)
        if within != shown:
            shown = within
            click.echo(f"{printable(within) or '.'}:")
        # One line a finding, for whoever reads them with a program.
        for finding in found[:_MOST_PRINTED]:
            line = str(finding)
            if coloured():
                painted = click.style(severity.word, fg=SEVERITY_COLOURS[severity], bold=True)
                said = f"{severity.word} {what.code}"
                line = line.replace(said, f"{painted} {what.code}", 1)
            click.echo(line)
            if finding.fix:
                click.echo(folded(f"do: {printable(finding.remedy, 2000)}", indent="    "))
        if len(found) > _MOST_PRINTED:
            rest = found[_MOST_PRINTED:]
            objects = len({finding.subject for finding in rest})
            about = "1 more object" if objects == 1 else f"{objects} more objects"
            click.echo(f"... and {len(rest)} more {what.code} about {about} (-o json has all)")
        click.echo(folded(printable(what.effect, 1000), indent="    ", further=""))
        if not all(finding.fix for finding in found):
            click.echo(folded(f"do: {printable(what.remedy, 1000)}", indent="    "))
    for finding in ignored if show_ignored else ():
        silence = finding.silence
        why = "" if silence is None else f" ({silence.reason}; {silence.by})"
        click.echo(f"ignored: {finding}{printable(why, 1200)}")
    more = "" if not ignored else f", {len(ignored)} ignored"
    if more and not show_ignored:
        more += " (--show-ignored lists them)"
    if findings:
        counts = {
            severity: sum(finding.severity is severity for finding in findings)
            for severity in reversed(Severity)
        }
        by_severity = [f"{count} {severity.word}" for severity, count in counts.items() if count]
        total = counted(len(findings), "finding")
        click.echo(f"{total}: {', '.join(by_severity)}{more}", err=True)
    else:
        sets = f" in {judged} sets" if judged > 1 else ""
        click.echo(f"no findings{sets}{more}", err=True)
