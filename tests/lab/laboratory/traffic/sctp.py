"""Just enough SCTP (RFC 9260) to knock at a port: INIT, and the two answers there are to it.

The kernel need not know SCTP: these go over raw sockets.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

INIT, INIT_ACK, ABORT = 1, 2, 6
PROTOCOL = 132
_STATE_COOKIE = 7
_HEADER = struct.Struct("!HHI")
_CHUNK = struct.Struct("!BBH")
_INIT_FIELDS = struct.Struct("!IIHHI")


@dataclass(frozen=True)
class Packet:
    """A packet with one chunk. The tag is the one that the chunk brings, if it is an INIT."""

    source_port: int
    destination_port: int
    chunk: int
    tag: int
    cookie: bytes = b""


def init(source_port: int, destination_port: int, tag: int) -> bytes:
    """Build the packet that opens an association; tags are never 0."""
    return _packet(source_port, destination_port, 0, INIT, _init_fields(tag))


def accept(request: Packet, cookie: bytes) -> bytes:
    """Build the answer of a server that listens, with something to say in its cookie."""
    padded = cookie + bytes(-len(cookie) % 4)
    parameter = struct.pack("!HH", _STATE_COOKIE, 4 + len(cookie)) + padded
    body = _init_fields(request.tag ^ 0xFFFFFFFF or 1) + parameter
    return _packet(request.destination_port, request.source_port, request.tag, INIT_ACK, body)


def abort(request: Packet) -> bytes:
    """Build the answer of a host where nobody listens at the port."""
    return _packet(request.destination_port, request.source_port, request.tag, ABORT, b"")


def parse(data: bytes) -> Packet | None:
    """Read a packet; None if it is none, or its checksum is wrong."""
    if len(data) < 16 or _checksum(data[:8] + bytes(4) + data[12:]) != data[8:12]:
        return None
    source, destination, _ = _HEADER.unpack_from(data)
    chunk, _, length = _CHUNK.unpack_from(data, 12)
    body = data[16 : 12 + length]
    if chunk not in (INIT, INIT_ACK):
        return Packet(source, destination, chunk, 0)
    if len(body) < _INIT_FIELDS.size:
        return None
    return Packet(source, destination, chunk, _INIT_FIELDS.unpack_from(body)[0], _cookie(body))


def ports(data: bytes) -> tuple[int, int]:
    """Read source and destination port of the start of a packet, as an ICMP error quotes it."""
    source, destination = struct.unpack_from("!HH", data)
    return source, destination


def _init_fields(tag: int) -> bytes:
    return _INIT_FIELDS.pack(tag, 65536, 1, 1, tag)


def _cookie(body: bytes) -> bytes:
    parameter = body[_INIT_FIELDS.size :]
    if len(parameter) < 4:
        return b""
    kind, length = struct.unpack_from("!HH", parameter)
    return parameter[4:length] if kind == _STATE_COOKIE else b""


def _packet(source: int, destination: int, tag: int, chunk: int, body: bytes) -> bytes:
    start = _HEADER.pack(source, destination, tag)
    rest = _CHUNK.pack(chunk, 0, 4 + len(body)) + body
    return start + _checksum(start + bytes(4) + rest) + rest


def _table() -> list[int]:
    entries = []
    for number in range(256):
        value = number
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        entries.append(value)
    return entries


_CRC32C = _table()


def _checksum(data: bytes) -> bytes:
    value = 0xFFFFFFFF
    for byte in data:
        value = value >> 8 ^ _CRC32C[(value ^ byte) & 0xFF]
    return struct.pack("<I", value ^ 0xFFFFFFFF)
