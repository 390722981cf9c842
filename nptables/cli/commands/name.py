"""`nptables name`: the chains of a service port."""

from __future__ import annotations

from typing import Any

import click

from nptables.answering.services import service_key
from nptables.cli.clusters import namespace_of_names, namespace_option
from nptables.cli.output import print_json, say
from nptables.errors import InvalidInput, Problem
from nptables.model import names
from nptables.model.addresses import parse_ip_sloppy
from nptables.model.service import PROTOCOLS
from nptables.translation import ServicePortName
from nptables.translation.selection import endpoint_text


@click.command("name")
@click.argument("service", metavar="SERVICE[:PORT]")
@namespace_option("The namespace of a Service named without one.  [default: default]")
@click.option(
    "--protocol",
    type=click.Choice(PROTOCOLS, case_sensitive=False),
    default="TCP",
    show_default=True,
    help="The protocol of the port, which is part of the chain's name.",
)
@click.option(
    "--endpoint",
    "endpoints",
    multiple=True,
    metavar="IP:PORT",
    help="Also print the chain of this endpoint; may be repeated.",
)
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text")
def command(*, service: str, protocol: str, endpoints: tuple[str, ...], output: str) -> None:
    """Print the names of the chains that kube-proxy makes for a service port.

    SERVICE is NAMESPACE/NAME or svc/NAME. PORT is the name of the port, not its number; leave it
    out if the port has no name. No cluster is asked.
    """
    name = _service_port(service, protocol)
    chains: dict[str, Any] = {
        "cluster": name.service_chain,
        "local": name.local_chain,
        "external": name.external_chain,
        "sourceRanges": name.source_ranges_chain,
    }
    listed = {text: name.endpoint_chain(text) for text in map(_endpoint, endpoints)}
    if output == "json":
        print_json(chains | {"endpoints": listed})
        return
    for chain, meaning in zip(chains.values(), _MEANINGS, strict=True):
        click.echo(f"{chain}  {meaning}")
    for text, chain in listed.items():
        click.echo(f"{chain}  endpoint {text}")


_MEANINGS = (
    "endpoints of the Cluster traffic policy",
    "endpoints of the Local traffic policy",
    "traffic to nodePort, external and load-balancer IPs",
    "loadBalancerSourceRanges",
)


def _service_port(text: str, protocol: str) -> ServicePortName:
    service, _, port = text.partition(":")
    namespace, name = service_key(service, namespace_of_names())
    for part in (namespace, name, port):
        if part and not names.is_label(part):
            raise InvalidInput([Problem(f'"{part}" is not a valid name', hint=names.LABEL_HINT)])
    if port.isdigit():
        say(f"{port} is taken for the name of a port; leave it out for a port without a name")
    return ServicePortName(namespace, name, port, protocol.upper())


def _endpoint(text: str) -> str:
    host, colon, port = text.rpartition(":")
    address = parse_ip_sloppy(host.removeprefix("[").removesuffix("]"))
    if not colon or address is None or not port.isdecimal() or not 1 <= int(port[:6]) <= 65535:
        raise InvalidInput(
            [Problem(f'"{text}" is not an endpoint', hint="such as 10.0.0.1:80 or [fd00::1]:80")]
        )
    return endpoint_text(address, int(port))
