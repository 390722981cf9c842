"""One request to an address and port, and what came of it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import struct
from typing import TYPE_CHECKING

from tests.lab.laboratory.traffic import envelopes
from tests.lab.laboratory.traffic.associations import Knocker
from tests.lab.laboratory.traffic.sockets import family_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.lab.laboratory.traffic.sockets import Sockets

SILENCE = "silence"
REFUSED = "refused"
_AT_ONCE = 500
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)

# Host, destination, port, protocol, source address or "", source port or 0.
Request = tuple[str, str, int, str, str, int]


class Client:
    """Sends requests from any host."""

    def __init__(self, sockets: Sockets) -> None:
        self._sockets = sockets
        self._sctp = Knocker(sockets)

    async def knock_all(self, requests: Sequence[Request], patience: float) -> list[str]:
        """Send requests side by side, and return what came of each, in their order.

        That is what a server answered, "refused", or the name of another error; and "silence"
        for those that are left when for `patience` seconds nothing has happened any more to any
        of them. A machine that is busy with something else therefore silences nobody.
        """
        found: list[str] = []
        for start in range(0, len(requests), _AT_ONCE):
            found += await self._together(requests[start : start + _AT_ONCE], patience)
        return found

    async def _together(self, requests: Sequence[Request], patience: float) -> list[str]:
        tasks = [asyncio.ensure_future(self._knock(request)) for request in requests]
        pending = set(tasks)
        # Two waits in vain: were the process stopped during one, its time would be up at once.
        in_vain = 0
        while pending and in_vain < 2:
            finished, pending = await asyncio.wait(pending, timeout=patience / 2)
            in_vain = 0 if finished else in_vain + 1
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        return [SILENCE if task in pending else task.result() for task in tasks]

    async def _knock(self, request: Request) -> str:
        try:
            return (await self._answer(request)).decode().strip()
        except ConnectionRefusedError:
            return REFUSED
        except OSError as error:
            return errno.errorcode.get(error.errno or 0, str(error))

    async def _answer(self, request: Request) -> bytes:
        host, destination, port, protocol, source, source_port = request
        if protocol == "tcp":
            return await _tcp(self._sockets, request)
        if protocol == "udp":
            return await _udp(self._sockets, request)
        return await self._sctp.knock(
            host, destination, port, source=source, source_port=source_port
        )


async def connect(sockets: Sockets, request: Request) -> socket.socket:
    """Open a TCP connection that is reset when it is closed, so that its ports are free again."""
    client = _opened(sockets, request, socket.SOCK_STREAM)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    envelopes.keep_errors(client)
    try:
        await asyncio.get_running_loop().sock_connect(client, (request[1], request[2]))
        _raise_kept_error(client)
    except BaseException:
        client.close()
        raise
    return client


def _raise_kept_error(client: socket.socket) -> None:
    """Raise the ICMP error that ended an attempt to connect.

    Here it comes back before the attempt has returned to its caller, and on IPv6 the kernel then
    acts on it only when it sends again, a second later; but it keeps it.
    """
    with contextlib.suppress(BlockingIOError):
        _, _, number = envelopes.receive_error(client)
        raise OSError(number, "an ICMP error")


async def _tcp(sockets: Sockets, request: Request) -> bytes:
    with await connect(sockets, request) as client:
        return await asyncio.get_running_loop().sock_recv(client, 512)


def open_datagrams(sockets: Sockets, request: Request) -> socket.socket:
    """Open a UDP socket that hears only who it sends to."""
    client = _opened(sockets, request, socket.SOCK_DGRAM)
    client.connect((request[1], request[2]))
    return client


async def _udp(sockets: Sockets, request: Request) -> bytes:
    loop = asyncio.get_running_loop()
    with open_datagrams(sockets, request) as client:
        # So the kernel tells a sender on the node itself that a rule dropped or rejected this.
        with contextlib.suppress(PermissionError):
            await loop.sock_sendall(client, b"who is there?")
        return await loop.sock_recv(client, 512)


def _opened(sockets: Sockets, request: Request, kind: socket.SocketKind) -> socket.socket:
    host, destination, _, _, source, source_port = request
    opened = sockets.open(host, destination, kind)
    if source or source_port:
        if kind == socket.SOCK_STREAM:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        anywhere = "::" if family_of(destination) == socket.AF_INET6 else "0.0.0.0"
        opened.bind((source or anywhere, source_port))
    return opened
