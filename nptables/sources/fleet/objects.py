"""The objects of a cluster while its nodes are read: as they were before, and every change since.

Of an object only what decides rules is kept, and when it was changed: no other annotation or label,
into which somebody may have put a secret.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Self

import attrs

from nptables.errors import ApiServerError
from nptables.immutable import frozen
from nptables.model.endpointslice import SERVICE_NAME_LABEL
from nptables.model.node import HOSTNAME_LABEL, ZONE_LABEL
from nptables.model.service import HEADLESS_LABEL, SERVICE_PROXY_NAME_LABEL
from nptables.sources.apiserver import ENDPOINT_SLICES, NODES, SERVICES, Connection, Resource
from nptables.sources.apiserver.backoff import Backoff
from nptables.sources.apiserver.reflector import GONE, whole_lines
from nptables.sources.cluster import list_raw
from nptables.sources.fleet.folder import Change

# Watches are renewed after so many seconds without a word. A server sends a bookmark every minute
# (defaultBookmarkFrequency in k8s.io/apiserver/pkg/storage/cacher).
_SILENCE = 90.0
# How long a watch may be behind a list, and between two looks at it, in seconds.
_LONGEST_LAG = 5.0
_GLANCE = 0.02
_WATCHED = tuple(
    attrs.evolve(resource, label_selector="", field_selector="")
    for resource in (SERVICES, ENDPOINT_SLICES)
)
_CONFIG = "/api/v1/namespaces/kube-system/configmaps/kube-proxy"
_KEPT = {
    "Service": ("spec", "status"),
    "EndpointSlice": ("addressType", "endpoints", "ports"),
}
# When the endpoints changed last, whether hints are wanted (KEP-2433), and whether endpoints were
# left out because there were too many.
_ANNOTATIONS = (
    "endpoints.kubernetes.io/last-change-trigger-time",
    "service.kubernetes.io/topology-mode",
    "service.kubernetes.io/topology-aware-hints",
    "endpoints.kubernetes.io/over-capacity",
)
# Whose a slice is, who serves a Service, and where a Node is.
_LABELS = (
    SERVICE_NAME_LABEL, SERVICE_PROXY_NAME_LABEL, HEADLESS_LABEL, HOSTNAME_LABEL, ZONE_LABEL,
)  # fmt: skip
_METADATA = ("name", "namespace", "creationTimestamp", "deletionTimestamp", "resourceVersion")


def kept(item: Mapping[str, Any]) -> dict[str, Any]:
    """Of a Service, an EndpointSlice or a Node what decides rules, and when it was changed."""
    metadata = item.get("metadata")
    metadata = metadata if isinstance(metadata, Mapping) else {}
    found: dict[str, Any] = {key: metadata[key] for key in _METADATA if key in metadata}
    for field, names in (("labels", _LABELS), ("annotations", _ANNOTATIONS)):
        given = metadata.get(field)
        if isinstance(given, Mapping):
            found[field] = {name: given[name] for name in names if name in given}
    fields = metadata.get("managedFields")
    times = [f["time"] for f in fields or () if isinstance(f, Mapping) and "time" in f]
    if times:
        found["managedFields"] = [{"time": max(map(str, times))}]
    kind = str(item.get("kind"))
    parts = {key: item[key] for key in _KEPT.get(kind, ()) if key in item}
    if kind == "Node":
        parts = _of_node(item)
    return {"apiVersion": item.get("apiVersion"), "kind": kind, "metadata": found, **parts}


def _of_node(item: Mapping[str, Any]) -> dict[str, Any]:
    spec, status = item.get("spec") or {}, item.get("status") or {}
    info = status.get("nodeInfo") or {}
    return {
        "spec": {key: spec[key] for key in ("podCIDR", "podCIDRs") if key in spec},
        "status": {
            "addresses": status.get("addresses") or [],
            "nodeInfo": {"kubeletVersion": str(info.get("kubeletVersion") or "")},
        },
    }


def proxy_config(connection: Connection) -> list[Mapping[str, Any]]:
    """The ConfigMap of kubeadm's kube-proxy without its kubeconfig; nothing where there is none."""
    try:
        found = json.loads(connection.get(_CONFIG, {}).read())
        text = found["data"]["config.conf"]
    except (ApiServerError, ValueError, KeyError, TypeError):
        return []
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "kube-proxy", "namespace": "kube-system"},
            "data": {"config.conf": text},
        }
    ]


def nodes(connection: Connection, selector: str = "") -> list[Mapping[str, Any]]:
    """The Nodes that a label selector fits, as the API server has them. Raises ApiServerError."""
    return list_raw(connection, attrs.evolve(NODES, label_selector=selector)).items


@frozen
class Start:
    """The objects as they were, and the versions from which their watches go on."""

    items: list[Mapping[str, Any]]
    versions: Mapping[str, str]


def start(connection: Connection) -> Start:
    """List everything that decides rules. Raises ApiServerError."""
    items: list[Mapping[str, Any]] = [*proxy_config(connection)]
    items += [kept(item) for item in nodes(connection)]
    versions = {}
    for resource in _WATCHED:
        listed = list_raw(connection, resource)
        versions[resource.name] = listed.resource_version
        items += [kept(item) for item in listed.items]
    return Start(items, versions)


