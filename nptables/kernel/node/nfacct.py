"""The nfacct counters that kube-proxy's rules count packets with, by netlink.

The messages are those of linux/netfilter/nfnetlink_acct.h; there is no Python library for them,
and the nfacct program is rarely installed.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator

from nptables.translation.fixed import INVALID_DROPPED
from nptables.translation.service_port import ACCEPTED_ON_LOCALHOST

COUNTERS = (INVALID_DROPPED, ACCEPTED_ON_LOCALHOST)

_NETLINK_NETFILTER = 12
_SUBSYSTEM = 7 << 8
_NEW, _GET = 0, 1
_REQUEST, _ACK, _EXCL, _CREATE, _DUMP = 0x1, 0x4, 0x200, 0x400, 0x300
_ERROR, _DONE = 2, 3
_NAME, _PACKETS, _BYTES = 1, 2, 3
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
# nfgenmsg: no family, version 0, no resource.
_GENERIC = b"\0\0\0\0"


def counters() -> dict[str, tuple[int, int]]:
    """The nfacct objects of this network namespace: name to packets and bytes.

    Raises OSError where the kernel has none of it, or without CAP_NET_ADMIN.
    """
    found = {}
    for kind, body in _ask(_GET, _REQUEST | _DUMP, b""):
        if kind >= 16:
            attributes = dict(_attributes(body[4:]))
            name = attributes[_NAME].rstrip(b"\0").decode("ascii", "replace")
            found[name] = (
                int.from_bytes(attributes.get(_PACKETS, b""), "big"),
                int.from_bytes(attributes.get(_BYTES, b""), "big"),
            )
    return found


def create(name: str) -> bool:
    """Create a counter; False where it is there already. Raises OSError."""
    text = name.encode() + b"\0"
    attribute = _ATTRIBUTE.pack(4 + len(text), _NAME) + text
    attribute += b"\0" * (-len(attribute) % 4)
    try:
        for _ in _ask(_NEW, _REQUEST | _ACK | _CREATE | _EXCL, attribute):
            pass
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.EBUSY):
            return False
        raise
    return True


def present() -> bool:
    """Whether both counters that the rules name are there."""
    try:
        return set(COUNTERS) <= set(counters())
    except OSError:
        return False


def supported() -> bool:
    """Whether the kernel has nfacct objects, and lets us see them."""
    try:
        counters()
    except OSError:
        return False
    return True


def _ask(command: int, flags: int, payload: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and body of every message of the answer. Raises OSError with the kernel's number."""
    body = _GENERIC + payload
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER) as link:
        link.settimeout(5)
        link.bind((0, 0))
        link.send(_HEADER.pack(16 + len(body), _SUBSYSTEM | command, flags, 1, 0) + body)
        while True:
            data = link.recv(1 << 16)
            while len(data) >= 16:
                length, kind, _, _, _ = _HEADER.unpack_from(data)
                found, data = data[16:length], data[(length + 3) & ~3 :]
                if kind == _DONE:
                    return
                if kind == _ERROR:
                    code = -struct.unpack_from("=i", found)[0]
                    if code:
                        raise OSError(code, errno.errorcode.get(code, str(code)))
                    return
                yield kind, found


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= 4:
        length, kind = _ATTRIBUTE.unpack_from(data)
        yield kind & 0x3FFF, data[4:length]
        data = data[(length + 3) & ~3 :]
