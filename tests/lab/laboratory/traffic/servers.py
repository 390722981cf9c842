"""The servers in pods and on nodes: each answers with its name and the source it saw."""

from __future__ import annotations

import asyncio
import itertools
import socket
from typing import TYPE_CHECKING, Any, cast

from tests.lab.laboratory.traffic import envelopes, sctp
from tests.lab.laboratory.traffic.sockets import enlarge, family_of

if TYPE_CHECKING:
    from tests.lab.laboratory.traffic.sockets import Sockets

_BACKLOG = 4096


async def serve(sockets: Sockets, host: str, addresses: list[str], ports: list[int]) -> None:
    """Listen at addresses of a host, with TCP, UDP and SCTP at each of the ports."""
    loop = asyncio.get_running_loop()
    for address, port in itertools.product(addresses, ports):
        listener = sockets.open(host, address, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        await loop.create_server(lambda: _TCPServer(host), sock=listener, backlog=_BACKLOG)
        receiver = sockets.open(host, address, socket.SOCK_DGRAM)
        enlarge(receiver)
        receiver.bind((address, port))
        await loop.create_datagram_endpoint(lambda: _UDPServer(host), sock=receiver)
    served = frozenset(itertools.product(addresses, ports))
    # A raw socket hears everything of its family.
    for anywhere in {family_of(address): address for address in addresses}.values():
        raw = sockets.open(host, anywhere, socket.SOCK_RAW, sctp.PROTOCOL)
        envelopes.prepare(raw)
        enlarge(raw)
        loop.add_reader(raw, _answer_sctp, raw, host, served)


def answer(host: str, source: tuple[Any, ...]) -> bytes:
    """Say who answers, and whom it saw."""
    return f"{host} {source[0]} {source[1]}\n".encode()


class _TCPServer(asyncio.Protocol):
    """Introduces itself, then gives back whatever it gets."""

    def __init__(self, host: str) -> None:
        self.host = host

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(answer(self.host, transport.get_extra_info("peername")))

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


class _UDPServer(asyncio.DatagramProtocol):
    def __init__(self, host: str) -> None:
        self.host = host

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:  # noqa: ARG002
        self.transport.sendto(answer(self.host, addr), addr)


def _answer_sctp(raw: socket.socket, host: str, served: frozenset[tuple[str, int]]) -> None:
    """Accept an INIT for a server, and abort every other one, as a kernel with SCTP would."""
    try:
        data, source, destination = envelopes.receive(raw)
    except OSError:
        # Of no interest, but as long as they are there the loop is woken.
        envelopes.drop_errors(raw)
        return
    request = sctp.parse(data)
    if request is None or request.chunk != sctp.INIT:
        return
    if (destination, request.destination_port) in served:
        reply = sctp.accept(request, answer(host, (source, request.source_port)))
    else:
        reply = sctp.abort(request)
    envelopes.send(raw, reply, source, source=destination)