class Watches:
    """Watches Services and EndpointSlices, each in a thread of its own, and tells every change.

    `connect` opens a connection, `tell` takes changes one at a time, `clock` gives seconds since
    the epoch. Where a watch breaks off, the list says what it missed.
    """

    def __init__(
        self,
        before: Start,
        connect: Callable[[], Connection],
        tell: Callable[[Change], None],
        *,
        clock: Callable[[], float],
        random: Callable[[], float],
    ) -> None:
        self._known = {_key(item): item for item in before.items}
        self._versions = dict(before.versions)
        self._connect = connect
        self._tell = tell
        self._clock = clock
        self._random = random
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._open: dict[str, Any] = {}
        self.troubles: list[str] = []
        self._threads = [
            threading.Thread(target=self._follow, args=(resource,), daemon=True)
            for resource in _WATCHED
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for response in list(self._open.values()):
            response.close()
        for thread in self._threads:
            thread.join(timeout=5)

    def catch_up(self, connection: Connection, clock: Callable[[], float]) -> None:
        """Return once everything is told that the server knew when this was called.

        What a node had when it was read is then among the states that were told. Where a watch does
        not come that far in a few seconds, the list itself is told. Raises ApiServerError.
        """
        for resource in _WATCHED:
            wanted = {_key(item): _version(item) for item in list_raw(connection, resource).items}
            end = clock() + _LONGEST_LAG
            while not self._knows(resource, wanted) and clock() < end:
                self._over.wait(_GLANCE)
            if not self._knows(resource, wanted):
                self._compare(resource, connection)

    def _knows(self, resource: Resource, wanted: Mapping[tuple[str, str, str], int]) -> bool:
        with self._lock:
            known = {k: _version(item) for k, item in self._known.items() if k[0] == resource.kind}
        # What the list lacks was made after it, or it is deleted and the watch has not come so far.
        # Versions of all objects come from one counter.
        gone = known.keys() - wanted.keys()
        newest = max(wanted.values(), default=0)
        return all(known[key] > newest for key in gone) and all(
            known.get(key, 0) >= version for key, version in wanted.items()
        )

    def _follow(self, resource: Resource) -> None:
        backoff = Backoff(self._random)
        connection: Connection | None = None
        while not self._over.is_set():
            try:
                connection = connection or self._connect()
                if not self._versions[resource.name]:
                    self._compare(resource, connection)
                self._watch(resource, connection)
                pause = backoff.delay()
            except ApiServerError as error:
                if self._over.is_set():
                    return
                # What was missed is seen in a new list.
                self._versions[resource.name] = ""
                self.troubles.append(f"the watch of {resource.name}: {error}")
                # That a version is too old says nothing of the server's health.
                pause = 0.0 if error.status == GONE else backoff.delay(at_least=error.retry_after)
            self._over.wait(pause)

    def _compare(self, resource: Resource, connection: Connection) -> None:
        listed = list_raw(connection, resource)
        there = {_key(item): item for item in map(kept, listed.items)}
        for key, item in there.items():
            self._note(key, item, gone=False)
        with self._lock:
            known = [key for key in self._known if key[0] == resource.kind and key not in there]
        for key in known:
            self._note(key, self._known[key], gone=True)
        self._versions[resource.name] = listed.resource_version

    def _watch(self, resource: Resource, connection: Connection) -> None:
        query = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._versions[resource.name],
            "timeoutSeconds": "300",
        }
        response = connection.get(resource.path, query, read_timeout=_SILENCE)
        self._open[resource.name] = response
        try:
            if self._over.is_set():
                return
            for line in whole_lines(response.chunks()):
                self._take(resource, line)
        finally:
            self._open.pop(resource.name, None)
            response.close()

    def _take(self, resource: Resource, line: bytes) -> None:
        try:
            event = json.loads(line)
            kind, item = event["type"], event["object"]
            version = str(item["metadata"]["resourceVersion"])
        except (ValueError, KeyError, TypeError) as error:
            status = 0
            with suppress(Exception):
                status = int(json.loads(line)["object"]["code"])
            raise ApiServerError("a watch event is not readable", status=status) from error
        if kind in ("ADDED", "MODIFIED", "DELETED"):
            whole = {**item, "kind": resource.kind, "apiVersion": resource.api_version}
            self._note(_key(whole), kept(whole), gone=kind == "DELETED")
        self._versions[resource.name] = version

    def _note(self, key: tuple[str, str, str], item: Mapping[str, Any], *, gone: bool) -> None:
        with self._lock:
            # After a watch broke off the list repeats what is known.
            if self._known.get(key) == item and not gone:
                return
            if gone:
                self._known.pop(key, None)
            else:
                self._known[key] = item
            self._tell(Change(self._clock(), gone, item))


def _version(item: Mapping[str, Any]) -> int:
    """The resource version as a number, which it is on every server there is; 0 for none."""
    text = str((item.get("metadata") or {}).get("resourceVersion") or "")
    return int(text) if text.isdecimal() else 0


def _key(item: Mapping[str, Any]) -> tuple[str, str, str]:
    metadata = item.get("metadata") or {}
    return str(item.get("kind")), str(metadata.get("namespace")), str(metadata.get("name"))


def since(
    items: list[Mapping[str, Any]], changes: list[Change], now: Start, at: float
) -> Iterator[Change]:
    """What changed from what is known of an earlier collection to what is there now."""
    known = {_key(item): item for item in items}
    for change in changes:
        if change.gone:
            known.pop(_key(change.item), None)
        else:
            known[_key(change.item)] = change.item
    there = {_key(item): item for item in now.items}
    for key, item in there.items():
        if key[0] in _KEPT and known.get(key) != item:
            yield Change(at, gone=False, item=item)
    for key, item in known.items():
        if key[0] in _KEPT and key not in there:
            yield Change(at, gone=True, item=item)
