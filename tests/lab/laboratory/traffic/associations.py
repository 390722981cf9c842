"""The clients' side of SCTP: one raw socket for each host and family."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from typing import TYPE_CHECKING

from tests.lab.laboratory.traffic import envelopes, sctp
from tests.lab.laboratory.traffic.sockets import enlarge, family_of

if TYPE_CHECKING:
    from tests.lab.laboratory.traffic.sockets import Sockets

# Peer, its port, own port.
_Key = tuple[str, int, int]
_FIRST_PORT, _LAST_PORT = 10000, 65000


class Knocker:
    """Sends INITs from everywhere, and matches what comes back with them by their ports."""

    def __init__(self, sockets: Sockets) -> None:
        self._sockets = sockets
        self._raw: dict[tuple[str, socket.AddressFamily], socket.socket] = {}
        self._waiting: dict[tuple[str, _Key], asyncio.Future[bytes]] = {}
        self._port = random.randint(_FIRST_PORT, _LAST_PORT)

    async def knock(
        self, host: str, destination: str, port: int, *, source: str, source_port: int
    ) -> bytes:
        """Send an INIT; return what the server says, or raise the error that comes of it."""
        raw = self._socket(host, destination)
        key = (destination, port, source_port or self._next_port())
        heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[host, key] = heard
        packet = sctp.init(key[2], port, random.randrange(1, 1 << 32))
        try:
            # So the kernel tells a sender on the node itself that a rule dropped or rejected it.
            with contextlib.suppress(PermissionError):
                envelopes.send(raw, packet, destination, source=source)
            return await heard
        finally:
            del self._waiting[host, key]

    def _next_port(self) -> int:
        self._port = self._port + 1 if self._port < _LAST_PORT else _FIRST_PORT
        return self._port

    def _socket(self, host: str, destination: str) -> socket.socket:
        family = family_of(destination)
        if (host, family) not in self._raw:
            raw = self._sockets.open(host, destination, socket.SOCK_RAW, sctp.PROTOCOL)
            envelopes.prepare(raw)
            enlarge(raw)
            self._raw[host, family] = raw
            asyncio.get_running_loop().add_reader(raw, self._hear, host, raw)
        return self._raw[host, family]

    def _hear(self, host: str, raw: socket.socket) -> None:
        try:
            payload, peer, _ = envelopes.receive(raw)
        except OSError:
            self._hear_errors(host, raw)
            return
        reply = sctp.parse(payload)
        if reply is None or reply.chunk == sctp.INIT:
            return
        heard = self._waiting.get((host, (peer, reply.source_port, reply.destination_port)))
        if heard and not heard.done():
            if reply.chunk == sctp.ABORT:
                heard.set_exception(ConnectionRefusedError())
            elif reply.chunk == sctp.INIT_ACK:
                heard.set_result(reply.cookie)

    def _hear_errors(self, host: str, raw: socket.socket) -> None:
        while True:
            try:
                quoted, peer, number = envelopes.receive_error(raw)
            except BlockingIOError:
                return
            own_port, port = sctp.ports(quoted)
            heard = self._waiting.get((host, (peer, port, own_port)))
            if heard and not heard.done():
                heard.set_exception(OSError(number, "an ICMP error"))
