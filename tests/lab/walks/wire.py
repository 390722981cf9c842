"""Packets as bytes: built, sent, and read where they come out."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nptables.family import Family
from tests.lab.laboratory.traffic import sctp
from tests.lab.walks.places import PLACES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.walks.network import Net

NUMBERS = {"tcp": 6, "udp": 17, "icmp": 1, "ipv6-icmp": 58, "sctp": 132, "dccp": 33}
_NAMES = {number: name for name, number in NUMBERS.items()}
_FLAGS = {"FIN": 1, "SYN": 2, "RST": 4, "PSH": 8, "ACK": 16, "URG": 32}
_FAMILIES = {Family.IPV4: socket.AF_INET, Family.IPV6: socket.AF_INET6}
_ETHERTYPES = {Family.IPV4: 0x0800, Family.IPV6: 0x86DD}
_ALL_ETHERTYPES = socket.htons(3)
_OUTGOING = 4
_IPV6_RECVPKTINFO, _IPV6_PKTINFO = 49, 50
_EVERYBODY = b"\xff" * 6
_ALL_NODES = {
    PLACES[Family.IPV4].group: bytes.fromhex("01005e000001"),
    PLACES[Family.IPV6].group: bytes.fromhex("333300000001"),
}
# Of no protocol that anybody speaks (IEEE 802's first one for experiments).
_MARKED = 0x88B5
_SECONDS = 60
_RAW_OF = {
    Family.IPV4: ("tcp", "udp", "icmp", "sctp", "dccp"),
    Family.IPV6: ("tcp", "udp", "ipv6-icmp", "sctp", "dccp"),
}


@dataclass(frozen=True)
class Sent:
    """A packet to send: from the node itself where `device` is empty, else into that interface."""

    family: Family
    device: str
    source: str
    destination: str
    protocol: str
    source_port: int
    port: int
    flags: frozenset[str] = frozenset()
    icmp: tuple[int, int] = (0, 0)
    mark: int = 0

    def to_bytes(self, token: bytes) -> bytes:
        """The packet from its IP header on; the token is found again in its payload."""
        addresses = b"".join(
            socket.inet_pton(_FAMILIES[self.family], a) for a in (self.source, self.destination)
        )
        body = self._body(token, addresses)
        number = NUMBERS[self.protocol]
        if self.family is Family.IPV6:
            return struct.pack("!IHBB", 6 << 28, len(body), number, 64) + addresses + body
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 1, 0, 64, number, 0) + addresses
        return head[:10] + _checksum(head) + head[12:] + body

    def _body(self, token: bytes, addresses: bytes) -> bytes:
        number = NUMBERS[self.protocol]
        ports = struct.pack("!HH", self.source_port, self.port)
        if self.protocol == "sctp":
            return sctp.init(self.source_port, self.port, int.from_bytes(token[:4]) or 1)
        if self.protocol == "tcp":
            bits = sum(_FLAGS[flag] for flag in self.flags)
            body = ports + struct.pack("!IIBBHHH", 1, 0, 5 << 4, bits, 1024, 0, 0) + token
            return _with_checksum(body, 16, addresses, number)
        if self.protocol == "udp":
            body = ports + struct.pack("!HH", 8 + len(token), 0) + token
            return _with_checksum(body, 6, addresses, number)
        if self.protocol == "dccp":  # a request with a long sequence number, and its service
            body = ports + struct.pack("!BBHBBHII", 5, 0, 0, 1, 0, 0, 1, 0) + token
            return _with_checksum(body, 6, addresses, number)
        body = struct.pack("!BBHHH", *self.icmp, 0, self.source_port, 1) + token
        return _with_checksum(body, 2, addresses if number == 58 else b"", number)


@dataclass(frozen=True)
class Seen:
    """A packet where it came out: an interface, or `node` where the node itself has it."""

    where: str
    source: str
    source_port: int
    destination: str
    port: int


def _checksum(data: bytes) -> bytes:
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", ~total & 0xFFFF)


def _with_checksum(body: bytes, offset: int, addresses: bytes, number: int) -> bytes:
    pseudo = addresses + struct.pack("!II", len(body), number) if addresses else b""
    return body[:offset] + _checksum(pseudo + body) + body[offset + 2 :]


class Wire:
    """Sends a packet, and tells where it came out."""

    def __init__(self, net: Net) -> None:
        self._beyond = {
            device: inside.socket(socket.AF_PACKET, socket.SOCK_DGRAM, _ALL_ETHERTYPES)
            for device, inside in net.beyond.items()
        }
        self._macs = {device: net.own_mac(device) for device in net.beyond}
        self._senders = {
            family: net.node.socket(number, socket.SOCK_RAW, socket.IPPROTO_RAW)
            for family, number in _FAMILIES.items()
        }
        self._senders[Family.IPV4].setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        self._receivers = {
            (family, protocol): net.node.socket(
                _FAMILIES[family], socket.SOCK_RAW, NUMBERS[protocol]
            )
            for family, protocols in _RAW_OF.items()
            for protocol in protocols
        }
        for (family, _), receiver in self._receivers.items():
            if family is Family.IPV6:
                receiver.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO, 1)
        self._marks = net.node.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_MARKED))
        self._sent = 0

    def close(self) -> None:
        """Close all sockets."""
        for opened in (
            *self._beyond.values(), *self._senders.values(), *self._receivers.values(), self._marks,
        ):  # fmt: skip
            opened.close()

    def send(self, packet: Sent) -> list[Seen]:
        """Send a packet, and return where it came out, which is at most one place."""
        self._sent += 1
        token = struct.pack("!I4s", 0x7E570000 + self._sent, b"walk")
        data = packet.to_bytes(token)
        with _on_one_processor(self._sent):
            if packet.device:
                self._send_to_node(packet, data)
            else:
                self._send_from_node(packet, data)
            # Once for the way to the node, and once for the way on.
            for _ in range(2):
                self._catch_up()
        return [found for found, data in self._taken(packet) if token[:4] in data]

    def _catch_up(self) -> None:
        """Wait until the node has had what was sent to it before.

        A busy machine leaves packets to another thread. Those of one processor stay in their order:
        when a frame that no rule sees has come, whatever was sent before it has, too.
        """
        device, mac = next(iter(self._macs.items()))
        self._beyond[device].sendto(bytes(46), (device, _MARKED, 0, 0, mac))
        ready, _, _ = select.select([self._marks], [], [], _SECONDS)
        assert ready, "a frame does not come"
        self._marks.recv(100)

    def _send_to_node(self, packet: Sent, data: bytes) -> None:
        mac = self._macs[packet.device]
        if packet.family is Family.IPV4 and packet.destination in PLACES[Family.IPV4].shared:
            mac = _EVERYBODY
        mac = _ALL_NODES.get(packet.destination, mac)
        to = (packet.device, _ETHERTYPES[packet.family], 0, 0, mac)
        self._beyond[packet.device].sendto(data, to)

    def _send_from_node(self, packet: Sent, data: bytes) -> None:
        sender = self._senders[packet.family]
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, packet.mark)
        # A rule that drops it, or a route that ends, is told to the sender.
        with contextlib.suppress(OSError):
            sender.sendto(data, (packet.destination, 0))

    def _taken(self, packet: Sent) -> list[tuple[Seen, bytes]]:
        found = []
        for device, opened in self._beyond.items():
            with contextlib.suppress(BlockingIOError):
                while True:
                    data, sender = opened.recvfrom(2048)
                    if sender[2] != _OUTGOING and (seen := _read(device, packet.family, data)):
                        found.append((seen, data))
        for (family, protocol), opened in self._receivers.items():
            with contextlib.suppress(BlockingIOError):
                while True:
                    data, ancillary, _, sender = opened.recvmsg(2048, 256)
                    if family is packet.family:
                        whole = data
                        if family is Family.IPV6:
                            whole = _as_if_whole(protocol, data, ancillary, sender[0])
                        if seen := _read("node", family, whole):
                            found.append((seen, data))
        return found


@contextlib.contextmanager
def _on_one_processor(number: int) -> Iterator[None]:
    """Keep this thread on one processor, the number-th in turn."""
    all_of_them = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sorted(all_of_them)[number % len(all_of_them)]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, all_of_them)


def _as_if_whole(
    protocol: str, data: bytes, ancillary: list[tuple[int, int, bytes]], source: str
) -> bytes:
    """An IPv6 packet with its header, which raw sockets do not give."""
    to = next((value[:16] for _, kind, value in ancillary if kind == _IPV6_PKTINFO), bytes(16))
    head = struct.pack("!IHBB", 6 << 28, len(data), NUMBERS[protocol], 64)
    return head + socket.inet_pton(socket.AF_INET6, source.partition("%")[0]) + to + data


def _read(where: str, family: Family, data: bytes) -> Seen | None:
    version, start = (4, 12) if family is Family.IPV4 else (6, 8)
    if len(data) < 28 or data[0] >> 4 != version:
        return None
    width = family.host_prefix // 8
    source, destination = (
        socket.inet_ntop(_FAMILIES[family], data[offset : offset + width])
        for offset in (start, start + width)
    )
    protocol = _NAMES.get(data[9] if version == 4 else data[6])
    body = data[start + 2 * width :]
    if protocol is None or len(body) < 8:
        return None
    first, second = struct.unpack_from("!HH", body)
    if protocol in ("icmp", "ipv6-icmp"):
        (identifier,) = struct.unpack_from("!H", body, 4)
        return Seen(where, source, identifier, destination, 0)
    return Seen(where, source, first, destination, second)
