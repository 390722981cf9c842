"""The version of kube-proxy whose rules are made: the one that is asked for, else the likeliest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nptables.answering.saying import Say, say_all, silent
from nptables.immutable import frozen
from nptables.model import Node, ProxyConfig
from nptables.model.kubeproxy import NEWEST, Version
from nptables.model.kubeproxy.versions import nearest_known

if TYPE_CHECKING:
    from nptables.sources import FoundConfig

OPTION = "--kube-proxy-version"


@frozen
class Told:
    """A version, as it was written, and in words who says so."""

    text: str
    why: str


def config_for(
    found: FoundConfig | None,
    nodes: Sequence[Node],
    *,
    asked: str | None = None,
    runs: str = "",
    here: Told | None = None,
    say: Say = silent,
) -> ProxyConfig:
    """What a configuration, or none, says to the kube-proxy of nodes of one version.

    The version is the one that is `asked` for. Else that of the kube-proxy that `runs` on the node,
    or `here`; else what the Nodes say of themselves; else the newest. What was taken and why is
    said, and so are settings without effect. Raises InvalidInput.
    """
    meant = asked
    if meant is None:
        told = told_there(runs) or here or told_by(nodes)
        meant = told.text if told is not None else str(NEWEST)
        say(taken(told), option=f"{OPTION} names another")
    config = read_for(found, meant)
    say_all(say, config.remarks, kind="warning")
    return config


def by_version(
    found: FoundConfig | None, nodes: Sequence[Node], *, asked: str | None = None, say: Say = silent
) -> list[tuple[ProxyConfig, list[Node]]]:
    """The nodes by the version that they have, each with the configuration as that reads it."""
    if not nodes:
        # No rules are made, so their version is not reported.
        return [(config_for(found, [], asked=asked or str(NEWEST), say=say), [])]
    groups: dict[Version | None, list[Node]] = {}
    for node in nodes:
        said = None if asked is not None else Version.parse(node.kubelet_version)
        groups.setdefault(said, []).append(node)
    return [(config_for(found, alike, asked=asked, say=say), alike) for alike in groups.values()]


def by_node(
    groups: Sequence[tuple[ProxyConfig, Sequence[Node]]],
) -> ProxyConfig | dict[str, ProxyConfig]:
    """The configuration of each node by its name, or the one of all, of what `by_version` gives."""
    if len(groups) == 1:
        return groups[0][0]
    return {node.name: config for config, nodes in groups for node in nodes}


def read_for(found: FoundConfig | None, version: str | Version | None) -> ProxyConfig:
    """What a configuration, or none, says to a version of kube-proxy, the newest if none is given.

    Raises InvalidInput.
    """
    return ProxyConfig.defaults(version) if found is None else found.read(version)


def told_there(runs: str) -> Told | None:
    """What the kube-proxy that runs on a node is, where that is known."""
    return Told(runs, f"the kube-proxy that runs there is {runs}") if runs else None


def told_by(nodes: Sequence[Node]) -> Told | None:
    """What the Node objects say: the kubelet's version, which kube-proxy's follows."""
    if not nodes or Version.parse(nodes[0].kubelet_version) is None:
        return None
    text = nodes[0].kubelet_version
    if len(nodes) == 1:
        return Told(text, f"Node {nodes[0].name} has kubeletVersion {text}")
    others = f"{len(nodes) - 1} more" if len(nodes) > 2 else nodes[1].name
    return Told(text, f"Nodes {nodes[0].name} and {others} have kubeletVersion {text} or like it")


def version_of(told: Told | None) -> Version:
    """The version that is taken where this is told."""
    version = None if told is None else Version.parse(told.text)
    return NEWEST if version is None else nearest_known(version)


def taken(told: Told | None) -> str:
    """Which version was taken and why."""
    why = "the version on the node is unknown, and this is the newest" if told is None else told.why
    return f"the rules are those of kube-proxy {version_of(told)}: {why}"
