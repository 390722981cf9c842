"""The list-and-watch loop: one collection, kept current for as long as it runs.

What the reader of its events may expect:

1. The first event about objects is a complete list. Nothing is reported of half a list.
2. After it every change is reported in order, none is lost; where the server no longer knows
   the version last seen (410), a new complete list is.
3. Requests are never closer together than the back-off allows, whatever the server does; a
   Retry-After is obeyed. A watch that lived for a while and ended well is renewed at once.
4. A watch that says nothing, not even a bookmark, for `silence` seconds is renewed.
5. Whatever an answer holds, the loop goes on: what cannot be made sense of is a failure.
6. A line counts only when it is whole: half of one is thrown away with its connection and the
   watch resumes from the version before it.

The clock, the sleep and the random numbers are passed in.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from nptables.errors import ApiServerError, Problem, printable
from nptables.immutable import frozen
from nptables.sources.apiserver.backoff import FIRST_DELAY, LONGEST_DELAY, Backoff
from nptables.sources.apiserver.listing import (
    PAGE_SIZE,
    list_pages,
    merged,
    read_objects,
    trigger_time,
)
from nptables.sources.apiserver.refusals import error_of
from nptables.sources.apiserver.resources import (
    Changed,
    Event,
    Listed,
    Resource,
    Trouble,
    Watched,
    Watching,
)
from nptables.sources.apiserver.transport import Response, Transport

GONE = 410
UNAUTHORIZED = 401
# No object that etcd holds is larger than 1.5 MB; a line beyond this is no event.
LONGEST_LINE = 32 * 1024 * 1024


@frozen
class Settings:
    """Periods of a watch in seconds, and the size of a page in objects.

    Pauses after failures double from `first_pause` to `longest_pause`.

    The server ends a watch after `watch_timeout` to twice that. Bookmarks come about once a
    minute, so that `silence` means a dead connection.
    """

    page_size: int = PAGE_SIZE
    # minWatchTimeout in k8s.io/client-go/tools/cache/reflector.go. Bookmarks come once a minute
    # (defaultBookmarkFrequency in k8s.io/apiserver/pkg/storage/cacher/cacher.go).
    watch_timeout: float = 300.0
    silence: float = 90.0
    # A watch that ended well but was shorter is treated as one that failed.
    shortest_watch: float = 5.0
    # After a watch of this length the back-off begins again.
    healthy_after: float = 10.0
    first_pause: float = FIRST_DELAY
    longest_pause: float = LONGEST_DELAY


class Reflector:
    """Lists and watches one collection and hands every event to `emit`, in order.

    `clock` gives monotonic seconds, `wait` sleeps for so many seconds and returns True as soon
    as the loop shall end, `random` gives numbers from 0 to 1.
    """

    def __init__(
        self,
        resource: Resource,
        transport: Transport,
        emit: Callable[[Event], None],
        *,
        clock: Callable[[], float],
        wait: Callable[[float], bool],
        random: Callable[[], float],
        settings: Settings | None = None,
    ) -> None:
        self.resource = resource
        self._transport = transport
        self._emit = emit
        self._clock = clock
        self._wait = wait
        self._random = random
        self._settings = settings or Settings()
        self._backoff = Backoff(random, self._settings.first_pause, self._settings.longest_pause)
        self._version: str | None = None
        self._response: Response | None = None
        self._interrupted = False

    def run(self) -> None:
        """List and watch until `wait` says that it is enough."""
        while True:
            try:
                if self._version is None:
                    self._list()
                pause = self._watch()
            except ApiServerError as error:
                pause = self._failed(error)
            except Exception as error:  # noqa: BLE001 - no answer is worth the agent
                # What was met may be met again: only a new list leads past it.
                self._version = None
                pause = self._failed(ApiServerError(f"{type(error).__name__}: {error}"))
            if self._wait(pause):
                return

    def interrupt(self) -> None:
        """Wake the loop for good from a watch that is open; called from another thread."""
        self._interrupted = True
        response = self._response
        if response is not None:
            response.close()

    def _list(self) -> None:
        parts, triggered = [], {}
        version = ""
        for page in list_pages(self._transport, self.resource, page_size=self._settings.page_size):
            parts.append(page.cluster)
            triggered.update(page.triggered)
            version = page.resource_version
        self._emit(Listed(self.resource, merged(parts), triggered))
        # Not before it was handed on: should that fail, the list is asked for again.
        self._version = version

    def _watch(self) -> float:
        """Follow one watch to its end; returns how long to wait before the next."""
        settings = self._settings
        started = self._clock()
        # At random, so that the watches of all nodes do not end together.
        timeout = settings.watch_timeout * (1 + self._random())
        query = {
            **self.resource.selectors,
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version or "",
            "timeoutSeconds": str(max(1, int(timeout))),
        }
        response = self._transport.get(self.resource.path, query, read_timeout=settings.silence)
        self._response = response
        # interrupt() may have come when there was no answer to close yet.
        if self._interrupted:
            response.close()
        try:
            self._emit(Watching(self.resource))
            for line in whole_lines(response.chunks()):
                self._take(line)
        finally:
            self._response = None
            response.close()
            lived = self._clock() - started
            if lived >= settings.healthy_after:
                self._backoff.reset()
        if lived >= settings.shortest_watch:
            return 0.0
        return self._backoff.delay()

    def _failed(self, error: ApiServerError) -> float:
        # The server has forgotten that version (etcd was compacted): no watch can go on from it.
        if error.status == GONE:
            self._version = None
        if error.status == UNAUTHORIZED:
            self._transport.renew()
        pause = self._backoff.delay(at_least=error.retry_after)
        self._emit(Trouble(self.resource, printable(str(error)), error.status, pause))
        return pause

    def _take(self, line: bytes) -> None:
        """Report one watch event. Raises ApiServerError for an ERROR and for what is none."""
        kind, item = self._parse(line)
        metadata = item.get("metadata")
        metadata = metadata if isinstance(metadata, Mapping) else {}
        # The answer to a watch began with 200, so what goes wrong later can only be an event, a 410
        # too.
        if kind == "ERROR":
            raise error_of(item, "the watch failed")
        if kind in ("ADDED", "MODIFIED", "DELETED"):
            self._emit(self._change(item, metadata, gone=kind == "DELETED"))
        # Of a BOOKMARK that is all that counts: it brings the version forward where nothing
        # happens, so that a watch which breaks can go on from one that the server still has.
        version = metadata.get("resourceVersion")
        if isinstance(version, str) and version:
            self._version = version

    def _parse(self, line: bytes) -> tuple[str, Mapping[str, Any]]:
        try:
            event = json.loads(line)
            kind, item = event["type"], event["object"]
            if isinstance(kind, str) and isinstance(item, Mapping):
                return kind, item
        except (ValueError, TypeError, KeyError, RecursionError):
            pass
        # Resuming would bring the same line again: only a new list leads past it.
        self._version = None
        raise ApiServerError(f"a watch event is not readable: {_excerpt(line)}")

    def _change(
        self, item: Mapping[str, Any], metadata: Mapping[str, Any], *, gone: bool
    ) -> Changed:
        namespace = str(metadata.get("namespace") or "")
        name = str(metadata.get("name") or "")
        value: Watched | None = None
        problems: tuple[Problem, ...] = ()
        if not gone:
            cluster = read_objects(self.resource, [item])
            problems = cluster.problems
            found: list[Watched] = [
                *cluster.services.values(),
                *cluster.slices.values(),
                *cluster.nodes.values(),
            ]
            value = found[0] if found else None
        return Changed(
            self.resource,
            namespace,
            name,
            value,
            problems,
            None if gone else trigger_time(item),
        )


def whole_lines(chunks: Iterator[bytes], longest: int = LONGEST_LINE) -> Iterator[bytes]:
    """The lines of a stream without their ends; what follows the last line end is dropped.

    Raises ApiServerError for a line longer than `longest` bytes.
    """
    pieces: list[bytes] = []
    length = 0
    for chunk in chunks:
        first, *rest = chunk.split(b"\n")
        for ended in rest:
            pieces.append(first)
            line = b"".join(pieces).strip()
            if line:
                yield line
            pieces, length = [], 0
            first = ended
        if first:
            pieces.append(first)
            length += len(first)
            if length > longest:
                raise ApiServerError(f"a line of the watch is longer than {longest} bytes")


def _excerpt(line: bytes) -> str:
    return printable(line[:80].decode("utf-8", "replace"))
