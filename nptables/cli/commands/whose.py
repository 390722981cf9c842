"""`nptables whose`: the Service behind a chain name."""

from __future__ import annotations

import click

from nptables.cli.manifests import read_manifests
from nptables.cli.options import manifest_options
from nptables.cli.output import folded, print_json, say
from nptables.cli.repository import settings_options
from nptables.translation.explanation.identity import chain_owners, is_fixed_chain


@click.command("whose")
@click.argument("chain")
@manifest_options
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text")
@settings_options
def command(
    *, chain: str, files: tuple[str, ...], more_files: tuple[str, ...], lenient: bool, output: str
) -> int:
    """Say which Service, port and endpoint the CHAIN belongs to.

    A chain's name is a hash, so the Services are needed to look it up: in FILE, or without FILE in
    the cluster of the current context.
    """
    cluster = read_manifests(files, more_files, lenient=lenient).cluster
    found = [owner for owner in chain_owners(cluster) if owner.chain == chain]
    if output == "json":
        print_json([owner.to_dict() for owner in found])
    else:
        for owner in found:
            click.echo(folded(str(owner)))
    if not found:
        say(
            f"{chain} belongs to every Service: it is one of kube-proxy's fixed chains"
            if is_fixed_chain(chain)
            else f"no Service in the input has a chain {chain}"
        )
    return 0 if found or is_fixed_chain(chain) else 1
