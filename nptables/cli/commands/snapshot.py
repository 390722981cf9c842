"""`nptables snapshot`: everything about this node that a later question may need, in one file."""

from __future__ import annotations

import json
import sys
from typing import Any

import attrs
import click

from nptables.cli.completion import FILE
from nptables.cli.evidence import Named
from nptables.cli.files import written
from nptables.cli.options import wait_option
from nptables.cli.output import say_all
from nptables.errors import BackendUnavailable
from nptables.evidence.snapshot import Snapshot, to_document
from nptables.kernel.snapshot import look_around


def _read_yaml(text: str) -> Any:
    from nptables.sources import parse_config  # noqa: PLC0415 - slow, for a kube-proxy alone

    return parse_config(text)


@click.command("snapshot")
@click.option(
    "-o",
    "--output",
    default="-",
    type=FILE,
    show_default=True,
    metavar="FILE",
    help="The file to write, compressed if its name ends in .gz; '-' is standard output.",
)
@wait_option
@click.option(
    "--from",
    "source",
    type=FILE,
    metavar="BUNDLE",
    help="Not this node, but what a bundle, a dump or a listing holds, as --snapshot takes it.",
)
@click.option(
    "--node",
    "node_name",
    metavar="NAME",
    help="With --from: the node, if there are several.",
)
def command(*, output: str, wait: float, source: str | None, node_name: str | None) -> int:
    """Save the tables, addresses and settings of this node to one file, to analyse elsewhere.

    The file holds the tables of both backends and families, sets, native nft tables, addresses,
    routes, settings, UDP connections, and the kube-proxy that runs. It holds names and addresses,
    but no token, kubeconfig or environment variable. What cannot be read, for want of root for
    example, is named on standard error and in the file. See docs/snapshot.md.

    \b
    sudo nptables snapshot -o node1.json.gz
    nptables snapshot --from sosreport-node1.tar.xz -o node1.json.gz
    """  # noqa: D301 - click takes a backspace for "do not wrap"; a raw string has none
    if source is None and node_name is not None:
        raise click.UsageError("--node needs --from: without it, this node is read")
    with written(output) as write:
        found = _found(source, wait)
        # The few large texts in it make this as fast as one string, and half as large.
        for piece in json.JSONEncoder(indent=1).iterencode(to_document(found)):
            write(piece)
        write("\n")
        if not _is_useful(found):
            raise BackendUnavailable("nothing of this node could be read")
    sys.stdout.flush()
    return 0


def _found(source: str | None, wait: float) -> Snapshot:
    """The evidence of this node, or of the one in a file or a bundle, and what is unknown."""
    if source is None:
        found = look_around(wait=wait, read_yaml=_read_yaml)
        say_all(found.rest.gaps, kind="warning")
        return found
    evidence = Named(source).read().evidence
    return Snapshot(evidence.rulesets, attrs.evolve(evidence, rulesets=()))


def _is_useful(found: Snapshot) -> bool:
    """Whether there is an answer in it to any question about Services."""
    rest = found.rest
    shown = rest.facts is not None and rest.facts.interfaces is not None
    return bool(found.tables) or shown or bool(rest.processes) or rest.native is not None
