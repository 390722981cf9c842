"""The options that commands share, and what they stand for once read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import attrs
import click

from nptables.cli.output import say, say_all
from nptables.errors import InvalidInput, Problem
from nptables.family import Family
from nptables.model import Cluster, Node, NodeFacts, ProxyConfig
from nptables.sources import Loaded, load, read_document
from nptables.translation import Translation, translate

Command = TypeVar("Command", bound=Callable[..., Any])


@attrs.frozen
class Inputs:
    """What a command line says about the cluster, the node and the configuration."""

    loaded: Loaded
    node: Node
    config: ProxyConfig
    family: Family

    @property
    def cluster(self) -> Cluster:
        """The cluster that was read."""
        return self.loaded.cluster

    def translate(self, family: Family | None = None) -> Translation:
        """The rules of the node, in the family that was asked for unless another is given."""
        return translate(self.cluster, self.node, self.config, family or self.family)


def _apply(decorators: list[Callable[[Command], Command]], command: Command) -> Command:
    for decorate in reversed(decorators):
        command = decorate(command)
    return command


def manifest_options(command: Command) -> Command:
    """FILE arguments, `-f`, `--lenient`."""
    return _apply(
        [
            click.argument("files", nargs=-1, metavar="[FILE]..."),
            click.option(
                "-f",
                "--filename",
                "more_files",
                multiple=True,
                metavar="FILE",
                help="A manifest: YAML or JSON; '-' is standard input. The same as an argument.",
            ),
            click.option(
                "--lenient",
                is_flag=True,
                help="Read objects as an API server stores them: leave out what cannot be used.",
            ),
        ],
        command,
    )


def node_options(command: Command) -> Command:
    """`--node`, `--config`, `--facts`."""
    return _apply(
        [
            click.option("--node", "node_name", metavar="NAME", help="The node to make rules for."),
            click.option(
                "--config",
                "config_path",
                metavar="FILE",
                help="The KubeProxyConfiguration of the node.",
            ),
            click.option(
                "--facts",
                "facts_path",
                metavar="FILE",
                help="What only the node knows, as `nptables facts` writes it.",
            ),
        ],
        command,
    )


def family_options(command: Command) -> Command:
    """`-4` and `-6`."""
    return _apply(
        [
            click.option(
                "-4", "family", flag_value=Family.IPV4, type=Family, help="IPv4 (the default)."
            ),
            click.option("-6", "family", flag_value=Family.IPV6, type=Family, help="IPv6."),
        ],
        command,
    )


def read_manifests(files: tuple[str, ...], more_files: tuple[str, ...], *, lenient: bool) -> Loaded:
    """The manifests of a command line.

    Raises InvalidInput with every problem unless `lenient`, which says them as warnings.
    """
    paths = (*files, *more_files)
    if not paths:
        raise click.UsageError("no input: name a FILE, or '-' for standard input")
    loaded = load(*paths, lenient=lenient)
    if loaded.problems and not lenient:
        raise InvalidInput(loaded.problems)
    say_all(loaded.problems, kind="warning")
    return loaded


def read_inputs(
    files: tuple[str, ...],
    more_files: tuple[str, ...],
    *,
    lenient: bool,
    node_name: str | None,
    config_path: str | None,
    facts_path: str | None,
    family: Family | None,
) -> Inputs:
    """Everything that rules are made from.

    The node is the one of `--node`, else of hostnameOverride, else the only one there is.
    """
    loaded = read_manifests(files, more_files, lenient=lenient)
    config = read_config(config_path)
    facts = read_facts(facts_path)
    node = loaded.cluster.node(node_name or config.hostname_override or None, facts)
    return Inputs(loaded, node, config, family or Family.IPV4)


def read_config(path: str | None) -> ProxyConfig:
    """The configuration in a file, or kube-proxy's defaults without one."""
    if path is None:
        return ProxyConfig()
    return _located(path, lambda: ProxyConfig.from_kube_proxy(read_document(path)))


def read_facts(path: str | None) -> NodeFacts | None:
    """The facts in a file, or None without one."""
    if path is None:
        return None
    return _located(path, lambda: NodeFacts.from_mapping(read_document(path)))


Found = TypeVar("Found")


def _located(path: str, read: Callable[[], Found]) -> Found:
    """What `read` gives; its problems name the file."""
    try:
        return read()
    except InvalidInput as error:
        raise InvalidInput(
            [p if p.file else attrs.evolve(p, file=path) for p in error.problems]
        ) from None


def parse_service_key(text: str) -> tuple[str, str]:
    """Namespace and name in `NS/NAME`; a bare name is in the namespace default."""
    namespace, slash, name = text.rpartition("/")
    if not name or "/" in namespace or (slash and not namespace):
        raise InvalidInput([Problem(f'"{text}" is not a Service', hint="write NAMESPACE/NAME")])
    return namespace or "default", name


def mention_other_family(inputs: Inputs) -> None:
    """Say how many service ports the family that was not asked for has."""
    other = inputs.family.other
    count = sum(
        len(service.ports)
        for service in inputs.cluster.services.values()
        if other in service.cluster_ips
    )
    if count:
        option = "-6" if other is Family.IPV6 else "-4"
        ports = "1 service port has" if count == 1 else f"{count} service ports have"
        say(f"{ports} {other.value} rules too: see them with {option}")
