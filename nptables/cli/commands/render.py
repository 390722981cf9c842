"""`nptables render`: print the rules of a node."""

from __future__ import annotations

import sys
from typing import Any

import click

from nptables.cli.evidence import Named, evidence_options, families_of
from nptables.cli.manifests import say_what_is_unknown
from nptables.cli.options import (
    Inputs,
    family_options,
    manifest_options,
    mention_other_family,
    node_address_option,
    node_options,
    parse_service_key,
    read_inputs,
    refuse_both_families,
)
from nptables.cli.output import print_json, print_rules, say, say_all
from nptables.cli.settings import settings_options
from nptables.errors import InvalidInput, Problem
from nptables.iptables import Ruleset
from nptables.model.reading import nearest
from nptables.rendering import explained, narrowed_to, restore_text
from nptables.translation import Translation
from nptables.translation.explanation.decision import UNTOLD


@click.command("render")
@settings_options
@manifest_options
@node_options
@node_address_option
@family_options("IPv4, with --snapshot that of the dump")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["save", "restore", "json"]),
    default="save",
    show_default=True,
    help="save: as iptables-save prints a node that had no rules before. restore: our chains "
    "only, for iptables-restore --noflush. json: parsed, with what each rule came from.",
)
@click.option(
    "--service", metavar="NS/NAME", help="Only this Service's rules, and what leads to them."
)
@click.option("--explain", is_flag=True, help="Put the reasons above each Service's rules.")
@evidence_options("With -o restore: insert the jumps that are missing in")
def command(
    *, output: str, service: str | None, explain: bool, node_has: Named, **options: Any
) -> int:
    """Print the iptables rules that kube-proxy would program on a node.

    FILE is a manifest (YAML or JSON, '-' for standard input) with the Services,
    EndpointSlices and Nodes of the cluster, such as `kubectl get
    svc,endpointslices,nodes -A -o json` gives.
    """
    refuse_both_families("the rules of one family are printed at a time; render once for each")
    if node_has and output != "restore":
        raise click.UsageError("--snapshot and --live go with -o restore")
    if explain and output != "save":
        raise click.UsageError("--explain goes with -o save; json has the reasons anyway")
    if service is not None and output == "restore":
        raise click.UsageError(
            "--service does not go with -o restore: restored, the shared chains would lose the "
            "rules of every other Service"
        )
    current, evidence = None, None
    if node_has:
        evidence = node_has.read(options["family"])
        family, *_ = families_of(evidence, options["family"], node_has.path)
        options["family"] = family
        current = node_has.serving(evidence, family)
    inputs = read_inputs(**options, evidence=evidence)
    key = _service_key(service, inputs)
    translation = inputs.translate()
    ruleset = translation if key is None else narrowed_to(translation, key)
    if output == "json":
        _print_document(ruleset, translation, key)
    elif output == "restore":
        print_rules(restore_text(translation, current))
    else:
        print_rules((explained(ruleset, translation, key) if explain else ruleset).to_save())
    _say_what_is_odd(translation, key, inputs)
    return 0


def _print_document(
    ruleset: Ruleset, translation: Translation, key: tuple[str, str] | None
) -> None:
    from nptables.rendering.document import to_document  # noqa: PLC0415 - parses rules
    from nptables.rendering.document_text import to_json  # noqa: PLC0415

    if sys.stdout.isatty():
        print_json(to_document(ruleset, translation, key))
    else:
        sys.stdout.write(to_json(ruleset, translation, key) + "\n")


def _service_key(text: str | None, inputs: Inputs) -> tuple[str, str] | None:
    if text is None:
        return None
    key = parse_service_key(text)
    if key not in inputs.cluster.services:
        known = ["/".join(known) for known in sorted(inputs.cluster.services)]
        raise InvalidInput(
            [Problem(f"there is no Service {'/'.join(key)}", hint=nearest("/".join(key), known))]
        )
    return key


def _say_what_is_odd(translation: Translation, key: tuple[str, str] | None, inputs: Inputs) -> None:
    # What was wrong with the objects and the configuration was said when they were read.
    said_elsewhere = ("left-out", "configuration", UNTOLD)
    say_all((n for n in translation.warnings if n.code not in said_elsewhere), kind="warning")
    if key is not None:
        for decision in translation.decisions:
            if decision.skipped and decision.service.key == key:
                say(f"{decision.subject} {decision.reasons[0]}")
    say_what_is_unknown([inputs.cluster])
    mention_other_family(inputs)
