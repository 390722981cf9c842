"""Small HTTP servers: one thread waits on all listening sockets, each request gets one of its own.

Nothing here reads a body or keeps a connection open; a client that is slow is cut off, and no
more than a few are answered at once, so that probing cannot exhaust the agent.
"""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from typing import Any

from nptables.agent.serving.answers import NOT_FOUND, Answer

# From the path of a request to the answer; the query is cut off.
Handler = Callable[[str], Answer]
_SECONDS = 5.0
_AT_ONCE = 32


class Listener:
    """A listening socket and who answers there."""

    def __init__(self, sockets: list[socket.socket], handler: Handler) -> None:
        self.sockets = sockets
        self.handler = handler

    @property
    def port(self) -> int:
        """The port, also where any port was asked for."""
        port: int = self.sockets[0].getsockname()[1]
        return port


class Server:
    """Serves any number of listeners from one thread; safe to call from any thread."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._wake, woken = socket.socketpair()
        self._selector.register(woken, selectors.EVENT_READ, None)
        self._woken = woken
        self._slots = threading.BoundedSemaphore(_AT_ONCE)
        self._lock = threading.Lock()
        self._closing: list[socket.socket] = []
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)
        self._thread.start()

    def listen(self, host: str, port: int, handler: Handler) -> Listener:
        """Listen on an address; an empty host is every address of both families.

        Raises OSError where the address is not to be had.
        """
        found = Listener([_bound(host, port)], handler)
        for listening in found.sockets:
            self._selector.register(listening, selectors.EVENT_READ, handler)
        self._nudge()
        return found

    def close(self, listener: Listener) -> None:
        """Stop listening there; the port is free when this returns."""
        for listening in listener.sockets:
            with suppress(KeyError, ValueError):
                self._selector.unregister(listening)
            listening.close()
        self._nudge()

    def stop(self) -> None:
        """Stop listening everywhere."""
        self._stopped = True
        self._nudge()
        self._thread.join(2)

    def _nudge(self) -> None:
        with suppress(OSError):
            self._wake.send(b"x")

    def _run(self) -> None:
        while not self._stopped:
            for key, _ in self._selector.select():
                if key.data is None:
                    self._woken.recv(4096)
                else:
                    self._accept(key.fileobj, key.data)
        for key in list(self._selector.get_map().values()):
            with suppress(OSError, AttributeError):
                key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()
        self._wake.close()

    def _accept(self, listening: Any, handler: Handler) -> None:
        try:
            connection, address = listening.accept()
        except OSError:
            return
        if not self._slots.acquire(blocking=False):
            connection.close()
            return
        threading.Thread(
            target=self._answer, args=(connection, address, handler), daemon=True
        ).start()

    def _answer(self, connection: socket.socket, address: Any, handler: Handler) -> None:
        try:
            connection.settimeout(_SECONDS)
            with suppress(OSError):
                _Request(connection, address, handler)
        finally:
            connection.close()
            self._slots.release()


class _Request(BaseHTTPRequestHandler):
    """Reads one request and writes the handler's answer."""

    server_version = "nptables"
    sys_version = ""

    def __init__(self, connection: socket.socket, address: Any, handler: Handler) -> None:
        self._handler = handler
        super().__init__(connection, address, None)  # type: ignore[arg-type]

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
            if error.errno is not None and socket.has_ipv6 and _ipv6_works():
                raise
            host = "0.0.0.0"  # noqa: S104 - told to listen everywhere
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return _listening(family, host, port, both=False)


def _listening(family: int, host: str, port: int, *, both: bool) -> socket.socket:
    found = socket.socket(family, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            found.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if both else 1)
        found.bind((host, port))
        found.listen(64)
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
