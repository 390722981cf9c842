"""The settings of a repository: `.nptables.yaml`, or `[tool.nptables]` in pyproject.toml."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

import attrs

from nptables.errors import InvalidInput, Problem
from nptables.errors import Path as Field
from nptables.sources.text import Document, parse_text, read_one

NAME = ".nptables.yaml"
_PROJECT = "pyproject.toml"
_WITHOUT = "--no-settings ignores it"
# What a text has that sets `tool.nptables` in whatever way TOML allows, and few others have.
_TOOL = r"""\btool["' \t]*(?:\.["' \t]*nptables|[\]=])"""


@attrs.frozen(eq=False, repr=False)
class SettingsFile:
    """A settings file that was read: its values as they stand there, not yet judged.

    `found` tells a file that somebody's repository brought from one that was named.
    """

    path: str
    values: Mapping[str, Any]
    found: bool
    document: Document | None = None

    @property
    def name(self) -> str:
        """What a message calls it: the path from the working directory."""
        return os.path.relpath(self.path)

    def problem(self, field: Field, message: str, hint: str = "") -> Problem:
        """Something wrong with a field of it, with the line where that is known."""
        problem = Problem(message, hint=hint, path=field, file=self.name)
        return problem if self.document is None else self.document.place(problem)


def find_settings(folder: str) -> SettingsFile | None:
    """The settings that hold for a folder: its own, else those of the nearest folder above it.

    The folder of a repository (that has `.git` in it) is the last one that is looked into. In one
    folder `.nptables.yaml` comes before pyproject.toml. Raises InvalidInput for a file that cannot
    be read.
    """
    while True:
        own, project = os.path.join(folder, NAME), os.path.join(folder, _PROJECT)
        if os.path.isfile(own):
            return read_settings(own, found=True)
        if os.path.isfile(project) and (settings := _of_project(project, found=True)) is not None:
            return settings
        above = os.path.dirname(folder)
        if os.path.exists(os.path.join(folder, ".git")) or above == folder:
            return None
        folder = above


def read_settings(path: str, *, found: bool = False) -> SettingsFile:
    """The settings in a file. Raises InvalidInput."""
    if os.path.splitext(path)[1] == ".toml":
        settings = _of_project(path, found=found)
        if settings is None:
            raise InvalidInput([Problem("has no [tool.nptables]", file=os.path.relpath(path))])
        return settings
    name = os.path.relpath(path)
    documents, problems = parse_text(attrs.evolve(read_one(path), name=name))
    if problems:
        raise InvalidInput([attrs.evolve(p, hint=p.hint or _WITHOUT) for p in problems])
    if not documents:
        return SettingsFile(path, {}, found)
    value = documents[0].value
    if len(documents) > 1 or not isinstance(value, Mapping):
        raise InvalidInput(
            [Problem("is not a single mapping of settings", hint=_WITHOUT, file=name)]
        )
    return SettingsFile(path, value, found, documents[0])


def _of_project(path: str, *, found: bool) -> SettingsFile | None:
    """The table of nptables in a pyproject.toml, or None where it has none."""
    text = read_one(path).text
    if found and not ("nptables" in text and re.search(_TOOL, text)):
        # Most are of projects that have nothing to do with it, or only depend on it, in whatever
        # state; and the parser takes longer to import than a small cluster to read.
        return None
    import tomllib  # noqa: PLC0415 - for those alone that have

    try:
        values: Any = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        problem = Problem(f"is not valid TOML: {error}", hint=_WITHOUT, file=os.path.relpath(path))
        raise InvalidInput([problem]) from None
    table = values.get("tool", {})
    table = table.get("nptables") if isinstance(table, Mapping) else None
    return SettingsFile(path, table, found) if isinstance(table, Mapping) else None
