"""The version of kube-proxy whose rules are made: by the command line, else the likeliest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from nptables.answering import versions
from nptables.answering.versions import OPTION, Told
from nptables.cli.output import say
from nptables.model import Node, ProxyConfig
from nptables.model.kubeproxy import NEWEST

if TYPE_CHECKING:
    from nptables.sources import FoundConfig

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


def asked() -> str | None:
    """The version that the command line names."""
    found: str | None = click.get_current_context().meta.get(_ASKED)
    return found


def config_for(
    found: FoundConfig | None,
    nodes: Sequence[Node],
    *,
    live: bool = False,
    version: str | None = None,
) -> ProxyConfig:
    """What a configuration, or none, says to the kube-proxy of nodes of one version.

    The version is the one that is given or asked for on the command line, else, if `live`, that of
    the kube-proxy that runs here; else see `answering.versions`.
    """
    meant = version or asked()
    here = told_here() if live and meant is None else None
    return versions.config_for(found, nodes, asked=meant, here=here, say=say_once)


def by_version(
    found: FoundConfig | None, nodes: Sequence[Node]
) -> list[tuple[ProxyConfig, list[Node]]]:
    """The nodes by the version that they have, each with the configuration as that reads it."""
    return versions.by_version(found, nodes, asked=asked(), say=say_once)


def told_here() -> Told | None:
    """What a kube-proxy that runs on this node says of itself."""
    from nptables.kernel.node.kube_proxy import running_version  # noqa: PLC0415 (only when live)

    found = running_version()
    return None if not found else Told(found, f"the kube-proxy that runs here is {found}")


def say_once(text: str, *, kind: str = "note", option: str = "") -> None:
    """One line for the reader on standard error; a note that was said in the command is not."""
    said: set[str] = click.get_current_context().meta.setdefault(_SAID, set())
    if kind != "note" or text not in said:
        said.add(text)
        say(text, kind=kind, option=option)
