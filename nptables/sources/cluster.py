"""The objects of a running cluster, once: what `kubectl get svc,endpointslices,nodes -A` shows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import attrs

from nptables.errors import ApiServerError
from nptables.sources.apiserver import (
    ENDPOINT_SLICES,
    NODES,
    SERVICES,
    Connection,
    Resource,
    Transport,
)
from nptables.sources.apiserver.listing import RawList, raw_page, read_list

_NOT_FOUND = 404
_EXPIRED = 410
# Whoever asks may want to know why a Service gets no rules, so nothing is left out.
_EVERYTHING = tuple(
    attrs.evolve(resource, label_selector="", field_selector="")
    for resource in (NODES, SERVICES, ENDPOINT_SLICES)
)


def some_of(transport: Transport, path: str, most: int) -> list[dict[str, Any]]:
    """The first objects of the collection at a path, all of one page. Raises ApiServerError."""
    document = read_list(transport.get(path, {"limit": str(most)}).read())
    return [item for item in document.get("items") or () if isinstance(item, dict)]


def fetch_pod(transport: Transport, namespace: str, name: str) -> Mapping[str, Any] | None:
    """One Pod, or None where there is none of that name. Raises ApiServerError."""
    try:
        body = transport.get(f"/api/v1/namespaces/{namespace}/pods/{name}", {}).read()
    except ApiServerError as error:
        if error.status == _NOT_FOUND:
            return None
        raise
    return {"kind": "Pod", "apiVersion": "v1", **_object(body)}


def fetch(
    *,
    kubeconfig: str | None = None,
    context: str | None = None,
    transport: Transport | None = None,
) -> list[Mapping[str, Any]]:
    """Every Node, Service and EndpointSlice of a cluster, as the API server sends them.

    Args:
        kubeconfig: The file that says where the cluster is; None for kubectl's own rules.
        context: A context in it; None for the current one.
        transport: A connection that is open already, instead of the two above.

    Raises:
        MissingPackage: Without the `kubernetes` package.
        ApiServerError: Where the configuration cannot be used or the server does not answer.
    """
    opened = transport or Connection(kubeconfig=kubeconfig, context=context)
    return [item for resource in _EVERYTHING for item in list_raw(opened, resource).items]


def list_raw(transport: Transport, resource: Resource) -> RawList:
    """A complete list of a collection, its selectors heeded. Raises ApiServerError."""
    try:
        return _pages(transport, resource)
    except ApiServerError as error:
        if error.status != _EXPIRED:
            raise
        # The list changed for longer than the server keeps its pages: once more from the start.
        return _pages(transport, resource)


def _pages(transport: Transport, resource: Resource) -> RawList:
    found: list[Mapping[str, Any]] = []
    token = ""
    while True:
        page, token = raw_page(transport, resource, token)
        # The items of a list come without kind and version: those of the list stand for them.
        found += [
            {"kind": resource.kind, "apiVersion": resource.api_version, **item}
            for item in page.items
            if isinstance(item, Mapping)
        ]
        if not token:
            return RawList(found, page.resource_version)


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ApiServerError("what it sent is not JSON") from error
    if not isinstance(document, Mapping):
        raise ApiServerError("what it sent is not an object")
    return document
