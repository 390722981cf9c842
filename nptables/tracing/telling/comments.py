"""The comment of a rule line."""

from __future__ import annotations

import re

_COMMENT = re.compile(r' --comment (?:"((?:[^"\\]|\\.)*)"|(\S+))')
_ESCAPE = re.compile(r"\\(.)")


def comment_of(line: str) -> str:
    """The first comment of a line, without quotes and escapes, or an empty string."""
    match = _COMMENT.search(line)
    if match is None:
        return ""
    return _ESCAPE.sub(r"\1", match[1]) if match[1] is not None else match[2]
