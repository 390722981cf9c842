"""Typos: one letter too many, too few, another one, or two in the wrong order."""

from __future__ import annotations


def is_typo(one: str, other: str) -> bool:
    """Whether two texts differ by exactly one edit.

    An edit inserts, removes or replaces one character, or swaps two neighbours.
    """
    if one == other or abs(len(one) - len(other)) > 1:
        return False
    start = 0
    shorter = min(len(one), len(other))
    while start < shorter and one[start] == other[start]:
        start += 1
    if len(one) == len(other):
        return one[start + 1 :] == other[start + 1 :] or (
            one[start : start + 2] == other[start : start + 2][::-1]
            and one[start + 2 :] == other[start + 2 :]
        )
    longer, rest = (one, other) if len(one) > len(other) else (other, one)
    return longer[start + 1 :] == rest[start:]


def may_be_two_names(one: str, other: str) -> bool:
    """Whether two texts that differ by a typo may well be the names of two things.

    Numbers tell copies apart (`redis-1`, `redis-2`), and short names are close to one another.
    """
    if min(len(one), len(other)) <= 3:
        return True
    without = [text.translate(_DIGITS) for text in (one, other)]
    return without[0].rstrip("-.") == without[1].rstrip("-.")


_DIGITS = str.maketrans("", "", "0123456789")
