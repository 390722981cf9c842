"""A cache of what was made of input that did not change since: so an edit costs what it changes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar, cast

T = TypeVar("T")


class Cache:
    """Values by what they were made from; those least recently used are forgotten.

    `most` is how much may be kept, in whatever `weight` counts.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._weight = 0
        self._kept: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], T], weight: int = 1) -> T:
        """What `make` gives, made once for a key; what it raises is raised each time."""
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
            return cast("T", found[0])
        made = make()
        self._kept[key] = (made, weight)
        self._weight += weight
        while self._weight > self._most and len(self._kept) > 1:
            _, (_, gone) = self._kept.popitem(last=False)
            self._weight -= gone
        return made

    def __contains__(self, key: Hashable) -> bool:
        """Whether the value of a key is kept."""
        return key in self._kept

    def forget(self) -> None:
        """Forget everything."""
        self._kept.clear()
        self._weight = 0
