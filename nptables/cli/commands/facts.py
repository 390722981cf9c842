"""`nptables facts`: what only the node knows, as `--facts` reads it."""

from __future__ import annotations

import click
import yaml

from nptables.cli.output import print_json
from nptables.kernel.node.facts import gather


@click.command("facts")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["yaml", "json"]),
    default="yaml",
    show_default=True,
)
def command(*, output: str) -> int:
    """Print this node's facts: interfaces, routes, nfacct counters, kernel settings.

    Save them to a file and pass the file with --facts to other commands, on any machine.
    """
    facts = gather()
    if output == "json":
        print_json(facts)
    else:
        click.echo(yaml.safe_dump(facts, sort_keys=False), nl=False)
    return 0
