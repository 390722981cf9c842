"""What raw sockets need to know of the IP header, for both families."""

from __future__ import annotations

import contextlib
import socket
import struct

from tests.lab.laboratory.traffic.sockets import family_of

_IP_PKTINFO, _IP_RECVERR, _IPV6_RECVERR = 8, 11, 25
Ancillary = list[tuple[int, int, bytes]]


def prepare(raw: socket.socket) -> None:
    """Have a raw socket receive destination addresses and ICMP errors."""
    if raw.family == socket.AF_INET6:
        raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    keep_errors(raw)


def keep_errors(opened: socket.socket) -> None:
    """Have a socket keep the ICMP errors about what it sent."""
    if opened.family == socket.AF_INET6:
        opened.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
    else:
        opened.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)


def receive(raw: socket.socket) -> tuple[bytes, str, str]:
    """Receive a packet: its payload, its source and its destination address."""
    data, ancillary, _, source = raw.recvmsg(65536, 256)
    for level, kind, value in ancillary:
        if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO):
            return data, source[0], socket.inet_ntop(socket.AF_INET6, value[:16])
    return data[(data[0] & 15) * 4 :], source[0], socket.inet_ntop(socket.AF_INET, data[16:20])


def receive_error(opened: socket.socket) -> tuple[bytes, str, int]:
    """Receive an ICMP error: the packet it is about, where that went, and the error number.

    Raises BlockingIOError where there is none.
    """
    quoted, ancillary, _, destination = opened.recvmsg(1024, 1024, socket.MSG_ERRQUEUE)
    return quoted, destination[0], struct.unpack_from("=I", ancillary[-1][2])[0]


def drop_errors(opened: socket.socket) -> None:
    """Forget the ICMP errors about what was sent."""
    with contextlib.suppress(BlockingIOError):
        while True:
            receive_error(opened)


def send(raw: socket.socket, data: bytes, destination: str, *, source: str = "") -> None:
    """Send a packet, from a certain address if one is given."""
    ancillary: Ancillary = []
    if source:
        packed = socket.inet_pton(family_of(source), source)
        if raw.family == socket.AF_INET6:
            value = packed + struct.pack("=I", 0)
            ancillary = [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, value)]
        else:
            # ipi_ifindex, ipi_spec_dst (the source of what is sent), ipi_addr
            value = struct.pack("=i4s4s", 0, packed, bytes(4))
            ancillary = [(socket.IPPROTO_IP, _IP_PKTINFO, value)]
    raw.sendmsg([data], ancillary, 0, (destination, 0))
