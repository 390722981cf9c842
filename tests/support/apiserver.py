"""An API server for tests: it behaves as the recordings show, and fails on cue.

The recordings are those of fixtures/apiserver. It holds objects in memory, numbers every change,
pages lists, selects by label and field, sends watch events, bookmarks and 410 the way the real one
does. What a `Fault` describes happens to the next requests that it fits.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import copy
import json
import re
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from aiohttp import web

from tests.support.entering import enter
from tests.support.probing import free_port

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Mapping

JSON = dict[str, Any]
Key = tuple[str, str]

KINDS = {
    "services": ("Service", "v1", "/api/v1/services"),
    "endpointslices": (
        "EndpointSlice",
        "discovery.k8s.io/v1",
        "/apis/discovery.k8s.io/v1/endpointslices",
    ),
    "nodes": ("Node", "v1", "/api/v1/nodes"),
    "pods": ("Pod", "v1", "/api/v1/pods"),
    "namespaces": ("Namespace", "v1", "/api/v1/namespaces"),
}
CLUSTER_SCOPED = ("nodes", "namespaces")
IN_NAMESPACE = re.compile(r"/api/v1/namespaces/([a-z0-9-]+)/pods(?:/([a-z0-9.-]+))?")
# The lists of a namespace that `kubectl cluster-info dump` asks for besides Pods, and their logs.
DUMPED = re.compile(
    r"/(api/v1|apis/apps/v1)/namespaces/([a-z0-9-]+)/"
    r"(services|events|replicationcontrollers|daemonsets|deployments|replicasets)"
)
LOGS = re.compile(r"/api/v1/namespaces/[a-z0-9-]+/pods/[a-z0-9.-]+/log")
_DUMPED_KINDS = {
    "events": "Event", "replicationcontrollers": "ReplicationController",
    "daemonsets": "DaemonSet", "deployments": "Deployment", "replicasets": "ReplicaSet",
}  # fmt: skip
EVENTS = re.compile(r"/apis/events\.k8s\.io/v1/namespaces/([a-z0-9-]+)/events")
PLURALS = {kind: plural for plural, (kind, _, _) in KINDS.items()}


@dataclass
class Fault:
    """What goes wrong for the next `times` requests that fit.

    `status` answers with that code, `retry_after` with that header. For watches, after so many
    further events: `cut_after` closes the connection, `half_line` sends half of the next event
    first, `garbage` sends a line that is no JSON. `silent` sends nothing, not even bookmarks;
    `over` ends the watch at once, in order. `continued` fits the further pages of lists only.
    """

    times: int = 1
    status: int = 0
    retry_after: int = 0
    watch: bool | None = None
    resource: str = ""
    cut_after: int | None = None
    half_line: bool = False
    garbage: bool = False
    silent: bool = False
    expired: bool = False
    over: bool = False
    continued: bool = False

    def fits(self, resource: str, *, watch: bool, continued: bool) -> bool:
        return (
            self.times > 0
            and self.resource in ("", resource)
            and (self.watch is None or self.watch == watch)
            and (continued or not self.continued)
        )


@dataclass
class Request:
    """A request as it came, when (seconds of the monotonic clock), and what came of it.

    `ended` is None as long as we have not ended it, and for good where the client did. `status`
    is that of the answer, or of the ERROR event that ended a watch, or 0 for one that was cut.
    """

    at: float
    resource: str
    watch: bool
    query: dict[str, str]
    authorization: str
    path: str = ""
    method: str = "GET"
    body: JSON = field(default_factory=dict)
    status: int = 200
    retry_after: int = 0
    ended: float | None = None

    def end(self, status: int) -> None:
        """Note how it ended; to be called before the client can know."""
        if self.ended is None:
            self.ended = time.monotonic()
            self.status = status


@dataclass
class _Change:
    version: int
    resource: str
    old: JSON | None
    new: JSON | None


@dataclass
class ApiServer:
    """The server; use it as a context manager, or start and stop it to have it restart.

    It listens in the network namespace of that name where one is given.
    """

    token: str = ""
    tls: ssl.SSLContext | None = None
    bookmark_every: float = 60.0
    host: str = "127.0.0.1"
    port: int = 0
    namespace: str = ""
    requests: list[Request] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    version: int = 100
    oldest: int = 0
    _objects: dict[str, dict[Key, JSON]] = field(
        default_factory=lambda: {plural: {} for plural in KINDS}
    )
    _history: list[_Change] = field(default_factory=list)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _loop: asyncio.AbstractEventLoop | None = None
    _thread: threading.Thread | None = None
    _changed: asyncio.Condition | None = None
    _runner: web.AppRunner | None = None
    _watching: dict[asyncio.Transport, Request] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"

    def kubeconfig(
        self,
        path: Path,
        *,
        token: str | None = None,
        authority: str = "",
        namespaces: Mapping[str, str] | None = None,
    ) -> Path:
        """Write a kubeconfig for this server; `authority` is the file of its CA.

        Beside the context `test`, which is the current one, there is one of each name in
        `namespaces`, with that namespace.
        """
        user: JSON = {"token": self.token if token is None else token} if self.token else {}
        cluster: JSON = {"server": self.url}
        if authority:
            cluster["certificate-authority"] = authority
        document: JSON = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "test", "user": user}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        }
        for name, namespace in (namespaces or {}).items():
            context = {"cluster": "test", "user": "test", "namespace": namespace}
            document["contexts"].append({"name": name, "context": context})
        path.write_text(json.dumps(document))
        return path

    # Objects.

    def put(self, *objects: JSON) -> int:
        """Create or replace objects; returns the resource version of the last."""
        with self._lock:
            for given in objects:
                plural = PLURALS[given["kind"]]
                obj = copy.deepcopy(given)
                metadata = obj.setdefault("metadata", {})
                if plural not in CLUSTER_SCOPED:
                    metadata.setdefault("namespace", "default")
                self.version += 1
                metadata["resourceVersion"] = str(self.version)
                key = (metadata.get("namespace", ""), metadata["name"])
                old = self._objects[plural].get(key)
                self._objects[plural][key] = obj
                self._history.append(_Change(self.version, plural, old, obj))
        self._wake()
        return self.version

    def delete(self, kind: str, name: str, namespace: str = "default") -> None:
        """Delete an object."""
        plural = PLURALS[kind]
        key = ("" if plural in CLUSTER_SCOPED else namespace, name)
        with self._lock:
            self.version += 1
            old = self._objects[plural].pop(key)
            gone = copy.deepcopy(old)
            gone["metadata"]["resourceVersion"] = str(self.version)
            self._history.append(_Change(self.version, plural, gone, None))
        self._wake()

    def objects(self) -> list[JSON]:
        """All objects there are."""
        with self._lock:
            return [copy.deepcopy(o) for found in self._objects.values() for o in found.values()]

    def compact(self) -> None:
        """Forget the history: watches from before this moment get 410."""
        with self._lock:
            self.version += 1
            self.oldest = self.version
            self._history.clear()

    def fail(self, fault: Fault) -> Fault:
        """Let a fault happen to the next requests that it fits."""
        with self._lock:
            self.faults.append(fault)
        return fault

    def disconnect(self) -> None:
        """Cut every connection that is open, in the middle of whatever it carries."""
        self._call(self._abort_all)

    # Life.

    def start(self) -> None:
        """Listen; on the port of before where it was up before."""
        started = threading.Event()
        failure: list[BaseException] = []

        def serve() -> None:
            if self.namespace:
                enter(self.namespace)
            self._loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self._loop)
            try:
                self._loop.run_until_complete(self._open())
            except BaseException as error:  # noqa: BLE001 - handed to the starting thread
                failure.append(error)
                started.set()
                return
            started.set()
            self._loop.run_forever()
            self._loop.run_until_complete(self._close())
            self._loop.close()

        self._thread = threading.Thread(target=serve, daemon=True)
        self._thread.start()
        assert started.wait(60)
        if failure:
            raise failure[0]

    def stop(self) -> None:
        """Stop listening and cut what is open."""
        if self._loop is None or self._thread is None:
            return
        self._call(self._abort_all)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)
        assert not self._thread.is_alive()
        self._loop = None

    def restart(self, down: Callable[[], None] = lambda: None) -> None:
        """Stop, do something while nobody answers, and start on the same port."""
        self.stop()
        down()
        self.start()

    def waits_for(self, condition: Callable[[], bool], timeout: float = 60.0) -> bool:
        """Whether a condition comes true within so many seconds."""
        until = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > until:
                return False
            time.sleep(0.01)
        return True

    @property
    def watches(self) -> list[Request]:
        return [request for request in self.requests if request.watch]

    @property
    def standing(self) -> list[Request]:
        """The watches that are open, and not left by their clients."""
        return [r for transport, r in list(self._watching.items()) if not transport.is_closing()]

    @property
    def lists(self) -> list[Request]:
        return [
            request for request in self.requests if not request.watch and request.method == "GET"
        ]

    @property
    def events(self) -> list[Request]:
        """The requests to create an Event, accepted or not."""
        return [request for request in self.requests if request.resource == "events"]

    async def _open(self) -> None:
        self._changed = asyncio.Condition()
        app = web.Application()
        app.router.add_get("/{path:.*}", self._serve)
        app.router.add_post("/{path:.*}", self._serve)
        app.router.add_delete("/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        # One that is there again after a restart, too.
        self.port = self.port or free_port()
        site = web.TCPSite(
            self._runner, self.host, self.port, ssl_context=self.tls, reuse_address=True
        )
        await site.start()

    async def _close(self) -> None:
        assert self._runner is not None
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await self._runner.cleanup()
        # Cut connections whose handshake failed, or whose peer is just leaving.
        for transport in list(self._loop._transports.values()):  # type: ignore[union-attr]
            transport.abort()
        # A transport is closed only in the turn of the loop after the one that asked for it.
        await asyncio.sleep(0.02)

    def _call(self, function: Callable[[], None]) -> None:
        loop = self._loop
        if loop is None:
            return
        done = threading.Event()

        def call() -> None:
            function()
            done.set()

        loop.call_soon_threadsafe(call)
        assert done.wait(60)

    def _abort_all(self) -> None:
        for transport, request in list(self._watching.items()):
            request.end(0)
            transport.abort()

    def _wake(self) -> None:
        loop, changed = self._loop, self._changed
        if loop is None or changed is None:
            return

        async def notify() -> None:
            async with changed:
                changed.notify_all()

        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(lambda: loop.create_task(notify()))

    # Answers.

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        plural = next((p for p, (_, _, path) in KINDS.items() if request.path == path), "")
        events = EVENTS.fullmatch(request.path) if request.method == "POST" else None
        plural = "events" if events else plural
        within = IN_NAMESPACE.fullmatch(request.path)
        plural = "pods" if within else plural
        body = await request.json() if events else {}
        query = dict(request.query)
        watch = query.get("watch") in ("1", "true")
        noted = Request(
            time.monotonic(),
            plural,
            watch,
            query,
            request.headers.get("Authorization", ""),
            request.path,
            request.method,
            body,
        )
        self.requests.append(noted)
        response = await self._answer(request, noted)
        if isinstance(response, web.Response):
            noted.end(response.status)
        noted.retry_after = int(response.headers.get("Retry-After", "0"))
        return response

    async def _answer(self, request: web.Request, noted: Request) -> web.StreamResponse:
        plural, query, watch = noted.resource, noted.query, noted.watch
        if not self._admits(noted.authorization):
            return _status(401, "Unauthorized", "Unauthorized")
        fault = self._fault(plural, watch=watch, continued="continue" in query)
        if fault is not None and fault.status:
            return _status(
                fault.status, f"injected {fault.status}", "Injected", retry=fault.retry_after
            )
        if (dumped := DUMPED.fullmatch(request.path)) and request.method == "GET":
            return self._dumped(dumped[1], dumped[2], dumped[3])
        if LOGS.fullmatch(request.path):
            return web.Response(text='{"level": "info"}\n}{ no JSON\n')
        if not plural:
            return _status(404, "the server could not find the requested resource", "NotFound")
        if (within := IN_NAMESPACE.fullmatch(request.path)) is not None:
            return self._pods(within[1], within[2])
        if plural == "events":
            return _created(noted.body, noted.path.split("/")[-2])
        if request.method != "GET":
            return _status(405, "the server does not allow this method", "MethodNotAllowed")
        if watch:
            return await self._watch(request, noted, fault)
        return self._list(plural, query)

    def _admits(self, authorization: str) -> bool:
        """Whether the token is ours; as for any scheme of HTTP the case of `bearer` is free."""
        scheme, _, token = authorization.partition(" ")
        return not self.token or (scheme.lower(), token) == ("bearer", self.token)

    def _fault(self, resource: str, *, watch: bool, continued: bool) -> Fault | None:
        with self._lock:
            for fault in self.faults:
                if fault.fits(resource, watch=watch, continued=continued):
                    fault.times -= 1
                    return fault
        return None

    def _pods(self, namespace: str, name: str | None) -> web.Response:
        """The Pods of a namespace, or the one of that name."""
        with self._lock:
            found = [o for (of, _), o in self._objects["pods"].items() if of == namespace]
        if name is None:
            return _json({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": found})
        for obj in found:
            if obj["metadata"]["name"] == name:
                return _json(obj)
        return _status(404, f'pods "{name}" not found', "NotFound")

    def _dumped(self, version: str, namespace: str, plural: str) -> web.Response:
        """A list of one namespace, empty for kinds that no test needs; its items have no kind."""
        with self._lock:
            found = [
                _without_kind(obj)
                for (of, _), obj in self._objects.get(plural, {}).items()
                if of == namespace
            ]
        kind = _DUMPED_KINDS.get(plural) or KINDS[plural][0]
        group = version.removeprefix("apis/").removeprefix("api/")
        return _json({"kind": f"{kind}List", "apiVersion": group, "metadata": {}, "items": found})

    def _list(self, plural: str, query: dict[str, str]) -> web.Response:
        kind, version, _ = KINDS[plural]
        limit = int(query.get("limit", "0"))
        start, snapshot = "", self.version
        if token := query.get("continue"):
            decoded = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
            start, snapshot = decoded["start"], decoded["rv"]
            if snapshot < self.oldest:
                return _status(
                    410, "The provided continue parameter is too old to display a list", "Expired"
                )
        if int(query.get("resourceVersion") or 0) > self.version:
            return _too_large(int(query["resourceVersion"]), self.version)
        with self._lock:
            found = [
                (f"{namespace}/{name}", _without_kind(obj))
                for (namespace, name), obj in sorted(self._objects[plural].items())
                if _selected(obj, query) and f"{namespace}/{name}" >= start
            ]
        metadata: JSON = {"resourceVersion": str(snapshot)}
        if limit and len(found) > limit:
            following = {"v": "meta.k8s.io/v1", "rv": snapshot, "start": found[limit][0]}
            text = base64.urlsafe_b64encode(json.dumps(following).encode()).decode()
            metadata["continue"] = text.rstrip("=")
            found = found[:limit]
        return _json(
            {
                "kind": f"{kind}List",
                "apiVersion": version,
                "metadata": metadata,
                "items": [obj for _, obj in found],
            }
        )

    async def _watch(
        self, request: web.Request, noted: Request, fault: Fault | None
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        transport = request.transport
        assert isinstance(transport, asyncio.Transport)
        self._watching[transport] = noted
        try:
            await self._stream(response, transport, noted, fault)
        except (ConnectionError, asyncio.CancelledError):
            transport.abort()
        finally:
            del self._watching[transport]
        return response

    async def _stream(
        self,
        response: web.StreamResponse,
        transport: asyncio.Transport,
        noted: Request,
        fault: Fault | None,
    ) -> None:
        plural, query = noted.resource, noted.query
        since = int(query.get("resourceVersion") or 0)
        until = time.monotonic() + float(query.get("timeoutSeconds", "1800"))
        if fault is not None and fault.silent:
            await asyncio.sleep(max(0.0, until - time.monotonic()))
            return
        if fault is not None and fault.over:
            noted.end(200)
            await response.write_eof()
            return
        if since < self.oldest or (fault is not None and fault.expired):
            message = f"too old resource version: {since} ({self.version})"
            noted.end(410)
            await response.write(_line("ERROR", _status_object(410, message, "Expired")))
            return
        sent = 0
        bookmark = time.monotonic() + self.bookmark_every
        while (now := time.monotonic()) < until:
            for change in self._since(since, plural):
                since = change.version
                event = _event(change, query)
                if event is None:
                    continue
                if fault is not None and fault.cut_after == sent:
                    if fault.half_line:
                        await response.write(event[: len(event) // 2])
                    if fault.garbage:
                        noted.end(0)
                        await response.write(b'{"type":"ADDED","object":{{{\n')
                    # What was written shall arrive before the connection is cut.
                    await asyncio.sleep(0.02)
                    noted.end(0)
                    transport.abort()
                    return
                await response.write(event)
                sent += 1
            if now >= bookmark and query.get("allowWatchBookmarks") in ("1", "true"):
                bookmark = now + self.bookmark_every
                await response.write(_bookmark(plural, self.version))
            assert self._changed is not None
            with contextlib.suppress(asyncio.TimeoutError):
                async with self._changed:
                    if not self._since(since, plural):
                        pause = min(until, bookmark) - time.monotonic()
                        await asyncio.wait_for(self._changed.wait(), max(0.001, pause))
        noted.end(200)
        await response.write_eof()

    def _since(self, version: int, plural: str) -> list[_Change]:
        with self._lock:
            found = []
            for change in reversed(self._history):
                if change.version <= version:
                    break
                if change.resource == plural:
                    found.append(change)
            return found[::-1]


def _event(change: _Change, query: dict[str, str]) -> bytes | None:
    """The event that a watcher with these selectors sees of a change, if any."""
    before = change.old is not None and _selected(change.old, query)
    after = change.new is not None and _selected(change.new, query)
    if after:
        assert change.new is not None
        return _line("MODIFIED" if before else "ADDED", change.new)
    if before:
        assert change.old is not None
        gone = copy.deepcopy(change.old)
        gone["metadata"]["resourceVersion"] = str(change.version)
        return _line("DELETED", gone)
    return None


def _bookmark(plural: str, version: int) -> bytes:
    kind, api_version, _ = KINDS[plural]
    obj: JSON = {"kind": kind, "apiVersion": api_version, "metadata": {}}
    obj["metadata"]["resourceVersion"] = str(version)
    if plural == "endpointslices":
        obj |= {"addressType": "", "endpoints": None, "ports": None}
    else:
        obj |= {"spec": {}, "status": {"loadBalancer": {}} if plural == "services" else {}}
    return _line("BOOKMARK", obj)


def _line(kind: str, obj: JSON) -> bytes:
    return json.dumps({"type": kind, "object": obj}).encode() + b"\n"


def _without_kind(obj: JSON) -> JSON:
    return {key: value for key, value in obj.items() if key not in ("kind", "apiVersion")}


_TERM = re.compile(r"(!?)([A-Za-z0-9./_-]+)")


def _selected(obj: JSON, query: dict[str, str]) -> bool:
    labels = obj["metadata"].get("labels") or {}
    for term in _terms(query.get("labelSelector", "")):
        match = _TERM.fullmatch(term)
        assert match is not None, term
        if (match[2] in labels) == bool(match[1]):
            return False
    for term in _terms(query.get("fieldSelector", "")):
        path, negated, wanted = re.fullmatch(r"([^!=]+)(!?)=(.*)", term).groups()  # type: ignore[union-attr]
        value: Any = obj
        for step in path.split("."):
            value = (value or {}).get(step)
        if ((value or "") == wanted) == bool(negated):
            return False
    return True


def _terms(text: str) -> Iterator[str]:
    yield from (term for term in text.split(",") if term)


def _json(document: JSON, status: int = 200, **headers: str) -> web.Response:
    return web.Response(
        body=json.dumps(document).encode() + b"\n",
        status=status,
        content_type="application/json",
        headers=headers,
    )


def _created(event: JSON, namespace: str) -> web.Response:
    """The answer to an Event, which must have what the API server's validation asks for."""
    needed = ("eventTime", "reportingController", "reportingInstance", "action", "reason")
    lacking = [name for name in needed if not event.get(name)]
    if event.get("type") not in ("Normal", "Warning"):
        lacking.append("type")
    if event["metadata"].get("namespace") != namespace or not event["regarding"].get("name"):
        lacking.append("namespace")
    if event["regarding"].get("namespace", "default") != namespace:
        lacking.append("regarding.namespace")
    if len(event.get("note", "").encode()) > 1024:
        lacking.append("note")
    if lacking:
        return _status(422, f"Event is invalid: {', '.join(lacking)}", "Invalid")
    return _json(event, 201)


def _status_object(code: int, message: str, reason: str) -> JSON:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    }


def _status(code: int, message: str, reason: str, retry: int = 0) -> web.Response:
    document = _status_object(code, message, reason)
    if retry:
        document["details"] = {"retryAfterSeconds": retry}
        return _json(document, code, **{"Retry-After": str(retry)})
    return _json(document, code)


def _too_large(asked: int, current: int) -> web.Response:
    message = f"Timeout: Too large resource version: {asked}, current: {current}"
    document = _status_object(504, message, "Timeout")
    document["details"] = {
        "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
        "retryAfterSeconds": 1,
    }
    return _json(document, 504)
