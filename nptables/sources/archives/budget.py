"""What the reading of an archive may cost, and what it has cost so far.

An archive comes from somebody else: a small one may unpack to more than the machine has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import attrs

from nptables.errors import NptablesError
from nptables.immutable import frozen

# Called with the name of the file, the bytes of it that were read, and those that there are.
Progress = Callable[[str, int, int], None]
_PER_REPORT = 8 * 2**20
MIB = 2**20


class Damaged(NptablesError):
    """An archive ends in the middle, or is none from some place on; the text says which."""


class Refused(NptablesError):
    """An archive goes beyond a limit; the text says which."""


@frozen
class Limits:
    """How far an archive is followed.

    `members` is how many it may have, nested ones included. `member` is how large one may be that
    is needed, `kept` how much may be needed of all together, `unpacked` how much may be unpacked
    on the way, in bytes. Where more than `free` bytes were unpacked, they may be `ratio` times
    what was read. `nesting` is how many archives may stand in one another.
    """

    members: int = 2_000_000
    member: int = 512 * MIB
    kept: int = 1024 * MIB
    unpacked: int = 256 * 1024 * MIB
    free: int = 256 * MIB
    ratio: int = 400
    nesting: int = 3


@attrs.define
class Budget:
    """What is left of the limits.

    `skipped` counts members that were not looked at, by reason, and `damaged` are the archives
    within it that are cut off or none.
    """

    name: str
    total: int = 0
    limits: Limits = attrs.field(factory=Limits)
    progress: Progress | None = None
    read: int = 0
    unpacked: int = 0
    members: int = 0
    kept: int = 0
    skipped: Counter[str] = attrs.field(factory=Counter)
    damaged: list[str] = attrs.field(factory=list)
    _reported: int = 0

    def count_read(self, size: int) -> None:
        """So many bytes of the file were read."""
        self.read += size
        if self.progress is not None and self.read - self._reported >= _PER_REPORT:
            self._reported = self.read
            self.progress(self.name, self.read, max(self.total, self.read))

    def count_unpacked(self, size: int) -> None:
        """So many bytes came out of something that is compressed. Raises Refused."""
        self.unpacked += size
        limits = self.limits
        if self.unpacked > limits.unpacked:
            raise Refused(f"unpacks to more than {limits.unpacked // 2**30} GiB")
        if self.unpacked > limits.free + limits.ratio * self.read:
            raise Refused(
                f"unpacks to more than {limits.ratio} times its size, as no logs or listings do"
            )

    def count_member(self) -> None:
        """There is one more member. Raises Refused."""
        self.members += 1
        if self.members > self.limits.members:
            raise Refused(f"has more than {self.limits.members:,} members")

    def keep(self, name: str, size: int) -> None:
        """A member of that size is needed. Raises Refused."""
        if size > self.limits.member:
            raise Refused(f"{name} in it has more than {self.limits.member // MIB} MiB")
        self.kept += size
        if self.kept > self.limits.kept:
            raise Refused(
                f"has more than {self.limits.kept // MIB} MiB of rules, facts and objects"
            )
