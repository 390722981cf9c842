"""A whole cluster as commands look at it: every node, each with its kube-proxy's configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import attrs
import click

from nptables.cli.manifests import read_manifests
from nptables.cli.options import find_configuration
from nptables.cli.versions import by_version, version_option
from nptables.model import Cluster, Node, ProxyConfig
from nptables.sources import Loaded

Command = TypeVar("Command", bound=Callable[..., Any])


@attrs.frozen
class ClusterWide:
    """A cluster that was read, and the configuration of each node by its name."""

    loaded: Loaded
    configs: Mapping[str, ProxyConfig]

    @property
    def cluster(self) -> Cluster:
        """The cluster."""
        return self.loaded.cluster

    def by_config(self) -> list[tuple[ProxyConfig, list[Node]]]:
        """The nodes by their configuration; the usual one where there is no node."""
        found: dict[int, tuple[ProxyConfig, list[Node]]] = {}
        for name, config in self.configs.items():
            found.setdefault(id(config), (config, []))[1].append(self.cluster.nodes[name])
        return list(found.values()) or [(ProxyConfig(), [])]


def cluster_wide_options(command: Command) -> Command:
    """`--config` and `--kube-proxy-version`."""
    command = version_option(command)
    return click.option(
        "--config",
        "config_path",
        metavar="FILE",
        help="The KubeProxyConfiguration of the nodes.",
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
    configs = {
        node.name: config
        for config, nodes in by_version(found, list(loaded.cluster.nodes.values()))
        for node in nodes
    }
    return ClusterWide(loaded, configs)
