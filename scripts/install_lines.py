"""How nptables is installed, in every line of README and docs that says so.

    python scripts/install_lines.py

writes the lines anew. With the first release SOURCE becomes "nptables", and nothing else changes.
"""

from __future__ import annotations

import re
from pathlib import Path

# Until nptables is published: the checkout that the lines are typed in.
SOURCE = "."
ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
_LINE = re.compile(
    r"(?P<command>pip install|pipx install|uv tool install) "
    r"(?P<quote>'?)(?:nptables|\.)(?P<extras>\[[a-z,]+\])?(?P=quote)(?=[\s`]|$)"
)


def with_source(text: str, source: str = SOURCE) -> str:
    """The text of a page with that source in every line that installs nptables."""

    def line(found: re.Match[str]) -> str:
        what = f"'{source}{found['extras']}'" if found["extras"] else source
        return f"{found['command']} {what}"

    return _LINE.sub(line, text)


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(with_source(page.read_text()))
