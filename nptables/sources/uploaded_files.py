"""Files and folders that a program holds instead of a disk, such as those dropped on a page."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from contextlib import chdir
from pathlib import Path, PurePosixPath

from nptables.errors import Problem
from nptables.sources.loading import HEADS
from nptables.sources.sets import Sets, load_sets


def stand_for_a_tree(files: Iterable[tuple[str, str | bytes]]) -> bool:
    """Whether files are more than texts: some stand in folders, head one, or are archives."""
    return any(
        "/" in name or name in HEADS or (isinstance(data, bytes) and _is_archive(data))
        for name, data in files
    )


def sets_of(files: Iterable[tuple[str, str | bytes]]) -> Sets:
    """The clusters that files describe, by their names in folders, as `load_sets` reads those.

    No program is started to render anything. Names that lead out of the folder have no place in it,
    and are problems.
    """
    problems: list[Problem] = []
    tops: dict[str, None] = {}
    # From within, messages name the files as they were given.
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        for name, data in files:
            parts = PurePosixPath(name).parts
            if not parts or parts[0] == "/" or ".." in parts or "\0" in name:
                problems.append(Problem("its name leads out of the folder", file=name))
                continue
            try:
                path = Path(*parts)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data.encode() if isinstance(data, str) else data)
            except OSError as error:
                why = (error.strerror or str(error)).lower()
                problems.append(Problem(f"cannot have this name: {why}", file=name))
                continue
            tops[parts[0]] = None
        if problems:
            return Sets((), problems=tuple(problems))
        return load_sets(*tops, render=False)


def _is_archive(data: bytes) -> bool:
    from nptables.sources.archives.opening import begins_archive  # noqa: PLC0415 - seldom needed

    return begins_archive(data)
