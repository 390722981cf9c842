"""Lists of names in sentences."""

from __future__ import annotations

from collections.abc import Iterable


def listed(items: Iterable[str], most: int = 8) -> str:
    """The first of some names, and how many more there are: `a, b and 3 more`."""
    found = list(items)
    said = ", ".join(found[:most])
    return f"{said} and {len(found) - most} more" if len(found) > most else said
