"""What every backend can do: read the tables of one family, and commit steps to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from nptables.family import Family
from nptables.iptables import Ownership, Ruleset
from nptables.iptables.changes import Step


class Backend(Protocol):
    """The tables of one address family on a node.

    `name` is legacy, nft, iptc or fake. `piece` is how many new chains a commit should have at
    most, or None where one large commit costs no more than several small ones.
    """

    @property
    def name(self) -> str:
        """How people call the backend."""
        ...

    @property
    def family(self) -> Family:
        """The address family of the tables."""
        ...

    @property
    def piece(self) -> int | None:
        """How many chains to create or delete in one commit at most, None for any number."""
        ...

    def read(self) -> Ruleset:
        """All tables that exist, without creating any.

        Raises BackendUnavailable, KernelBusy, or KernelRefused where they cannot be read whole.
        """
        ...

    def read_parts(self, owner: Ownership) -> Ruleset:
        """What an owner needs to know of them, however busy they are: other chains are `unread`.

        Raises as `read`, but never ReadingStarved.
        """
        ...

    def commit(self, steps: Sequence[Step]) -> None:
        """Carry steps out in their order, each atomically.

        Raises KernelRefused or KernelBusy; the steps before the one that failed are then done,
        it and all behind it are not.
        """
        ...
