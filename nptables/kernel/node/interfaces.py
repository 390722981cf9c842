"""Hearing from the kernel that addresses of this node came or went."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nptables.errors import MissingPackage

_RTMGRP_LINK, _RTMGRP_IPV4_IFADDR, _RTMGRP_IPV6_IFADDR = 0x1, 0x10, 0x100
_TELLING = ("RTM_NEWADDR", "RTM_DELADDR", "RTM_DELLINK")


class AddressWatch:
    """A netlink socket that hears of address changes in this network namespace.

    Raises MissingPackage without pyroute2 and OSError where netlink cannot be opened.
    """

    def __init__(self) -> None:
        try:
            from pyroute2 import IPRoute  # noqa: PLC0415 - an extra, and slow to import
        except ImportError as error:
            raise MissingPackage(
                "pyroute2", extra="agent", purpose="follow the node's addresses"
            ) from error
        self._netlink: Any = IPRoute()
        self._netlink.bind(groups=_RTMGRP_LINK | _RTMGRP_IPV4_IFADDR | _RTMGRP_IPV6_IFADDR)

    def run(self, changed: Callable[[], None]) -> None:
        """Call `changed` after every batch of changes, until `close`."""
        while True:
            try:
                messages = list(self._netlink.get())
            except Exception:  # noqa: BLE001 - an overrun, or the socket was closed under us
                if self._closed():
                    return
                changed()
                continue
            if any(message.get("event") in _TELLING for message in messages):
                changed()

    def close(self) -> None:
        """Stop listening."""
        self._netlink.close()

    def _closed(self) -> bool:
        return bool(getattr(self._netlink, "closed", True))
