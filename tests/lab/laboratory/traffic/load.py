"""Connections without end, to see whether a change of the rules disturbs any of them."""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
from collections import Counter
from typing import TYPE_CHECKING

from tests.lab.laboratory.traffic.knocking import connect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.lab.laboratory.traffic.knocking import Request
    from tests.lab.laboratory.traffic.sockets import Sockets

# Far more than a busy machine takes, so that only what never comes is missed.
_GIVE_UP = 10.0
_PAUSE = 0.01
_BETWEEN_PINGS = 0.02
# struct tcp_info: eight bytes, then 32-bit fields of which tcpi_total_retrans is number 23.
_TOTAL_RETRANSMITS = 8 + 4 * 23


class Load:
    """Opens TCP connections one after the other, and keeps others open and in use."""

    def __init__(self, sockets: Sockets, requests: Sequence[Request], *, established: int) -> None:
        self._sockets = sockets
        self._stopping = False
        self.counts: Counter[str] = Counter(opened=0, pings=0)
        self.failures: Counter[str] = Counter()
        self._tasks = [asyncio.ensure_future(self._open_on_and_on(r)) for r in requests]
        self._tasks += [
            asyncio.ensure_future(self._keep_open(requests[number % len(requests)]))
            for number in range(established)
        ]

    async def stop(self) -> dict[str, dict[str, int]]:
        """End it, after one more connection of each kind and one more ping on each open one."""
        self._stopping = True
        await asyncio.gather(*self._tasks)
        return {"counts": dict(self.counts), "failures": dict(self.failures)}

    async def _open_on_and_on(self, request: Request) -> None:
        loop = asyncio.get_running_loop()
        last = False
        while not last:
            last = self._stopping
            try:
                async with asyncio.timeout(_GIVE_UP):
                    with await connect(self._sockets, request) as client:
                        self._look_for_losses(client)
                        if not await loop.sock_recv(client, 512):
                            raise ConnectionAbortedError(errno.ECONNABORTED, "closed")
                self.counts["opened"] += 1
            except OSError as error:
                self._fail("new", request, error)
            await asyncio.sleep(_PAUSE)

    async def _keep_open(self, request: Request) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_GIVE_UP):
                client = await connect(self._sockets, request)
                await loop.sock_recv(client, 512)
            self.counts["kept open"] += 1
            with client:
                last = False
                while not last:
                    last = self._stopping
                    async with asyncio.timeout(_GIVE_UP):
                        await loop.sock_sendall(client, b"ping")
                        if await loop.sock_recv(client, 512) != b"ping":
                            raise ConnectionAbortedError(errno.ECONNABORTED, "closed")
                    self.counts["pings"] += 1
                    await asyncio.sleep(_BETWEEN_PINGS)
        except OSError as error:
            self._fail("established", request, error)

    def _look_for_losses(self, client: socket.socket) -> None:
        """Count a first packet that got lost as the failure that it is, though it was repeated."""
        info = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        if struct.unpack_from("=I", info, _TOTAL_RETRANSMITS)[0]:
            self.failures["new: SYN sent again"] += 1

    def _fail(self, what: str, request: Request, error: OSError) -> None:
        name = errno.errorcode.get(error.errno or 0, type(error).__name__)
        self.failures[f"{what}: {request[0]} to {request[1]}:{request[2]}: {name}"] += 1
