"""A small HTTP server: one thread, and any number of listening sockets.

What its clients may expect, and what they may not:

1. A connection ends within five seconds, whatever its client does or leaves undone: that is
   the time for asking and for taking the answer together.
2. Connections share a fixed number of places. Where all are taken, the listener with the most
   clients loses its oldest, so a new client always gets through, and whoever holds many
   connections to one port drives out its own kind only.
3. No request starts a thread, a process or a file. A body is not read, and no connection is kept.

Handlers run in the thread of the server: one that may take long wants a server of its own.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from io import BytesIO
from typing import Any, TypeVar, cast

from nptables.agent.serving.responses import NOT_FOUND, Answer

# From the path of a request to the answer; the query is cut off.
Handler = Callable[[str], Answer]
# What docs/running.md promises: how long a connection lasts, and how many there are at once.
_SECONDS = 5.0
_AT_ONCE = 128
_LONGEST_HEAD = 16_384
# Connections that the kernel keeps until they are accepted; they cost no descriptor.
_BACKLOG = 1024
_Result = TypeVar("_Result")


class Listener:
    """A listening socket, who answers there, and who is connected, the oldest first."""

    def __init__(self, listening: socket.socket, handler: Handler) -> None:
        self.port: int = listening.getsockname()[1]
        self.socket = listening
        self.handler = handler
        self.clients: dict[_Client, None] = {}
        self.accepting: asyncio.Server | None = None


class Server:
    """Serves any number of listeners from a thread of its own; safe to call from any thread.

    `broken` is told what ended the thread, should anything. `trouble` is told of what the server
    outlives, such as a process that is out of descriptors. Both are called in that thread.
    """

    def __init__(
        self,
        name: str,
        *,
        broken: Callable[[Exception], None],
        trouble: Callable[[str], None],
        seconds: float = _SECONDS,
    ) -> None:
        self._broken = broken
        self._trouble = trouble
        self._seconds = seconds
        self._listeners: list[Listener] = []
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(self._note)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def listen(self, host: str, port: int, handler: Handler) -> Listener:
        """Listen on an address; an empty host is every address of both families.

        Raises OSError where the address cannot be listened on.
        """
        found = Listener(_bound(host, port), handler)
        try:
            self._in_thread(self._accept(found))
        except BaseException:
            found.socket.close()
            raise
        return found

    def close(self, listener: Listener) -> None:
        """Stop listening there; the port is free when this returns."""
        if self._loop.is_closed():
            listener.socket.close()
        else:
            self._in_thread(self._refuse(listener))

    def stop(self) -> None:
        """Stop listening everywhere."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(2)

    def _in_thread(self, what: Coroutine[Any, Any, _Result]) -> _Result:
        """Raises OSError where the thread has ended, or does not come to it in time."""
        try:
            future = asyncio.run_coroutine_threadsafe(what, self._loop)
        except RuntimeError as error:
            # The thread has ended, and `broken` was told why: that is what whoever asks shall hear.
            what.close()
            raise OSError("the server has ended") from error
        try:
            return future.result(_SECONDS)
        except TimeoutError:
            future.cancel()
            raise

    def _run(self) -> None:
        try:
            self._loop.run_forever()
            self._loop.run_until_complete(self._leave())
        except Exception as error:  # noqa: BLE001 - a thread must not die unnoticed
            self._broken(error)
        finally:
            self._loop.close()

    async def _accept(self, listener: Listener) -> None:
        def connect() -> _Client:
            client = _Client(listener, self._loop, self._seconds)
            self._make_room()
            return client

        # As many as the backlog says are accepted in a row, before any is dropped: so one.
        listener.accepting = await self._loop.create_server(
            connect, sock=listener.socket, backlog=1
        )
        listener.socket.listen(_BACKLOG)
        self._listeners.append(listener)

    async def _refuse(self, listener: Listener) -> None:
        if listener in self._listeners and listener.accepting is not None:
            self._listeners.remove(listener)
            listener.accepting.close()

    async def _leave(self) -> None:
        for listener in list(self._listeners):
            await self._refuse(listener)
            for client in list(listener.clients):
                client.drop()
        # Connections are closed at the next turn of the loop.
        await asyncio.sleep(0)

    def _make_room(self) -> None:
        taken = sum(len(listener.clients) for listener in self._listeners)
        if taken > _AT_ONCE:
            oldest = (next(iter(found.clients)) for found in self._listeners if found.clients)
            min(oldest, key=lambda client: (-client.crowd, client.since)).drop()

    def _note(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._trouble(str(context.get("exception") or context["message"]))


class _Client(asyncio.Protocol):
    """One connection: reads the head of a request, writes the answer, and ends."""

    def __init__(self, listener: Listener, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._listener = listener
        self._head = bytearray()
        self._transport: asyncio.Transport | None = None
        self._deadline = loop.call_later(seconds, self.drop)
        self.since = loop.time()
        listener.clients[self] = None

    @property
    def crowd(self) -> int:
        """How many clients the listener has."""
        return len(self._listener.clients)

    def drop(self) -> None:
        """End the connection as it is."""
        self._listener.clients.pop(self, None)
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, if there is still a place for it."""
        self._transport = cast("asyncio.Transport", transport)
        if self not in self._listener.clients:
            self.drop()

    def data_received(self, data: bytes) -> None:
        """Answer once the head is complete."""
        if self._transport is None:
            return
        self._head += data
        if len(self._head) > _LONGEST_HEAD:
            self.drop()
        # A line feed alone may end a line, too (RFC 9112, section 2.2).
        elif b"\n\r\n" in self._head or b"\n\n" in self._head:
            self._transport.write(_Request(bytes(self._head), self._listener.handler).answer)
            self._transport.close()

    def connection_lost(self, _: Exception | None) -> None:
        """Give the place back."""
        self._deadline.cancel()
        self._listener.clients.pop(self, None)


class _Request(BaseHTTPRequestHandler):
    """Makes the answer to the head of a request, by the handler of its listener."""

    server_version = "nptables"
    sys_version = ""

    def __init__(self, head: bytes, handler: Handler) -> None:
        self._head = head
        self._handler = handler
        # The base class does all of its work in there: setup, handle and finish.
        super().__init__(None, None, None)  # type: ignore[arg-type]

    def setup(self) -> None:
        """Read from what was received and write to memory."""
        self.rfile = BytesIO(self._head)
        self.wfile = self._written = BytesIO()

    def finish(self) -> None:
        """Keep the answer."""
        self.answer = self._written.getvalue()

    def do_GET(self) -> None:
        """Answer a GET."""
        self._reply(with_body=True)

    def do_HEAD(self) -> None:
        """Answer a HEAD."""
        self._reply(with_body=False)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Probes are not worth a line, and their words are not ours."""

    def _reply(self, *, with_body: bool) -> None:
        path = self.path.partition("?")[0]
        try:
            answer = self._handler(path)
        except Exception:  # noqa: BLE001 - a probe must get an answer whatever happens
            answer = Answer(500, b"internal error\n", {"Content-Type": "text/plain"})
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if with_body:
            self.wfile.write(answer.body)


def by_path(handlers: dict[str, Callable[[], Answer]]) -> Handler:
    """A handler that knows a few paths."""
    return lambda path: handlers.get(path, lambda: NOT_FOUND)()


def _bound(host: str, port: int) -> socket.socket:
    if not host:
        try:
            return _listening(socket.AF_INET6, "::", port, both=True)
        except OSError as error:
            # Where IPv6 works, it is the port that was refused, and IPv4 alone would hide that.
            if error.errno is not None and socket.has_ipv6 and _ipv6_works():
                raise
            host = "0.0.0.0"  # noqa: S104 - told to listen everywhere
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return _listening(family, host, port, both=False)


def _listening(family: int, host: str, port: int, *, both: bool) -> socket.socket:
    found = socket.socket(family, socket.SOCK_STREAM)
    try:
        # An agent that was started again finds connections of the old one in TIME_WAIT: these must
        # not keep it from its ports (socket(7)).
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # In either case, since the default is a setting of the node (bindv6only, ipv6(7)).
            found.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if both else 1)
        found.bind((host, port))
        # That another socket listens there is known only now.
        found.listen(_BACKLOG)
        found.settimeout(0)
    except OSError:
        found.close()
        raise
    return found


def _ipv6_works() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::", 0))
    except OSError:
        return False
    return True
