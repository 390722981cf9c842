"""What docs/checks.md says of each check; the page itself is in the package."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType

_PARAGRAPH = re.compile(
    r"^### (?P<code>NPT\d+): [^\n]*\n+(?P<text>.*?)(?=^#|\Z)", re.MULTILINE | re.DOTALL
)


@cache
def paragraphs() -> Mapping[str, str]:
    """The paragraph of each check by its code, as Markdown, without its heading.

    It begins with the severity in italics and ends with what happens and what to do.
    """
    found = {one["code"]: one["text"].strip() for one in _PARAGRAPH.finditer(_page())}
    return MappingProxyType(found)


def _page() -> str:
    inside = files("nptables.sources").joinpath("checks.md")
    if not inside.is_file():
        # It is put there when a wheel is built; in a tree of sources it stands where people look.
        return (Path(__file__).parents[2] / "docs" / "checks.md").read_text(encoding="utf-8")
    return inside.read_text(encoding="utf-8")
