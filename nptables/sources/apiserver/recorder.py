"""Writing Kubernetes Events: few, and never in anybody's way.

What whoever records one may expect:

1. `record` returns at once. A thread of its own sends what was recorded.
2. The same event is written once an hour, and no more than ten at once and then one a minute.
3. What fails for the moment is tried a few times with growing pauses, what was refused is not.
   An Event that is lost is told to `failed` and to nobody else.
"""

from __future__ import annotations

import queue
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from nptables.errors import ApiServerError, printable
from nptables.immutable import frozen
from nptables.model import names
from nptables.model.times import rfc3339
from nptables.sources.apiserver.backoff import Backoff

CONTROLLER = "nptables"
# For so long kube-apiserver keeps an Event, unless it is told otherwise (--event-ttl).
REPEAT_AFTER = 3600.0
BURST = 10
SECONDS_EACH = 60.0
ATTEMPTS = 8
# The API server takes no longer note, in bytes.
# This and the next are NoteLengthLimit and ReportingInstanceLengthLimit of
# kubernetes/pkg/apis/core/validation/events.go.
LONGEST_NOTE = 1024
_LONGEST_INSTANCE = 128
_ALREADY_THERE = 409
_WAITING_AT_MOST = 2 * BURST


@frozen
class Regarding:
    """The object that an Event is about. `namespace` is empty for a Node."""

    kind: str
    name: str
    namespace: str = ""
    uid: str = ""


@frozen
class Announcement:
    """What an Event says; `type` is Normal or Warning."""

    regarding: Regarding
    type: str
    reason: str
    action: str
    note: str = ""


class Poster(Protocol):
    """What a Recorder needs of a Connection."""

    def post(self, path: str, document: dict[str, Any]) -> None:
        """Create an object. Raises ApiServerError."""
        ...

    def renew(self) -> None:
        """Read the credentials again before the next request."""
        ...


class Recorder:
    """Writes Events for one `node`.

    `clock` gives monotonic seconds and `wall` those since the epoch; `wait` sleeps for so many
    seconds and returns True as soon as the loop shall end; `failed` is told why an Event is lost.
    """

    def __init__(
        self,
        poster: Poster,
        *,
        node: str,
        clock: Callable[[], float],
        wall: Callable[[], float],
        wait: Callable[[float], bool],
        random: Callable[[], float],
        failed: Callable[[str], None],
    ) -> None:
        self._poster = poster
        self._node = node
        self._clock = clock
        self._wall = wall
        self._wait = wait
        self._random = random
        self._failed = failed
        self._queue: queue.Queue[tuple[float, Announcement] | None] = queue.Queue(_WAITING_AT_MOST)
        self._said: dict[Announcement, float] = {}
        self._left = float(BURST)
        self._counted_at = clock()

    def record(self, announcement: Announcement) -> None:
        """Have an Event written, unless that was done lately or there are too many."""
        now = self._clock()
        self._said = {a: at for a, at in self._said.items() if now - at < REPEAT_AFTER}
        if announcement in self._said:
            return
        self._left = min(float(BURST), self._left + (now - self._counted_at) / SECONDS_EACH)
        self._counted_at = now
        if self._left < 1:
            self._failed("there are too many")
            return
        try:
            self._queue.put_nowait((self._wall(), announcement))
        except queue.Full:
            self._failed("the API server does not take them")
            return
        self._left -= 1
        self._said[announcement] = now

    def run(self) -> None:
        """Send what is recorded until `stop`."""
        while (item := self._queue.get()) is not None:
            at, announcement = item
            if self._send(event_object(announcement, node=self._node, at=at)):
                return

    def stop(self) -> None:
        """End `run` after what it is doing; `wait` must end as well."""
        if self._queue.full():
            with suppress(queue.Empty):
                self._queue.get_nowait()
        self._queue.put_nowait(None)

    def _send(self, document: dict[str, Any]) -> bool:
        """Create one Event; returns whether to end."""
        namespace = document["metadata"]["namespace"]
        if not names.is_label(namespace):
            self._failed("an object has no usable namespace")
            return False
        path = f"/apis/events.k8s.io/v1/namespaces/{namespace}/events"
        backoff = Backoff(self._random)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._poster.post(path, document)
            except ApiServerError as error:
                # An earlier attempt came through, and only its answer did not.
                if error.status == _ALREADY_THERE:
                    return False
                # 0 is no answer at all, 401 may be a token that was replaced, 429 asks for
                # patience. Whatever else is refused would be refused again.
                passing = error.status in (0, 401, 429) or error.status >= 500
                if not passing or attempt == ATTEMPTS:
                    self._failed(str(error))
                    return False
                if error.status == 401:
                    self._poster.renew()
                if self._wait(backoff.delay(at_least=error.retry_after)):
                    return True
            except Exception as error:  # noqa: BLE001 - an Event is never worth the agent
                self._failed(printable(f"{type(error).__name__}: {error}"))
                return False
            else:
                return False
        return False


def event_object(announcement: Announcement, *, node: str, at: float) -> dict[str, Any]:
    """The Event as events.k8s.io/v1 has it, at a time in seconds since the epoch.

    Events about objects without a namespace are in `default`, where kubectl looks for them.
    """
    regarding = announcement.regarding
    namespace = regarding.namespace or "default"
    about = {"apiVersion": "v1", "kind": regarding.kind, "name": regarding.name}
    if regarding.namespace:
        about["namespace"] = regarding.namespace
    if regarding.uid:
        about["uid"] = regarding.uid
    note = printable(announcement.note, LONGEST_NOTE).encode()[:LONGEST_NOTE]
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {
            # Name and time in hexadecimal, as client-go names Events: no two are alike, and a
            # repeated attempt has the same name.
            "name": f"{regarding.name}.{int(at * 1_000_000):x}",
            "namespace": namespace,
        },
        "eventTime": rfc3339(at),
        "reportingController": CONTROLLER,
        "reportingInstance": f"{CONTROLLER}-{node}"[:_LONGEST_INSTANCE],
        "type": announcement.type,
        "reason": announcement.reason,
        "action": announcement.action,
        "note": note.decode(errors="ignore"),
        "regarding": about,
    }
