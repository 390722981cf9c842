"""Durations as Go writes them."""

from __future__ import annotations

import re

from nptables.errors import Path
from nptables.model.reading import Object, Reader, quoted

_DURATION = r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)"
_UNITS = {
    "ns": 1e-9,
    "us": 1e-6,
    # U+00B5 and U+03BC look alike, and time.ParseDuration takes both.
    "µs": 1e-6,
    "μs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
}


def parse_duration(text: str) -> float | None:
    """The seconds in a Go duration such as `1m30s`, or None; negative ones are None too."""
    if text == "0":
        return 0.0
    if not text or len(text) > 64 or re.sub(_DURATION, "", text):
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in re.findall(_DURATION, text))


def seconds_at(parent: Object, key: str, path: Path, reader: Reader) -> float | None:
    """The duration at `key` in seconds; None where the field is absent."""
    text = reader.text(parent, key, path)
    found = parse_duration(text)
    if text and found is None:
        reader.problem((*path, key), f"{quoted(text)} is not a duration", "such as 30s or 1m30s")
    return found
