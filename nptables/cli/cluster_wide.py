"""A whole cluster as commands look at it: every node, each with its kube-proxy's configuration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, TypeVar

import click

from nptables.answering.versions import by_node
from nptables.cli.completion import FILE, nodes
from nptables.cli.manifests import read_manifests
from nptables.cli.options import bare_node_name, find_configuration
from nptables.cli.versions import by_version, version_option
from nptables.immutable import frozen
from nptables.model import Cluster, Node, ProxyConfig
from nptables.sources import Loaded

if TYPE_CHECKING:
    from nptables.reachability import Configs

Command = TypeVar("Command", bound=Callable[..., Any])


@frozen
class ClusterWide:
    """A cluster that was read, and its nodes by the configuration that they have.

    Where there is no Node there is one configuration, for whichever node is named.
    """

    loaded: Loaded
    by_config: tuple[tuple[ProxyConfig, Sequence[Node]], ...]

    @property
    def cluster(self) -> Cluster:
        """The cluster."""
        return self.loaded.cluster

    @property
    def configs(self) -> Configs:
        """The configuration of each node by its name, or the one of all."""
        return by_node(self.by_config)

    def nodes(self, patterns: Sequence[str]) -> list[str] | None:
        """The nodes that names and patterns name, None for all where there is none.

        Raises UnknownNode for a pattern that no node fits; without any Node object every name will
        do.
        """
        names = list(self.cluster.nodes)
        for pattern in patterns:
            if not any(fnmatchcase(name, pattern) for name in names):
                self.cluster.node(pattern)
        if not patterns or not names:
            return list(patterns) or None
        return [name for name in names if any(fnmatchcase(name, each) for each in patterns)]


nodes_option = click.option(
    "--nodes",
    "patterns",
    multiple=True,
    metavar="NAME",
    callback=lambda _context, _option, values: tuple(map(bare_node_name, values)),
    shell_complete=nodes,
    help="Only this node, or the nodes that match a pattern such as 'edge-*'; may be repeated. "
    "Without any Node object every name is accepted.",
)


def cluster_wide_options(command: Command) -> Command:
    """`--config` and `--kube-proxy-version`."""
    command = version_option(command)
    return click.option(
        "--config",
        "config_path",
        type=FILE,
        metavar="FILE",
        help="The KubeProxyConfiguration of the nodes' kube-proxies.",
    )(command)


def read_cluster_wide(
    files: tuple[str, ...],
    more_files: tuple[str, ...],
    *,
    lenient: bool,
    config_path: str | None,
) -> ClusterWide:
    """The cluster of a command line, and how each of its nodes reads the configuration."""
    return cluster_wide_of(read_manifests(files, more_files, lenient=lenient), config_path)


def cluster_wide_of(loaded: Loaded, config_path: str | None) -> ClusterWide:
    """A cluster that was read, and how each of its nodes reads the configuration."""
    found = find_configuration(config_path, loaded.proxy_config)
    return ClusterWide(loaded, tuple(by_version(found, list(loaded.cluster.nodes.values()))))
