"""UDP clients that never let go of their socket, and all that they ever heard on it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import time
from typing import TYPE_CHECKING

from tests.lab.laboratory.traffic.knocking import REFUSED, open_datagrams

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.laboratory.traffic.knocking import Request
    from tests.lab.laboratory.traffic.sockets import Sockets

_PAUSE = 0.02


class Stream:
    """Sends a datagram every 20 ms from one socket.

    `heard` has the name of who answered, "refused", or the name of another error, each with the
    time of the monotonic clock.
    """

    def __init__(self, sockets: Sockets, request: Request) -> None:
        self.heard: list[tuple[float, str]] = []
        self._client = open_datagrams(sockets, request)
        self._task = asyncio.ensure_future(self._send_on_and_on())

    async def stop(self) -> None:
        """Close the socket."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._client.close()

    async def _send_on_and_on(self) -> None:
        while True:
            # A rule on the sender's own node may refuse it; the reason comes as an ICMP error.
            with self._noted(), contextlib.suppress(PermissionError):
                self._client.send(b"who is there?")
            self._hear()
            await asyncio.sleep(_PAUSE)

    def _hear(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                with self._noted():
                    self._note(self._client.recv(512).decode().split()[0])

    def _note(self, said: str) -> None:
        self.heard.append((time.monotonic(), said))

    @contextlib.contextmanager
    def _noted(self) -> Iterator[None]:
        """Take an error for what was heard."""
        try:
            yield
        except BlockingIOError:
            raise
        except ConnectionRefusedError:
            self._note(REFUSED)
        except OSError as error:
            self._note(errno.errorcode.get(error.errno or 0, str(error)))
