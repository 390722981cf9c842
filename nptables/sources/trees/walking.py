"""A folder to the files in it that may be manifests, and what was left out, with the reason.

Links to folders are not followed: what they lead to is read where it stands, and a loop of them has
no end. Errors of the file system cost the entry that they are about and nothing else.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs

from nptables.errors import printable
from nptables.immutable import frozen
from nptables.sources.text.files import SUFFIXES
from nptables.sources.trees.gitignore import Patterns, glob_expression, is_ignored, parse_patterns

_IGNORE_FILE = ".gitignore"


@frozen
class PassedOver:
    """A file of a folder that was not judged; `grave` is what the reader must be told of."""

    path: str
    reason: str
    grave: bool = False

    def __str__(self) -> str:
        return f"{printable(self.path)}: {self.reason}"


@attrs.define
class Tree:
    """What a folder holds: files with the name of a manifest, in the order of their paths.

    `folders` are all that were looked into, the given one first, each with its files of any name.
    """

    root: str
    files: list[str] = attrs.field(factory=list)
    folders: dict[str, frozenset[str]] = attrs.field(factory=dict)
    passed_over: list[PassedOver] = attrs.field(factory=list)


def walk(root: str, exclude: Sequence[str] = ()) -> Tree:
    """Everything that is to be read of a folder.

    Hidden files and folders, what `.gitignore` names (from the top of the repository downwards)
    and what an `exclude` glob matches are left out. A glob is compared with the path from `root`
    and with the whole of it, and one without a slash with the name alone.
    """
    tree = Tree(root)
    walker = _Walker(tree, _excluded(exclude))
    top, inside = _top_of_repository(root)
    walker.visit(_Pending(root, inside, tuple(_ignore_files_above(top, inside))))
    return tree


def _excluded(globs: Sequence[str]) -> re.Pattern[str] | None:
    texts = []
    for glob in globs:
        clean = glob.removeprefix("./").rstrip("/")
        text = glob_expression(clean.lstrip("/"))
        texts.append(text if "/" in clean else f"(?:.*/)?{text}")
    return re.compile("|".join(f"(?:{text})" for text in texts), re.DOTALL) if texts else None


def _top_of_repository(root: str) -> tuple[Path | None, str]:
    """The folder with `.git` at or above a folder, and the way from there to it."""
    try:
        resolved = Path(root).resolve()
    except (OSError, RuntimeError):
        return None, ""
    for folder in (resolved, *resolved.parents):
        if (folder / ".git").exists():
            way = resolved.relative_to(folder).as_posix()
            return folder, "" if way == "." else way
    return None, ""


def _ignore_files_above(top: Path | None, inside: str) -> Iterator[Patterns]:
    """The patterns that hold in a folder because of the folders above it."""
    if top is None:
        return
    # First, because every .gitignore overrides it (gitignore(5)).
    own = _patterns(top / ".git" / "info" / "exclude", "")
    if own is not None:
        yield own
    parts = inside.split("/") if inside else []
    for count in range(len(parts)):
        base = "/".join(parts[:count])
        found = _patterns(top / base / _IGNORE_FILE, base)
        if found is not None:
            yield found


def _patterns(file: Path, base: str) -> Patterns | None:
    try:
        text = file.read_text("utf-8", "surrogateescape")
    except (OSError, ValueError):
        return None
    return parse_patterns(base, text.split("\n"))


@frozen
class _Pending:
    """A folder to look into, with its path from the top of the repository and from the root."""

    folder: str
    from_top: str
    chain: tuple[Patterns, ...]
    from_root: str = ""
    hidden: bool = False


@attrs.define
class _Walker:
    tree: Tree
    excluded: re.Pattern[str] | None

    def visit(self, start: _Pending) -> None:
        """Look into a folder and those below it, without recursion: a tree may be deep."""
        pending = [start]
        while pending:
            at = pending.pop()
            folder, from_top, chain, from_root = at.folder, at.from_top, at.chain, at.from_root
            hidden = at.hidden
            try:
                with os.scandir(folder) as entries:
                    found = sorted(entries, key=lambda entry: entry.name)
            except OSError as error:
                self._pass_over(folder, f"cannot be read: {_reason(error)}", grave=True)
                continue
            names = frozenset(entry.name for entry in found)
            if not hidden:
                self.tree.folders[folder] = names
            if _IGNORE_FILE in names:
                patterns = _patterns(Path(folder) / _IGNORE_FILE, from_top)
                chain = chain if patterns is None else (*chain, patterns)
            below: list[_Pending] = []
            here = _Pending(folder, from_top, chain, from_root, hidden=hidden)
            for entry in found:
                is_folder = entry.is_dir(follow_symlinks=False)
                if is_folder or _may_be_manifest(entry.name) or entry.is_symlink():
                    self._consider(entry, here, below, is_folder=is_folder)
            pending.extend(reversed(below))

    def _consider(
        self, entry: os.DirEntry[str], above: _Pending, below: list[_Pending], *, is_folder: bool
    ) -> None:
        path = f"{above.from_root}/{entry.name}" if above.from_root else entry.name
        from_top = f"{above.from_top}/{entry.name}" if above.from_top else entry.name
        hidden = above.hidden or entry.name.startswith(".")
        if entry.name == ".git" and is_folder:
            return
        if self.excluded is not None and (
            self.excluded.fullmatch(path) or self.excluded.fullmatch(_path(entry))
        ):
            self._pass_over(_path(entry), "--exclude names it")
        elif above.chain and is_ignored(from_top, above.chain, is_folder=is_folder):
            self._pass_over(_path(entry), ".gitignore names it")
        elif is_folder:
            below.append(_Pending(_path(entry), from_top, above.chain, path, hidden=hidden))
        elif hidden:
            if _may_be_manifest(entry.name):
                self._pass_over(_path(entry), "hidden")
        else:
            self._file(entry)

    def _file(self, entry: os.DirEntry[str]) -> None:
        if entry.is_file(follow_symlinks=False):
            self.tree.files.append(_path(entry))
            return
        is_link = entry.is_symlink()
        try:
            about = entry.stat()
        except OSError as error:
            what = "a broken link" if is_link else f"cannot be read: {_reason(error)}"
            if error.errno == errno.ELOOP:
                what = "a link that loops back to itself"
            self._pass_over(_path(entry), what, grave=_may_be_manifest(entry.name))
            return
        if stat.S_ISDIR(about.st_mode):
            self._pass_over(_path(entry), "a link to a folder, which is not followed")
        elif not _may_be_manifest(entry.name):
            return
        elif not stat.S_ISREG(about.st_mode):
            self._pass_over(_path(entry), "no regular file", grave=True)
        else:
            self.tree.files.append(_path(entry))

    def _pass_over(self, path: str, reason: str, *, grave: bool = False) -> None:
        self.tree.passed_over.append(PassedOver(path, reason, grave))


def _path(entry: os.DirEntry[str]) -> str:
    """The path as the reader would write it: without the dot that stands for here."""
    return entry.path.removeprefix("./")


def _may_be_manifest(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
