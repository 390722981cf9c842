"""What the shell is offered for a word: files, and the names of nodes, Services and Pods.

Names come from the files on the command line. Only where there is none the cluster is asked, as
kubectl's own completion does it, for no longer than a second. What goes wrong is not said: the
user is in the middle of a line.
"""

from __future__ import annotations

import contextlib
import io
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click

from nptables.cli.settings import asked_cluster, asked_namespace
from nptables.model import Cluster

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    _Text = click.ParamType[str]
    Items = list[CompletionItem[str]]
else:
    _Text = click.ParamType  # generic from click 8.4 on
    Items = list

# How long the API server may take, in seconds.
TIMEOUT = 1.0
# Larger files take too long to read between two keys.
_LARGEST = 8_000_000
_MANIFESTS = (".json", ".yaml", ".yml")
_MOST = 500

Complete = Callable[[click.Context, click.Parameter, str], Items]


class _Named(_Text):
    """A name of something on disk; whether it is there is said by whoever reads it."""

    def __init__(self, name: str) -> None:
        self.name = name

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> Items:
        """Let the shell complete it."""
        from click.shell_completion import CompletionItem  # noqa: PLC0415 - only to complete

        return [CompletionItem(incomplete, type=self.name)]


FILE = _Named("file")


def _completed(
    words: Callable[[click.Context, str], Iterable[str]],
) -> Complete:
    """A callback of click that offers those words that go on as the user began."""

    def complete(context: click.Context, _: click.Parameter, incomplete: str) -> Items:
        from click.shell_completion import CompletionItem  # noqa: PLC0415 - only to complete

        found: dict[str, None] = {}
        with (
            contextlib.suppress(Exception),
            contextlib.redirect_stderr(io.StringIO()),
            context.scope(cleanup=False),
        ):
            for word in words(context, incomplete):
                if word.startswith(incomplete):
                    found[word] = None
        return [CompletionItem(word) for word in found]

    return complete


@_completed
def contexts(_: click.Context, incomplete: str) -> Iterator[str]:  # noqa: ARG001
    """Contexts of the kubeconfig."""
    from nptables.sources.apiserver import kubeconfig  # noqa: PLC0415 - only to complete

    yield from kubeconfig.contexts(asked_cluster().kubeconfig or kubeconfig.default_location())


@_completed
def namespaces(context: click.Context, incomplete: str) -> Iterator[str]:  # noqa: ARG001
    """Namespaces that have a Service or a Pod in files, or all that a cluster has."""
    for cluster in _in_files(context):
        yield from sorted({namespace for namespace, _ in (*cluster.services, *_pods(cluster))})
    for raw in _asked(context, "/api/v1/namespaces"):
        yield raw["metadata"]["name"]


@_completed
def nodes(context: click.Context, incomplete: str) -> Iterator[str]:  # noqa: ARG001
    """Names of nodes."""
    yield from _nodes(context)


@_completed
def services(context: click.Context, incomplete: str) -> Iterator[str]:
    """Services, as NAMESPACE/NAME, or after the name of the kind as `svc/NAME`."""
    kind, slash, _ = incomplete.partition("/")
    written = f"{kind}/" if slash and kind in ("svc", "service", "services") else ""
    for namespace, name, _ in _services(context):
        yield f"{written}{_short(namespace, name)}" if written else f"{namespace}/{name}"


@_completed
def senders(context: click.Context, incomplete: str) -> Iterator[str]:
    """What `--from` takes."""
    yield from ("outside", "node")
    if not incomplete.startswith(("pod/", "pods/", "po/")):
        yield from (f"node/{name}" for name in _nodes(context))
    if incomplete.startswith("po") or not incomplete:
        for cluster in _in_files(context):
            yield from (f"pod/{_short(*key)}" for key in _pods(cluster))
        namespace = asked_namespace() or "default"
        for raw in _asked(context, f"/api/v1/namespaces/{namespace}/pods"):
            yield f"pod/{raw['metadata']['name']}"


