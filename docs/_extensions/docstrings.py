"""Docstrings of this project as reStructuredText, for autodoc.

Their sections (`Args:`, `Returns:`, `Raises:`) become fields, and every other line stays as it
is. napoleon is not used: in a sentence such as `Whether it is there: nothing is wrong` it takes the
first half for a type.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

FIELDS = {"Args:": ":param {}: ", "Raises:": ":raises {}: ", "Returns:": ":returns: "}
_ITEM = re.compile(r" {4}(?P<name>[*\w]+): (?P<text>.*)")


def with_fields(lines: list[str]) -> list[str]:
    """The lines with fields in the place of sections."""
    found: list[str] = []
    field = ""
    opened = False
    for line in lines:
        if line in FIELDS:
            field, opened = FIELDS[line], False
            found.append("")
        elif not field or (line and not line.startswith("    ")):
            field = ""
            found.append(line)
        elif (item := _ITEM.fullmatch(line)) and "{}" in field:
            found.append(field.format(item["name"].replace("*", r"\*")) + item["text"])
        elif not opened and "{}" not in field:
            found.append(field + line.strip())
            opened = True
        else:
            found.append(line)
    return found


def _docstring(
    _app: Sphinx, _what: str, _name: str, _object: object, _options: object, lines: list[str]
) -> None:
    lines[:] = with_fields(lines)


def _signature(
    _app: Sphinx,
    _what: str,
    _name: str,
    _object: object,
    _options: object,
    signature: str | None,
    returned: str | None,
) -> tuple[str | None, str | None]:
    """A default that attrs makes anew each time has no text."""
    return (signature and re.sub(r"\s*=\s*NOTHING", " = ...", signature)), returned


def setup(app: Sphinx) -> dict[str, bool]:
    """Convert every docstring."""
    app.connect("autodoc-process-docstring", _docstring)
    app.connect("autodoc-process-signature", _signature)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
