"""Whether a set holds a packet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

from nptables.family import Family
from nptables.immutable import frozen
from nptables.tracing.sets.parts import AddressPart, OpenPart, Part, RangePart, Side
from nptables.tracing.surroundings.addressing import family_of, number

Sets = Mapping[str, Callable[[tuple[Side, ...]], bool | None]]
"""By name, whether a set holds a packet, given the sides that the rule names; None: not known."""


@frozen
class Entry:
    """An entry of a set; `nomatch` is an exception from the wider ones."""

    parts: tuple[Part, ...]
    nomatch: bool = False

    @property
    def lengths(self) -> tuple[int, ...]:
        """How narrow each part is."""
        return tuple(part.length for part in self.parts)

    def fits(self, sides: Sequence[Side]) -> bool | None:
        """Whether a packet fits; None where that is unknown."""
        answers = {part.fits(side) for part, side in zip(self.parts, sides, strict=False)}
        if False in answers:
            return False
        return None if None in answers else True


class IpSet:
    """A set of one type. `dimension` is the number of sides that a match on it must name.

    The kernel looks for the narrowest entry first, and that one decides (`mtype_test_cidrs` in
    net/netfilter/ipset/ip_set_hash_gen.h). A match that names fewer sides than the set has, or
    of another family, does not match (`ip_set_test`).
    """

    def __init__(
        self, name: str, type_name: str, dimension: int, family: Family | None = None
    ) -> None:
        self.name = name
        self.type_name = type_name
        self.dimension = dimension
        self.family = family
        self._entries: list[Entry] = []
        self._by_network: dict[int, dict[int, list[Entry]]] = {}
        self._others: list[Entry] = []
        self._known = lru_cache(maxsize=1024)(self._looked_up)

    @property
    def open_entries(self) -> int:
        """How many entries have a part that a trace cannot decide."""
        return sum(any(isinstance(p, OpenPart) for p in entry.parts) for entry in self._entries)

    def spans(self) -> Iterator[tuple[int, int]]:
        """First and last address, as numbers, of everything that entries say of addresses."""
        for entry in self._entries:
            for part in entry.parts:
                if isinstance(part, AddressPart):
                    base, mask, bits = part.network
                    yield base, base | ((1 << bits) - 1) ^ mask
                elif isinstance(part, RangePart):
                    yield part.first, part.last

    def add(self, entry: Entry) -> None:
        """Add an entry."""
        self._entries.append(entry)
        first = entry.parts[0]
        if isinstance(first, AddressPart):
            bases = self._by_network.setdefault(first.network.mask, {})
            bases.setdefault(first.network.base, []).append(entry)
        else:
            self._others.append(entry)
        self._known.cache_clear()

    def __call__(self, sides: tuple[Side, ...]) -> bool | None:
        """Whether it holds a packet; None where that is unknown."""
        if len(sides) < self.dimension:
            return False
        if self.family is not None and family_of(sides[0].address) is not self.family:
            return False
        return self._known(sides[: self.dimension])

    def _looked_up(self, sides: tuple[Side, ...]) -> bool | None:
        possible: list[bool] = []
        found = sorted(self._candidates(sides[0]), key=lambda entry: entry.lengths, reverse=True)
        for entry in found:
            fits = entry.fits(sides)
            if fits is not False:
                possible.append(not entry.nomatch)
            if fits:
                break
        else:
            return None if any(possible) else False
        return possible[0] if len(set(possible)) == 1 else None

    def _candidates(self, side: Side) -> Iterable[Entry]:
        """The entries whose first part may fit."""
        if not isinstance(side.address, str):
            return self._entries
        address = number(side.address)
        found = list(self._others)
        for mask, bases in self._by_network.items():
            found += bases.get(address & mask, ())
        return found


@frozen
class ListOfSets:
    """A `list:set`: it holds what any of its sets holds."""

    members: tuple[IpSet, ...]

    def __call__(self, sides: tuple[Side, ...]) -> bool | None:
        """Whether it holds a packet; None where that is unknown."""
        answers = {member(sides) for member in self.members}
        if True in answers:
            return True
        return None if None in answers else False
