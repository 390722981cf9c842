"""Names and numbers in sentences."""

from __future__ import annotations

from collections.abc import Iterable


def listed(items: Iterable[str], most: int = 8) -> str:
    """The first of some names, and how many more there are: `a, b and 3 more`."""
    found = list(items)
    said = ", ".join(found[:most])
    return f"{said} and {len(found) - most} more" if len(found) > most else said


def counted(count: int, one: str, many: str = "") -> str:
    """A number with its noun: `1 endpoint`, `2 endpoints`; `many` where no s makes the plural."""
    return f"{count} {one if count == 1 else many or one + 's'}"
