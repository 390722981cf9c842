"""`nptables render`: print the rules of a node."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from nptables import rendering
from nptables.answering.evidence import say_missing_tables
from nptables.answering.services import service_key
from nptables.cli.clusters import (
    all_namespaces_option,
    namespace_of_names,
    namespace_option,
    services_in,
)
from nptables.cli.completion import services as complete_services
from nptables.cli.evidence import Named, evidence_options
from nptables.cli.manifests import say_what_is_unknown
from nptables.cli.memory import never_freed
from nptables.cli.options import (
    Inputs,
    family_options,
    manifest_options,
    mention_other_family,
    node_address_option,
    node_options,
    read_inputs,
    refuse_both_families,
)
from nptables.cli.output import print_json, print_rules, say, say_all
from nptables.cli.repository import settings_options
from nptables.cli.settings import asked_namespace, asks_for_all_namespaces
from nptables.errors import InvalidInput, Problem
from nptables.iptables import Ruleset
from nptables.model.reading import nearest
from nptables.translation import Translation
from nptables.translation.explanation.notices import UNTOLD

Key = tuple[str, str]


@click.command("render")
@manifest_options
@node_options
@node_address_option
@family_options("IPv4, or with --snapshot the family of the dump")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["save", "restore", "json"]),
    default="save",
    show_default=True,
    help="save: what iptables-save would print on the node. restore: kube-proxy's chains only, for "
    "iptables-restore --noflush. json: every rule parsed, with the object that it comes from.",
)
@click.option(
    "--service",
    metavar="NS/NAME",
    shell_complete=complete_services,
    help="Only this Service's rules, and the rules that lead to them.",
)
@namespace_option("Only the rules of this namespace's Services, and the rules that lead to them.")
@all_namespaces_option("The rules of all namespaces, which is the default.")
@click.option(
    "--explain", is_flag=True, help="Explain each Service's rules in comments above them."
)
@evidence_options("With -o restore: insert the jumps that are missing from", whole=True)
@settings_options
def command(
    *, output: str, service: str | None, explain: bool, node_has: Named, **options: Any
) -> int:
    """Print the iptables rules that kube-proxy would program on a node.

    FILE is a manifest (YAML or JSON, '-' for standard input) with the Services, EndpointSlices and
    Nodes of the cluster, as `kubectl get svc,endpointslices,nodes -A -o json` prints them. Without
    FILE the cluster of the current context is read.
    """
    refuse_both_families("the rules of one family are printed at a time; render once for each")
    if node_has and output != "restore":
        raise click.UsageError("--snapshot and --live work only with -o restore")
    if explain and output != "save":
        raise click.UsageError("--explain works only with -o save; json always has the reasons")
    narrowing = "--service" if service is not None else "-n" if asked_namespace() else ""
    if asks_for_all_namespaces() and service is None:
        narrowing = ""
    if narrowing and output == "restore":
        raise click.UsageError(
            f"{narrowing} cannot be used with -o restore: restored, the shared chains would lose "
            "the rules of every other Service"
        )
    current, evidence = None, None
    if node_has:
        found = node_has.read(options["family"])
        # Jumps that it lacks may be there all the same, and would be there twice.
        found.refuse_part()
        evidence = found.evidence
        family, *_ = found.families(options["family"], say)
        options["family"] = family
        current = found.serving(family, say=say)
    inputs = read_inputs(**options, evidence=evidence)
    keys = _services(service, inputs) if narrowing else []
    translation = inputs.translate()
    never_freed(translation)
    ruleset = rendering.narrowed_to(translation, *keys) if keys else translation
    if output == "json":
        _print_document(ruleset, translation, keys)
    elif output == "restore":
        if current is not None and evidence is not None:
            say_missing_tables(translation.tables, current, evidence, "jumps are", say)
        print_rules([rendering.restore_text(translation, current)])
    else:
        if explain:
            ruleset = rendering.explained(ruleset, translation, *keys)
        print_rules(ruleset.save_pieces())
    _say_what_is_odd(translation, keys, inputs)
    return 0


def _print_document(ruleset: Ruleset, translation: Translation, keys: Sequence[Key]) -> None:
    from nptables.rendering.document import to_document  # noqa: PLC0415 - parses rules
    from nptables.rendering.document_text import to_json  # noqa: PLC0415

    if sys.stdout.isatty():
        print_json(to_document(ruleset, translation, *keys))
    else:
        sys.stdout.write(to_json(ruleset, translation, *keys) + "\n")


def _services(text: str | None, inputs: Inputs) -> list[Key]:
    """The Service that was named, or those of the namespace. Raises InvalidInput for none."""
    services = inputs.cluster.services
    if text is None:
        namespace = namespace_of_names()
        if found := services_in(namespace, inputs.cluster):
            return found
        known = sorted({namespace for namespace, _ in services})
        wrong = f"there is no Service in namespace {namespace}"
        raise InvalidInput([Problem(wrong, hint=nearest(namespace, known))])
    key = service_key(text, namespace_of_names())
    if key not in services:
        known = ["/".join(known) for known in sorted(services)]
        raise InvalidInput(
            [Problem(f"there is no Service {'/'.join(key)}", hint=nearest("/".join(key), known))]
        )
    return [key]


def _say_what_is_odd(translation: Translation, keys: Sequence[Key], inputs: Inputs) -> None:
    # What was wrong with the objects and the configuration was said when they were read.
    said_elsewhere = ("left-out", "configuration", UNTOLD)
    say_all((n for n in translation.warnings if n.code not in said_elsewhere), kind="warning")
    for decision in translation.decisions if keys else ():
        if decision.skipped and decision.service.key in keys:
            say(f"{decision.subject} {decision.reasons[0]}")
    say_what_is_unknown([inputs.cluster])
    mention_other_family(inputs)
