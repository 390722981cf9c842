"""The options that commands share, and what they stand for once read."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

import attrs
import click

from nptables import sources
from nptables.answering import inputs
from nptables.cli.completion import FILE, contexts, nodes
from nptables.cli.manifests import read_manifests
from nptables.cli.memory import kept_to_the_end
from nptables.cli.output import say
from nptables.cli.settings import keep
from nptables.cli.versions import asked, say_once, told_here, version_option
from nptables.errors import printable
from nptables.family import Family
from nptables.immutable import frozen
from nptables.model import Node, NodeFacts
from nptables.model.addresses import parse_ip
from nptables.model.names import KINDS
from nptables.translation import Translation

if TYPE_CHECKING:
    from nptables.evidence import Evidence, Process
    from nptables.sources import FoundConfig, Loaded

Command = TypeVar("Command", bound=Callable[..., Any])


@frozen
class Inputs(inputs.Inputs):
    """What a command line says about the cluster, the node and the configuration."""

    def translate(self, family: Family | None = None) -> Translation:
        """The rules of the node, in the family that was asked for unless another is given."""
        with kept_to_the_end():
            return super().translate(family)


def _apply(decorators: list[Callable[[Command], Command]], command: Command) -> Command:
    for decorate in reversed(decorators):
        command = decorate(command)
    return command


def manifest_options(command: Command) -> Command:
    """FILE arguments, `-f`, `--lenient`, and how manifests are read."""
    return _apply(
        [
            click.argument("files", nargs=-1, metavar="[FILE]...", type=FILE),
            click.option(
                "-f",
                "--filename",
                "more_files",
                multiple=True,
                type=FILE,
                metavar="FILE",
                help="A manifest: YAML or JSON, a folder with manifests, kustomizations or charts, "
                "or '-' for standard input. The same as an argument.",
            ),
            click.option(
                "--lenient",
                is_flag=True,
                help="Accept objects as an API server stores them: what cannot be used is left out "
                "with a warning.",
            ),
            click.option(
                "--no-preview",
                "no_preview",
                is_flag=True,
                expose_value=False,
                callback=keep,
                help="Refuse Services that were never applied, instead of inventing their "
                "addresses and ports.",
            ),
            click.option(
                "--service-cidr",
                "service_cidrs",
                multiple=True,
                metavar="CIDR",
                expose_value=False,
                callback=keep,
                help="The range of invented cluster IPs; may be given once for each family. "
                "[default: 10.96.0.0/12, fd00:10:96::/112]",
            ),
            click.option(
                "--node-port-range",
                default="30000-32767",
                show_default=True,
                metavar="FIRST-LAST",
                expose_value=False,
                callback=keep,
                help="The range of invented node ports.",
            ),
            click.option(
                "--exclude",
                multiple=True,
                metavar="GLOB",
                expose_value=False,
                callback=keep,
                help="Skip files in folders that match this glob. Hidden files and those in "
                ".gitignore are always skipped. May be repeated.",
            ),
            click.option(
                "--no-render",
                "no_render",
                is_flag=True,
                expose_value=False,
                callback=keep,
                help="Do not run kustomize, kubectl or helm to render kustomizations and charts.",
            ),
            click.option(
                "--values",
                multiple=True,
                type=click.Path(exists=True, dir_okay=False),
                metavar="FILE",
                expose_value=False,
                callback=keep,
                help="A values file for charts in folders, which overrides the chart's own "
                "values. May be repeated.",
            ),
            click.option(
                "--kubeconfig",
                type=FILE,
                metavar="FILE",
                expose_value=False,
                callback=keep,
                help="Read a cluster instead of FILEs: the current context of this kubeconfig.",
            ),
            click.option(
                "--context",
                metavar="NAME",
                shell_complete=contexts,
                expose_value=False,
                callback=keep,
                help="Read the cluster of this context. Without --kubeconfig the context is in "
                "the kubeconfig that kubectl uses.",
            ),
            click.option(
                "-v",
                "--verbose",
                is_flag=True,
                expose_value=False,
                callback=keep,
                help="Also list the files and objects that were skipped.",
            ),
        ],
        command,
    )


def node_name(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    """The name of a node, also where it is written as `kubectl get nodes -o name` does it."""
    return None if value is None else bare_node_name(value)


def bare_node_name(text: str) -> str:
    """A node's name without the `node/` that may stand before it; no such name has a slash."""
    kind, _, name = text.partition("/")
    return name if name and KINDS.get(kind) == "node" else text


def node_options(command: Command) -> Command:
    """`--node`, `--config`, `--facts`, `--kube-proxy-version`."""
    return _apply(
        [
            click.option(
                "--node",
                "node_name",
                metavar="NAME",
                callback=node_name,
                shell_complete=nodes,
                help="The node whose rules are meant.",
            ),
            click.option(
                "--config",
                "config_path",
                type=FILE,
                metavar="FILE",
                help="The KubeProxyConfiguration of the node's kube-proxy.",
            ),
            click.option(
                "--facts",
                "facts_path",
                type=FILE,
                metavar="FILE",
                help="Facts that only the node knows, as `nptables facts` prints them.",
            ),
            version_option,
        ],
        command,
    )


