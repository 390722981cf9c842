"""Whether a text may hide values, by how the tokens begin that stand for them: see `redaction`."""

from __future__ import annotations

import re

# One look at a large text takes a third of the time of three.
_X = re.compile("x(?:x|-ipv|-mac)")


def may_hide_values(text: str) -> bool:
    """Whether a text may have tokens in the place of values; False is certain."""
    return ("*" in text and "***" in text) or _X.search(text) is not None
