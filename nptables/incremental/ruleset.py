"""A translation that is assembled when it is first read."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from nptables.family import Family
from nptables.iptables.unshown import EVERYTHING_SHOWN
from nptables.translation.assembly import Translation
from nptables.translation.context import Context
from nptables.translation.owned import ownership


class LaterTranslation(Translation):
    """A Translation of which only family, context and ownership are there from the start.

    A plan for a small change names the whole ruleset before and after it, which costs what the
    cluster does; nobody looks into either unless something went wrong.
    """

    def __init__(self, family: Family, context: Context, make: Callable[[], Translation]) -> None:
        for name, value in (
            ("family", family),
            ("context", context),
            ("ownership", ownership(context)),
            ("comments", ()),
            ("unshown", EVERYTHING_SHOWN),
            ("_make", make),
        ):
            object.__setattr__(self, name, value)

    def __eq__(self, other: object) -> bool:
        return self._made.__eq__(other._made if isinstance(other, LaterTranslation) else other)

    __hash__ = None  # type: ignore[assignment] # like every Ruleset: it holds mappings

    def __repr__(self) -> str:
        return f"LaterTranslation({self.family})"

    @cached_property
    def _made(self) -> Translation:
        make: Callable[[], Translation] = self.__dict__["_make"]
        return make()

    def __getattr__(self, name: str) -> Any:
        """The parts that are not there from the start."""
        if name in _LATER:
            return getattr(self._made, name)
        raise AttributeError(f"{type(self).__name__} has no attribute {name}")


_LATER = frozenset({"tables", "cluster", "ports", "collisions"})