wait_option = click.option(
    "--wait",
    type=click.FloatRange(0, 3600),
    default=5,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait while other programs change the tables.",
)

_ADDRESSES = "nptables.node-addresses"


def _addresses(
    context: click.Context, _option: click.Parameter, values: tuple[str, ...]
) -> tuple[str, ...]:
    found = tuple(parse_ip(text) or "" for text in values)
    for text, address in zip(values, found, strict=True):
        if not address:
            raise click.BadParameter(f'"{printable(text, 80)}" is not an IP address')
    context.meta[_ADDRESSES] = found
    return found


def node_address_option(command: Command) -> Command:
    """`--node-address`, which goes with the facts that `read_facts` reads."""
    return click.option(
        "--node-address",
        multiple=True,
        metavar="ADDRESS",
        expose_value=False,
        callback=_addresses,
        help="An address of the node that no other input gives. May be repeated.",
    )(command)


def family_options(neither: str) -> Callable[[Command], Command]:
    """`-4` and `-6`, and what a command does with neither of them.

    The command gets `family`, which is None for neither and for both: with both it does both, or
    calls `refuse_both_families`.
    """

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def with_family(*, ipv4: bool, ipv6: bool, **options: Any) -> Any:
            click.get_current_context().meta[_BOTH] = ipv4 and ipv6
            family = None if ipv4 is ipv6 else Family.IPV4 if ipv4 else Family.IPV6
            return command(family=family, **options)

        return _apply(
            [
                click.option("-4", "ipv4", is_flag=True, help="Use IPv4."),
                click.option(
                    "-6", "ipv6", is_flag=True, help=f"Use IPv6. Without -4 and -6: {neither}."
                ),
            ],
            cast("Command", with_family),
        )

    return decorate


_BOTH = "nptables.both-families"


def refuse_both_families(why: str) -> None:
    """Raise UsageError where `-4` and `-6` were both given to a command that does one at a time."""
    if click.get_current_context().meta.get(_BOTH):
        raise click.UsageError(f"-4 and -6 together: {why}")


def read_inputs(
    files: tuple[str, ...],
    more_files: tuple[str, ...],
    *,
    lenient: bool,
    node_name: str | None,
    config_path: str | None,
    facts_path: str | None,
    family: Family | None,
    live: bool = False,
    evidence: Evidence | None = None,
) -> Inputs:
    """Everything that rules are made from.

    The node is the one of `--node`, else of hostnameOverride, else the one that `evidence` is of,
    else the only one there is. With `live` it is the one where this runs.
    """
    loaded = read_manifests(files, more_files, lenient=lenient)
    return inputs_of(
        loaded,
        node_name=node_name,
        config_path=config_path,
        facts_path=facts_path,
        family=family,
        live=live,
        evidence=evidence,
    )


def inputs_of(
    loaded: Loaded,
    *,
    node_name: str | None,
    config_path: str | None,
    facts_path: str | None,
    family: Family | None,
    live: bool = False,
    like: Node | None = None,
    evidence: Evidence | None = None,
) -> Inputs:
    """Everything that rules are made from, for a cluster that was read.

    `like` tells the version of kube-proxy where the node does not. What `evidence` has of the node
    counts where nobody has said otherwise.
    """
    version = asked()
    found = inputs.inputs_of(
        loaded,
        node_name=node_name,
        given=None if config_path is None else sources.find_config(config_path),
        facts=read_facts(facts_path),
        family=family,
        version=version,
        here=told_here() if live and version is None else None,
        like=like,
        evidence=evidence,
        say=say_once,
    )
    return Inputs(found.loaded, found.node, found.config, found.family, found.found)


def find_configuration(
    path: str | None,
    in_manifests: Mapping[str, Any] | None = None,
    kube_proxy: Process | None = None,
) -> FoundConfig | None:
    """The configuration in a file, else that of a kube-proxy, else the one among the manifests."""
    given = None if path is None else sources.find_config(path)
    return inputs.configuration(given, in_manifests, kube_proxy, say=say)


def read_facts(path: str | None) -> NodeFacts | None:
    """The facts in a file with the addresses of `--node-address`, or None without either."""
    facts = None if path is None else sources.read_facts(path)
    context = click.get_current_context(silent=True)
    told = () if context is None else context.meta.get(_ADDRESSES, ())
    return attrs.evolve(facts or NodeFacts(), addresses=told) if told else facts


def mention_other_family(read: Inputs) -> None:
    """Say how many service ports the family that was not asked for has."""
    other = read.family.other
    there = [s for s in read.cluster.services.values() if other in s.cluster_ips]
    count = sum(len(service.ports) for service in there)
    if count:
        option = "-6" if other is Family.IPV6 else "-4"
        ports = "1 service port has" if count == 1 else f"{count} service ports have"
        too = " too" * all(read.family in service.cluster_ips for service in there)
        say(f"{ports} {other.value} rules{too}: see them with {option}")
