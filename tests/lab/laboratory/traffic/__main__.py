"""The process that holds every server and client of the laboratory.

It is told on standard input what to send, one JSON object a line, and writes one line with
what came of it. It ends with its standard input, and so with the tests, however they end.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from tests.lab.laboratory.traffic.knocking import Client
from tests.lab.laboratory.traffic.load import Load
from tests.lab.laboratory.traffic.servers import serve
from tests.lab.laboratory.traffic.sockets import Sockets
from tests.lab.laboratory.traffic.streams import Stream


class Agent:
    """Carries out one order after the other; loads and streams go on meanwhile."""

    def __init__(self, namespaces: dict[str, str]) -> None:
        self._sockets = Sockets(namespaces)
        self._client = Client(self._sockets)
        self._loads: list[Load] = []
        self._streams: list[Stream] = []

    async def order(self, name: str, arguments: dict[str, Any]) -> object:
        """Carry out an order, and return what is to be told."""
        match name:
            case "serve":
                for host, addresses, ports in arguments["servers"]:
                    await serve(self._sockets, host, addresses, ports)
                return None
            case "knock":
                requests = [tuple(request) for request in arguments["requests"]]
                return await self._client.knock_all(requests, arguments["patience"])
            case "start load":
                requests = [tuple(request) for request in arguments["requests"]]
                established = arguments["established"]
                self._loads.append(Load(self._sockets, requests, established=established))
                return None
            case "stop load":
                return await self._loads.pop().stop()
            case "start streams":
                requests = [tuple(request) for request in arguments["requests"]]
                self._streams = [Stream(self._sockets, request) for request in requests]
                return None
            case "hear streams":
                return [stream.heard for stream in self._streams]
            case "stop streams":
                await asyncio.gather(*(stream.stop() for stream in self._streams))
                return None
        raise ValueError(name)


async def _main() -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 26)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    agent = Agent(json.loads(await reader.readline()))
    while line := await reader.readline():
        name, arguments = json.loads(line)
        sys.stdout.write(json.dumps(await agent.order(name, arguments)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(_main())
