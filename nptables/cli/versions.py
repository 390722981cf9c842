"""The version of kube-proxy whose rules are made: by the command line, else the likeliest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import click

from nptables.cli.output import say, say_all
from nptables.model import Node, ProxyConfig
from nptables.model.kubeproxy import NEWEST, Version
from nptables.model.kubeproxy.versions import nearest_known
from nptables.sources import FoundConfig

OPTION = "--kube-proxy-version"
_ASKED = "nptables.kube-proxy-version"
_SAID = "nptables.kube-proxy-version-said"

version_option = click.option(
    OPTION,
    metavar="VERSION",
    expose_value=False,
    callback=lambda context, _, value: context.meta.__setitem__(_ASKED, value),
    help="The version of kube-proxy whose rules are made: 1.27 to "
    f"{NEWEST}, also written as v1.30.4.  [default: the version of the kube-proxy that runs on the "
    "node, if known, else the kubelet's version in the Node object, else the newest]",
)


@attrs.frozen(eq=False, repr=False)
class Told:
    """A version, as it was written, and in words who says so."""

    text: str
    why: str


def asked() -> str | None:
    """The version that the command line names."""
    found: str | None = click.get_current_context().meta.get(_ASKED)
    return found


def config_for(
    found: FoundConfig | None,
    nodes: Sequence[Node],
    *,
    live: bool = False,
    runs: str = "",
    version: str | None = None,
) -> ProxyConfig:
    """What a configuration, or none, says to the kube-proxy of nodes of one version.

    The version is the one that is given or asked for on the command line. Else that of the
    kube-proxy that `runs` on the node, or here, if `live`; else what the Nodes say of themselves;
    else the newest. What was taken and why is said, and so are settings without effect.
    """
    meant = version or asked()
    if meant is None:
        there = Told(runs, f"the kube-proxy that runs there is {runs}") if runs else None
        told = there or (told_here() if live else None) or told_by(nodes)
        meant = told.text if told is not None else str(NEWEST)
        _say_taken(told)
    config = read_for(found, meant)
    say_all(config.remarks, kind="warning")
    return config


def by_version(
    found: FoundConfig | None, nodes: Sequence[Node]
) -> list[tuple[ProxyConfig, list[Node]]]:
    """The nodes by the version that they have, each with the configuration as that reads it."""
    if not nodes:
        # No rules are made, so their version is not reported.
        return [(config_for(found, [], version=asked() or str(NEWEST)), [])]
    groups: dict[Version | None, list[Node]] = {}
    for node in nodes:
        said = None if asked() is not None else Version.parse(node.kubelet_version)
        groups.setdefault(said, []).append(node)
    return [(config_for(found, alike), alike) for alike in groups.values()]


def read_for(found: FoundConfig | None, version: str | Version | None) -> ProxyConfig:
    """What a configuration, or none, says to a version of kube-proxy, the newest if none is given.

    Raises InvalidInput.
    """
    return ProxyConfig.defaults(version) if found is None else found.read(version)


def told_by(nodes: Sequence[Node]) -> Told | None:
    """What the Node objects say: the kubelet's version, which kube-proxy's follows."""
    if not nodes or Version.parse(nodes[0].kubelet_version) is None:
        return None
    text = nodes[0].kubelet_version
    if len(nodes) == 1:
        return Told(text, f"Node {nodes[0].name} has kubeletVersion {text}")
    others = f"{len(nodes) - 1} more" if len(nodes) > 2 else nodes[1].name
    return Told(text, f"Nodes {nodes[0].name} and {others} have kubeletVersion {text} or like it")


def told_here() -> Told | None:
    """What a kube-proxy that runs on this node says of itself."""
    from nptables.kernel.node.kube_proxy import running_version  # noqa: PLC0415 (only when live)

    found = running_version()
    return None if not found else Told(found, f"the kube-proxy that runs here is {found}")


def _say_taken(told: Told | None) -> None:
    """Say which version was taken and why; the same words once only."""
    version = None if told is None else Version.parse(told.text)
    taken = NEWEST if version is None else nearest_known(version)
    why = "the version on the node is unknown, and this is the newest" if told is None else told.why
    text = f"the rules are those of kube-proxy {taken}: {why} ({OPTION} names another)"
    meta: dict[str, Any] = click.get_current_context().meta
    if text not in meta.setdefault(_SAID, set()):
        meta[_SAID].add(text)
        say(text)
