"""The nfacct counters that kube-proxy's rules count packets with, by netlink.

The messages are those of linux/netfilter/nfnetlink_acct.h; there is no Python library for them,
and the nfacct program is rarely installed.
"""

from __future__ import annotations

import errno

from nptables.kernel import netlink
from nptables.translation.fixed import INVALID_DROPPED
from nptables.translation.service_port import ACCEPTED_ON_LOCALHOST

COUNTERS = (INVALID_DROPPED, ACCEPTED_ON_LOCALHOST)

# NFNL_SUBSYS_ACCT (linux/netfilter/nfnetlink.h); the others by their names in nfnetlink_acct.h.
_SUBSYSTEM = 7
_NEW, _GET = 0, 1
_NAME, _PACKETS, _BYTES = 1, 2, 3


def counters() -> dict[str, tuple[int, int]]:
    """The nfacct objects of this network namespace: name to packets and bytes.

    Raises OSError where the kernel has none of it, or without CAP_NET_ADMIN.
    """
    found = {}
    for kind, attributes in netlink.ask(_SUBSYSTEM, _GET, netlink.DUMP):
        if kind == _NEW:
            name = attributes[_NAME].rstrip(b"\0").decode("ascii", "replace")
            found[name] = (
                int.from_bytes(attributes.get(_PACKETS, b""), "big"),
                int.from_bytes(attributes.get(_BYTES, b""), "big"),
            )
    return found


def create(name: str) -> bool:
    """Create a counter; False where it is there already. Raises OSError."""
    text = name.encode() + b"\0"
    flags = netlink.ACK | netlink.CREATE | netlink.EXCL
    try:
        for _ in netlink.ask(_SUBSYSTEM, _NEW, flags, netlink.attribute(_NAME, text)):
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
