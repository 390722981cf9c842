"""Trees of files in one text: a head of words and fields, then each file under its name."""

from __future__ import annotations

import re
from pathlib import Path

import attrs

_FILE = re.compile(r"^-- (.+) --\n", re.MULTILINE)


@attrs.frozen
class Archive:
    """A tree, why it is there, and what is right for it."""

    why: str
    fields: dict[str, str]
    files: dict[str, str]

    def listed(self, field: str) -> list[str]:
        """The entries of a field, sorted; they are separated by commas."""
        return sorted(part.strip() for part in self.fields.get(field, "").split(",") if part)

    def number(self, field: str) -> int:
        """The number in a field, or 0."""
        return int(self.fields.get(field, "0"))

    def write(self, folder: Path) -> None:
        """Make the tree in a folder."""
        for name, text in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


def read_archive(path: Path) -> Archive:
    """Read one tree."""
    head, *rest = _FILE.split(path.read_text())
    why, *fields = head.splitlines()
    pairs = (field.partition(": ") for field in fields)
    return Archive(
        why,
        {key: value for key, _, value in pairs},
        dict(zip(rest[::2], rest[1::2], strict=True)),
    )
