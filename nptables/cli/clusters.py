"""The cluster that a command reads, and the namespace that is meant, as with kubectl.

Objects are always read whole: the rules of a node depend on all Services. The namespace says where
a Service or a Pod is that is named without one, and whose Services are shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import click

from nptables.cli.completion import namespaces
from nptables.cli.memory import kept_to_the_end
from nptables.cli.output import say
from nptables.cli.settings import (
    AskedCluster,
    asked_namespace,
    asks_for_all_namespaces,
    keep,
)
from nptables.errors import ApiServerError, printable
from nptables.model import Cluster, names
from nptables.model.reading import nearest
from nptables.sources import Loaded, load_objects

if TYPE_CHECKING:
    from nptables.model import Pod
    from nptables.sources.apiserver import Connection

Command = TypeVar("Command", bound=Callable[..., Any])

_CONNECTION = "nptables.connection"
_FORBIDDEN = 403


def _namespace(context: click.Context, option: click.Parameter, value: str | None) -> None:
    if value is not None and not names.is_label(value):
        raise click.BadParameter(f'"{printable(value, 80)}" is not the name of a namespace')
    keep(context, option, value)


def namespace_option(effect: str) -> Callable[[Command], Command]:
    """`-n`; `effect` says what the namespace is for."""
    return click.option(
        "-n",
        "--namespace",
        metavar="NAME",
        expose_value=False,
        callback=_namespace,
        shell_complete=namespaces,
        help=effect,
    )


def all_namespaces_option(effect: str) -> Callable[[Command], Command]:
    """`-A`, which goes with `-n` where a command shows several Services."""
    return click.option(
        "-A", "--all-namespaces", is_flag=True, expose_value=False, callback=keep, help=effect
    )


def namespace_of_names() -> str:
    """Where a Service or a Pod is that is named without its namespace.

    It is that of -n, else that of the context where a cluster was read, else `default`.
    """
    connection = _connection()
    of_context = "" if connection is None else connection.place.namespace
    return asked_namespace() or of_context or "default"


def shown_namespace(cluster: Cluster) -> str | None:
    """The namespace whose Services are shown, or None for all of them.

    It is that of -n, else that of the context where a cluster was read and its context names one;
    with -A it is none. That a context narrows what is shown is said, and so is a namespace without
    a Service.
    """
    if asks_for_all_namespaces():
        return None
    connection = _connection()
    found = asked_namespace() or ("" if connection is None else connection.place.namespace)
    if not found:
        return None
    if asked_namespace() is None:
        say(f"only namespace {found} of the context is shown; -A shows all namespaces")
    there = sorted({namespace for namespace, _ in cluster.services})
    if found not in there:
        hint = nearest(found, there)
        say(f"there is no Service in namespace {found}{f' ({hint})' if hint else ''}",
            kind="warning")  # fmt: skip
    return found


def services_in(namespace: str, cluster: Cluster) -> list[tuple[str, str]]:
    """The Services of a namespace."""
    return [key for key in cluster.services if key[0] == namespace]


def named_ends(source: str, destination: str) -> tuple[str, str]:
    """Two ends of a packet with the namespaces that are meant."""
    from nptables.tracing.ends import named_destination, named_source  # noqa: PLC0415 - of a trace

    namespace = namespace_of_names()
    return named_source(source, namespace), named_destination(destination, namespace)


def is_current_there() -> bool:
    """Whether a cluster can be read that the command line does not name."""
    from nptables.sources.apiserver import kubeconfig  # noqa: PLC0415 - without FILEs only

    return kubeconfig.is_configured()


def read_cluster(asked: AskedCluster) -> Loaded:
    """The objects of a cluster from its API server; which one it is, is said first.

    Raises MissingPackage and ApiServerError.
    """
    # They import the kubernetes client when they connect, which is an extra.
    from nptables.sources.apiserver import Connection  # noqa: PLC0415
    from nptables.sources.cluster import fetch  # noqa: PLC0415

    connection = Connection(kubeconfig=asked.kubeconfig, context=asked.context)
    click.get_current_context().meta[_CONNECTION] = connection
    say(f"reading {connection.place}")
    try:
        objects = fetch(transport=connection)
    except ApiServerError as error:
        raise _explained(error, connection) from error
    with kept_to_the_end():
        return load_objects(objects, lenient=True, listed=True)


def with_pods(loaded: Loaded, wanted: Iterable[tuple[str, str]]) -> Loaded:
    """What was read, with Pods that are named: a cluster is asked for each of them alone.

    One that may not be read is left out: it may be known as an endpoint.
    """
    connection = _connection()
    if connection is None:
        return loaded
    from nptables.model import Pod  # noqa: PLC0415 - seldom needed
    from nptables.sources.cluster import fetch_pod  # noqa: PLC0415

    found: dict[tuple[str, str], Pod] = {}
    for namespace, name in wanted:
        if not (names.is_label(namespace) and names.is_subdomain(name)):
            continue
        try:
            pod = Pod.read(fetch_pod(connection, namespace, name))
        except ApiServerError as error:
            say(f"Pod {namespace}/{name} cannot be read: {error}", kind="warning")
            continue
        if pod is not None:
            found[namespace, name] = pod
    return attrs.evolve(
        loaded, cluster=attrs.evolve(loaded.cluster, pods={**loaded.cluster.pods, **found})
    )


def _connection() -> Connection | None:
    found: Connection | None = click.get_current_context().meta.get(_CONNECTION)
    return found


def _explained(error: ApiServerError, connection: Connection) -> ApiServerError:
    """The error with what its own words lack: which server it is, or what the account needs."""
    words = str(error).removeprefix("the API server: ")
    if error.status == _FORBIDDEN:
        words = f"this account may not read all that the rules depend on: {words}"
    elif error.status == 0:
        words = f"{words} ({connection.place})"
    return ApiServerError(words, status=error.status, retry_after=error.retry_after)
