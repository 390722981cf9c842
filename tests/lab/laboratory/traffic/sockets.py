"""Sockets in other network namespaces: a process may hold one of each at the same time."""

from __future__ import annotations

import ctypes
import os
import socket
from pathlib import Path

_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)


class Sockets:
    """Opens sockets in named namespaces. To be used by one thread, which it moves about."""

    def __init__(self, namespaces: dict[str, str]) -> None:
        self._descriptors = {
            name: os.open(Path("/run/netns", namespace), os.O_RDONLY | os.O_CLOEXEC)
            for name, namespace in namespaces.items()
        }
        self._entered: str | None = None

    def open(self, host: str, address: str, kind: socket.SocketKind, protocol: int = 0) -> Socket:
        """Open a socket of the address's family on a host; it does not block."""
        if self._entered != host:
            if _LIBC.setns(self._descriptors[host], _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), f"cannot enter the namespace of {host}")
            self._entered = host
        opened = socket.socket(family_of(address), kind, protocol)
        opened.settimeout(0)
        if opened.family == socket.AF_INET6 and kind != socket.SOCK_RAW:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        return opened


Socket = socket.socket


def family_of(address: str) -> socket.AddressFamily:
    """Tell the family of an address."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def enlarge(opened: Socket) -> None:
    """Let a socket hold what hundreds of clients send at once."""
    opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 1 << 22)


_SO_RCVBUFFORCE = 33
