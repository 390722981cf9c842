"""How often the nft tables of this network namespace have changed, whoever changed them.

The kernel counts commits (NFT_MSG_GETGEN of linux/netfilter/nf_tables.h); to ask costs some
microseconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from nptables.kernel import netlink

# NFNL_SUBSYS_NFTABLES, NFT_MSG_GETGEN and NFTA_GEN_ID.
_SUBSYSTEM = 10
_GET = 16
_ID = 1


def generation() -> int | None:
    """How many commits there were, as a number that only differences mean anything of.

    None where the kernel cannot be asked.
    """
    try:
        for _, attributes in netlink.ask(_SUBSYSTEM, _GET, 0):
            return int.from_bytes(attributes.get(_ID, b""), "big")
    except OSError:
        pass
    return None


class Commits:
    """Counts the commits since it was made, and says when a reading is starved by them.

    iptables-nft-save starts over whenever somebody commits while it reads. It has `seconds` for
    that, and as long again where there was one commit only: then it may just be slow.
    """

    def __init__(
        self,
        seconds: float,
        *,
        now: Callable[[], int | None] = generation,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.seconds = seconds
        self.count = 0
        self._now = now
        self._clock = clock
        self._began = clock()
        self._first = now()

    def made(self) -> int:
        """How many there were until now."""
        if self._first is not None:
            # 0 cannot be meant: the counter skips it (nf_tables_commit in
            # net/netfilter/nf_tables_api.c).
            self.count = (self._now() or self._first) - self._first
        return self.count

    def starve(self) -> bool:
        """Whether it is time to give up."""
        took = self._clock() - self._began
        if took < self.seconds:
            return False
        return self.made() > (0 if took >= 2 * self.seconds else 1)
