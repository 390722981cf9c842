"""The interfaces of this node: that their addresses changed, and which of them are bridges.

The messages of netlink are those of linux/rtnetlink.h; their kind is all that is looked at, since
whoever is told reads the addresses anew.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
from collections.abc import Callable
from pathlib import Path

from nptables.errors import KernelError
from nptables.evidence import Bridge
from nptables.kernel.node.facts import interfaces
from nptables.kernel.programs import Runner, run_program
from nptables.model.addresses import parse_network_sloppy

_ROUTE = 0
_GROUPS = 0x1 | 0x10 | 0x100  # links, IPv4 addresses, IPv6 addresses
_HEADER = struct.Struct("=IHHII")
# RTM_DELLINK, RTM_NEWADDR and RTM_DELADDR. A new link is no news: it has no address yet.
_DELETED_LINK, _NEW_ADDRESS, _DELETED_ADDRESS = 17, 20, 21
_TELLING = (_DELETED_LINK, _NEW_ADDRESS, _DELETED_ADDRESS)


class AddressWatch:
    """A netlink socket that hears of address changes in this network namespace.

    Raises OSError where netlink cannot be opened.
    """

    def __init__(self) -> None:
        self._netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _ROUTE)
        self._netlink.bind((0, _GROUPS))
        # To close a socket wakes nobody who selects on it; to close the other end of a pair does.
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
            # ENOBUFS (netlink(7)): the kernel dropped messages because there were too many.
            # Something changed.
            return True
        while len(data) >= _HEADER.size:
            length, kind, *_ = _HEADER.unpack_from(data)
            if kind in _TELLING:
                return True
            data = data[(max(length, _HEADER.size) + 3) & ~3 :]
        return False


NET = Path("/sys/class/net")
_PROMISCUOUS = 0x100  # IFF_PROMISC of linux/if.h


def find_bridges(run: Runner = run_program, net: Path = NET) -> list[Bridge]:
    """The bridges of this network namespace that have ports, by name.

    Their networks are not known where `ip` is not installed or fails.
    """
    ports: dict[str, list[str]] = {}
    for port in sorted(net.glob("*/brport")):
        bridge = (port / "bridge").resolve().name
        # A bridge sends no frame back through the port that it came by, so that a Pod cannot reach
        # itself by its Service, unless the port is in hairpin mode or the bridge is promiscuous
        # (hairpinMode of KubeletConfiguration).
        off = _text(port / "hairpin_mode") == "0"
        ports.setdefault(bridge, []).extend([port.parent.name] if off else [])
    if not ports:
        return []
    addresses: dict[str, list[str]] = {}
    with contextlib.suppress(KernelError):
        addresses = interfaces(run) or {}
    return [
        Bridge(
            name,
            tuple(n for a in addresses.get(name, ()) if (n := parse_network_sloppy(a))),
            () if _is_promiscuous(net / name) else tuple(off),
        )
        for name, off in sorted(ports.items())
    ]


def _is_promiscuous(interface: Path) -> bool:
    try:
        return bool(int(_text(interface / "flags"), 16) & _PROMISCUOUS)
    except ValueError:
        return False


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
