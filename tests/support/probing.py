"""Asking servers over real sockets, as probes and load balancers do, and as attackers do."""

from __future__ import annotations

import contextlib
import http.client
import secrets
import socket
from typing import TYPE_CHECKING, Any

from nptables.agent.serving import Server

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def serving(seconds: float = 60.0) -> Iterator[Server]:
    """A server that gives connections so many seconds, and must come through without trouble."""
    told: list[Exception | str] = []
    server = Server("test", broken=told.append, trouble=told.append, seconds=seconds)
    try:
        yield server
    finally:
        server.stop()
    assert told == []


def get(port: int, path: str = "/", host: str = "127.0.0.1", method: str = "GET") -> Any:
    """Status, headers and body of an answer."""
    connection = http.client.HTTPConnection(host, port, timeout=10)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, dict(answer.headers), answer.read()
    finally:
        connection.close()


@contextlib.contextmanager
def silent(port: int, count: int) -> Iterator[list[socket.socket]]:
    """Connections that never ask for anything."""
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            for _ in range(count)
        ]


@contextlib.contextmanager
def taken(host: str = "127.0.0.1") -> Iterator[int]:
    """A port that somebody else listens on."""
    with socket.socket() as other:
        other.bind((host, free_port()))
        other.listen()
        yield other.getsockname()[1]


# Below those that the kernel gives to whoever connects, of which there are many beside a test, and
# below node ports.
_PORTS = range(20_000, 30_000)


def free_port() -> int:
    """A port that nobody has, on any address, and that nobody is given by chance."""
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    while True:
        port = secrets.choice(_PORTS)
        with (
            contextlib.suppress(OSError),
            socket.create_server(("", port), family=family, dualstack_ipv6=both),
        ):
            return port


def listens(port: int, host: str = "127.0.0.1") -> bool:
    """Whether somebody takes connections there."""
    try:
        socket.create_connection((host, port), timeout=10).close()
    except ConnectionRefusedError:
        return False
    return True
