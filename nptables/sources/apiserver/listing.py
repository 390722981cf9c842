"""Complete lists, page by page, each page turned into the model before the next is asked for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from nptables.errors import ApiServerError, Problem
from nptables.gcpause import collector_paused
from nptables.immutable import frozen
from nptables.model import Cluster, EndpointSlice, Node, Service
from nptables.model.metadata import TRIGGER_TIME
from nptables.model.unread import Unread
from nptables.sources.apiserver.resources import ENDPOINT_SLICES, NODES, SERVICES, Resource
from nptables.sources.apiserver.transport import Transport

# As client-go (defaultPageSize in k8s.io/client-go/tools/pager/pager.go).
PAGE_SIZE = 500


@frozen
class Page:
    """A page of a list: its objects as the model has them, and the list's resource version."""

    cluster: Cluster
    resource_version: str
    triggered: dict[tuple[str, str], float]


@frozen
class RawList:
    """The objects of a list as the server sends them, and the list's resource version."""

    items: list[Any]
    resource_version: str


def raw_page(
    transport: Transport, resource: Resource, token: str = "", *, page_size: int = PAGE_SIZE
) -> tuple[RawList, str]:
    """The page of a list that a token stands for, and the token of the next; empty for none.

    Raises ApiServerError; with status 410 where the list outlived the token.
    """
    # Without a resourceVersion, which means the newest state. client-go's reflector begins with
    # version 0, and any cache may answer that with an older one.
    query = {**resource.selectors, "limit": str(page_size)}
    if token:
        query["continue"] = token
    document = read_list(transport.get(resource.path, query).read())
    metadata = document.get("metadata") or {}
    following = str(metadata.get("continue") or "")
    if following and following == token:
        raise ApiServerError(f"it sends the same page of {resource.name} again and again")
    version = str(metadata.get("resourceVersion") or "")
    # An empty list of Go's may be null in JSON.
    return RawList(document.get("items") or [], version), following


def list_pages(
    transport: Transport, resource: Resource, *, page_size: int = PAGE_SIZE
) -> Iterator[Page]:
    """The pages of a complete, consistent list.

    Raises ApiServerError; with status 410 where the list outlived its continue token.
    """
    token = ""
    while True:
        raw, token = raw_page(transport, resource, token, page_size=page_size)
        with collector_paused():
            page = Page(
                read_objects(resource, raw.items),
                raw.resource_version,
                dict(_trigger_times(raw.items)),
            )
        # The raw objects must be gone before the next page comes: this is the peak.
        del raw
        yield page
        if not token:
            return


def read_objects(resource: Resource, items: Iterable[Any]) -> Cluster:
    """Objects of a list, which carry neither kind nor version, as the model has them."""
    kind = {"kind": resource.kind, "apiVersion": resource.api_version}
    return Cluster.from_objects(
        ({**item, **kind} if isinstance(item, Mapping) else item for item in items), lenient=True
    )


def list_cluster(
    transport: Transport,
    resources: Iterable[Resource] = (SERVICES, ENDPOINT_SLICES, NODES),
) -> Cluster:
    """Everything that decides rules, as the API server has it now. Raises ApiServerError."""
    return merged(
        page.cluster for resource in resources for page in list_pages(transport, resource)
    )


def merged(parts: Iterable[Cluster]) -> Cluster:
    """Clusters as one; of an object that is there several times the last counts."""
    services: dict[tuple[str, str], Service] = {}
    slices: dict[tuple[str, str], EndpointSlice] = {}
    nodes: dict[str, Node] = {}
    problems: list[Problem] = []
    unread: list[Unread] = []
    for part in parts:
        services.update(part.services)
        slices.update(part.slices)
        nodes.update(part.nodes)
        problems.extend(part.problems)
        unread.extend(part.unread)
    return Cluster(services, slices, nodes, tuple(problems), tuple(unread))


def trigger_time(item: Mapping[str, Any]) -> float | None:
    """When the change that an EndpointSlice reports happened, in seconds since the epoch."""
    try:
        text = item["metadata"]["annotations"][TRIGGER_TIME]
        return datetime.fromisoformat(text).timestamp()
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        return None


def _trigger_times(items: Iterable[Any]) -> Iterator[tuple[tuple[str, str], float]]:
    for item in items:
        if isinstance(item, Mapping) and (time := trigger_time(item)) is not None:
            metadata = item["metadata"]
            yield (str(metadata.get("namespace")), str(metadata.get("name"))), time


def read_list(body: bytes) -> Mapping[str, Any]:
    """The list that an answer holds. Raises ApiServerError where it holds none."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ApiServerError("the list that it sent is not JSON") from error
    if (
        not isinstance(document, Mapping)
        or not isinstance(document.get("items") or [], list)
        or not isinstance(document.get("metadata") or {}, Mapping)
    ):
        raise ApiServerError("what it sent is not a list of objects")
    return document
