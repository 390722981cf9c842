"""Questions to the kernel's netfilter subsystems, by netlink.

Only what no Python library asks and no installed program tells: nfacct counters, and how often the
nft tables have changed.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator, Mapping

# NLM_F_REQUEST and so on (linux/netlink.h). EXCL is a bit of DUMP: it means that of a request which
# creates something only.
REQUEST, ACK, DUMP, EXCL, CREATE = 0x1, 0x4, 0x300, 0x200, 0x400

_NETLINK_NETFILTER = 12
# NLMSG_ERROR, NLMSG_DONE and NLMSG_MIN_TYPE: numbers below the last are netlink's own.
_ERROR, _DONE = 2, 3
_FIRST_MESSAGE = 16
_SECONDS = 5
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")


def ask(
    subsystem: int, command: int, flags: int, payload: bytes = b"", *, family: int = 0
) -> Iterator[tuple[int, Mapping[int, bytes]]]:
    """Command and attributes of every message of the answer, those of another subsystem left out.

    `flags` are added to REQUEST. Raises OSError with the kernel's number, or where no answer comes
    in five seconds.
    """
    # nfgenmsg: the family, version 0, no resource.
    body = bytes((family, 0, 0, 0)) + payload
    header = _HEADER.pack(16 + len(body), subsystem << 8 | command, REQUEST | flags, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER) as link:
        link.settimeout(_SECONDS)
        # Address 0: the kernel chooses one that nobody else in the process has (netlink(7)).
        link.bind((0, 0))
        link.send(header + body)
        while True:
            data = link.recv(1 << 16)
            while len(data) >= 16:
                length, kind, answered, _, _ = _HEADER.unpack_from(data)
                # Messages begin at multiples of four bytes (NLMSG_ALIGN).
                found, data = data[16:length], data[(length + 3) & ~3 :]
                if kind == _DONE:
                    return
                if kind == _ERROR:
                    # An error with the number 0 is the ACK that was asked for (netlink(7)).
                    code = -struct.unpack_from("=i", found)[0]
                    if code:
                        raise OSError(code, errno.errorcode.get(code, str(code)))
                    return
                if kind >= _FIRST_MESSAGE and kind >> 8 == subsystem:
                    yield kind & 0xFF, dict(_attributes(found[4:]))
                    # NLM_F_MULTI: more follows, up to NLMSG_DONE. NLM_F_DUMP_INTR, which tells of a
                    # change meanwhile, is left to those who ask.
                    if not flags & DUMP and not answered & 0x2:
                        return


def attribute(kind: int, value: bytes) -> bytes:
    """An attribute of a request, padded."""
    packed = _ATTRIBUTE.pack(4 + len(value), kind) + value
    return packed + b"\0" * (-len(packed) % 4)


def text(value: bytes | None) -> str:
    """The text of an attribute that ends in a zero; an empty string without it."""
    return (value or b"").rstrip(b"\0").decode("utf-8", "surrogateescape")


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= 4:
        length, kind = _ATTRIBUTE.unpack_from(data)
        # Without NLA_F_NESTED and NLA_F_NET_BYTEORDER (NLA_TYPE_MASK of linux/netlink.h).
        yield kind & 0x3FFF, data[4:length]
        data = data[(length + 3) & ~3 :]
