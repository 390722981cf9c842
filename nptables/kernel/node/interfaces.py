"""Hearing from the kernel that addresses of this node came or went, by netlink.

The messages are those of linux/rtnetlink.h; their kind is all that is looked at, since whoever is
told reads the addresses anew.
"""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Callable

_ROUTE = 0
_GROUPS = 0x1 | 0x10 | 0x100  # links, IPv4 addresses, IPv6 addresses
_HEADER = struct.Struct("=IHHII")
_DELETED_LINK, _NEW_ADDRESS, _DELETED_ADDRESS = 17, 20, 21
_TELLING = (_DELETED_LINK, _NEW_ADDRESS, _DELETED_ADDRESS)


class AddressWatch:
    """A netlink socket that hears of address changes in this network namespace.

    Raises OSError where netlink cannot be opened.
    """

    def __init__(self) -> None:
        self._netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _ROUTE)
        self._netlink.bind((0, _GROUPS))
        self._wake, self._woken = socket.socketpair()

    def run(self, changed: Callable[[], None]) -> None:
        """Call `changed` after every change, until `close`; meant for a thread of its own."""
        try:
            while True:
                ready, _, _ = select.select([self._netlink, self._woken], [], [])
                if self._woken in ready:
                    return
                if self._tells():
                    changed()
        finally:
            self._netlink.close()
            self._woken.close()

    def close(self) -> None:
        """Stop listening."""
        self._wake.close()

    def _tells(self) -> bool:
        try:
            data = self._netlink.recv(1 << 16)
        except OSError:
            # The kernel dropped messages because there were too many: something changed.
            return True
        while len(data) >= _HEADER.size:
            length, kind, *_ = _HEADER.unpack_from(data)
            if kind in _TELLING:
                return True
            data = data[(max(length, _HEADER.size) + 3) & ~3 :]
        return False