@_completed
def receivers(context: click.Context, incomplete: str) -> Iterator[str]:  # noqa: ARG001
    """What `--to` takes."""
    for namespace, name, ports in _services(context):
        yield f"svc/{_short(namespace, name)}"
        yield from (f"nodeport:{port}" for port in ports)


def _short(namespace: str, name: str) -> str:
    """A name, with its namespace where that is not the one that is meant anyway."""
    return name if namespace == (asked_namespace() or "default") else f"{namespace}/{name}"


def _nodes(context: click.Context) -> Iterator[str]:
    for cluster in _in_files(context):
        yield from cluster.nodes
    for raw in _asked(context, "/api/v1/nodes"):
        yield raw["metadata"]["name"]


def _services(context: click.Context) -> Iterator[tuple[str, str, list[int]]]:
    """Namespace, name and node ports of each Service."""
    for cluster in _in_files(context):
        for (namespace, name), service in sorted(cluster.services.items()):
            yield namespace, name, [p.node_port for p in service.ports if p.node_port]
    for raw in _asked(context, "/api/v1/services"):
        ports = [port["nodePort"] for port in raw["spec"].get("ports", ()) if port.get("nodePort")]
        yield raw["metadata"]["namespace"], raw["metadata"]["name"], ports


def _pods(cluster: Cluster) -> list[tuple[str, str]]:
    """Pods, with those that are endpoints."""
    targets = {e.target for found in cluster.slices.values() for e in found.endpoints if e.target}
    behind = {(namespace, name) for namespace, _, name in (t.partition("/") for t in targets)}
    return sorted({*cluster.pods, *behind})


def _files(context: click.Context) -> list[str]:
    """The manifests on the command line, with those behind the cursor."""
    from click.shell_completion import split_arg_string  # noqa: PLC0415 - only to complete

    before = (*(context.params.get("files") or ()), *(context.params.get("more_files") or ()))
    words = split_arg_string(os.environ.get("COMP_WORDS", ""))
    at = os.environ.get("COMP_CWORD", "")
    after = words[int(at) + 1 :] if at.isdecimal() else []
    # Where the value of an option is completed, click has not given out the arguments.
    loose = [word for word in context.args if os.path.exists(word)]
    named = [word for word in after if word.endswith(_MANIFESTS) or os.path.isdir(word)]
    return [path for path in dict.fromkeys((*before, *loose, *named)) if path != "-"]


def _in_files(context: click.Context) -> list[Cluster]:
    """The clusters that the files on the command line describe, as far as they can be read."""
    kept = "nptables.completion.files"
    if kept not in context.meta:
        from nptables.sources import load_sets  # noqa: PLC0415 - only to complete

        paths = [path for path in _files(context) if _size(path) <= _LARGEST]
        sets = load_sets(*paths, lenient=True, render=False) if paths else None
        found = () if sets is None else (*sets.judged, *sets.idle)
        context.meta[kept] = [one.cluster for one in found if one.usable]
    clusters: list[Cluster] = context.meta[kept]
    return clusters


def _size(path: str) -> int:
    try:
        return 0 if os.path.isdir(path) else os.path.getsize(path)
    except (OSError, ValueError):
        return _LARGEST + 1


def _asked(context: click.Context, path: str) -> list[dict[str, Any]]:
    """The objects of a collection, where no file is named and a cluster is configured."""
    if _files(context):
        return []
    from nptables.sources.apiserver import kubeconfig  # noqa: PLC0415 - only to complete

    asked = asked_cluster()
    if not (asked or kubeconfig.is_configured()):
        return []
    from nptables.sources.apiserver import Connection  # noqa: PLC0415
    from nptables.sources.cluster import some_of  # noqa: PLC0415

    # Importing the kubernetes client may take as long as the server is given.
    opened = Connection(kubeconfig=asked.kubeconfig, context=asked.context, step_seconds=TIMEOUT)
    found: list[dict[str, Any]] = []

    def ask() -> None:
        with contextlib.suppress(Exception):
            found.extend(some_of(opened, path, _MOST))

    # A name may be looked up for any length of time: a thread that takes longer is left alone.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(TIMEOUT)
    return list(found)
