"""Pods of our own, for the time of a collection, where kube-proxy has none.

1. Nothing is created unless somebody asked for it, and unless a node lacks a Pod that runs.
2. What was created is deleted, whatever happens between. One that was there before is left alone;
   one that a killed collection left behind is deleted at the end of the next.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import yaml

from nptables.errors import ApiServerError
from nptables.sources.apiserver import Connection
from nptables.sources.fleet.deployed import deployed

NAME = "nptables-collect"
_FILE = "collect-daemonset.yaml"
_THERE_ALREADY = 409
_NOT_THERE = 404
# Who made it, for the next collection to see.
_MADE_BY = ("app.kubernetes.io/managed-by", NAME)


def manifest(namespace: str, image: str) -> dict[str, Any]:
    """The DaemonSet as it is created; without an `image` with the one of its file."""
    found: dict[str, Any] = yaml.safe_load(deployed(_FILE))
    found["metadata"]["namespace"] = namespace
    found["metadata"]["labels"][_MADE_BY[0]] = _MADE_BY[1]
    if image:
        found["spec"]["template"]["spec"]["containers"][0]["image"] = image
    return found


@contextmanager
def daemon_set(
    connect: Callable[[], Connection], namespace: str, image: str, tell: Callable[[str], None]
) -> Iterator[None]:
    """See that the DaemonSet is there for as long as the context lasts.

    `tell` is told what a person should know. Raises ApiServerError where it cannot be created.
    """
    path = _path(namespace)
    refused = False
    try:
        try:
            connect().post(path, manifest(namespace, image))
        except ApiServerError as error:
            # Without an answer (0) it may have been created all the same.
            refused = error.status not in (0, _THERE_ALREADY)
            if error.status != _THERE_ALREADY:
                raise
            if not _is_ours(connect(), path):
                where = f"{namespace}/{NAME}"
                tell(f"the DaemonSet {where} is there already: it is used, and left alone")
        yield
    finally:
        if not refused:
            _delete(connect, namespace, path, tell)


@contextmanager
def leaving_none_behind(
    connect: Callable[[], Connection], namespace: str, tell: Callable[[str], None]
) -> Iterator[None]:
    """Delete at the end of the context what a killed collection left, if it did."""
    path = _path(namespace)
    try:
        is_left = _is_ours(connect(), path)
    except ApiServerError:
        # It is not there, or nobody may see it.
        is_left = False
    try:
        yield
    finally:
        if is_left:
            _delete(connect, namespace, path, tell)


def _path(namespace: str) -> str:
    return f"/apis/apps/v1/namespaces/{namespace}/daemonsets"


def _delete(
    connect: Callable[[], Connection], namespace: str, path: str, tell: Callable[[str], None]
) -> None:
    """Delete it if a collection has made it."""
    try:
        # A connection of before may be in the middle of something.
        connection = connect()
        if _is_ours(connection, path):
            connection.delete(f"{path}/{NAME}")
    except ApiServerError as error:
        if error.status != _NOT_THERE:
            tell(
                f"the DaemonSet {namespace}/{NAME} could not be deleted ({error}): do it with "
                f"`kubectl -n {namespace} delete daemonset {NAME}`"
            )


def _is_ours(connection: Connection, path: str) -> bool:
    """Whether it was made just now, or by a collection that was killed."""
    there = json.loads(connection.get(f"{path}/{NAME}", {}).read())
    labels = (there.get("metadata") or {}).get("labels") or {}
    return bool(labels.get(_MADE_BY[0]) == _MADE_BY[1])
