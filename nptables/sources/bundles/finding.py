"""Which bundles an archive or a folder holds, and those of their members that are needed."""

from __future__ import annotations

import functools
import os
import re
import stat
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

import attrs

from nptables.errors import InvalidInput, Problem, printable
from nptables.immutable import frozen
from nptables.sources.archives import (
    Budget,
    Damaged,
    Limits,
    Member,
    Refused,
    archive_members,
)
from nptables.sources.archives.budget import MIB, Progress
from nptables.sources.bundles.layouts import LAYOUTS, Holds, Layout, Part, patterns
from nptables.sources.text.files import STDIN, STDIN_NAME
from nptables.sources.text.nesting import IN_WEBASSEMBLY

# Of what may be long only so much is read: the rest says nothing that is needed.
_HEADS = {Holds.LOG: 1 << 20, Holds.CONNECTIONS: 1 << 25}
# A time before this is none: archives that are made by hand have zero.
_EARLIEST = 1_000_000_000
# A folder of manifests may be large; what is no bundle by then is none.
_MOST_NAMES = 200_000
# Objects of a cluster say so; manifests in a repository that is arranged alike do not.
_STORED = re.compile(rb"\b(?:resourceVersion|creationTimestamp|uid)\b|kind[\"']?: *[\"']?\w*List\b")
_HEAD = 1 << 16
# Every sos report has them; they lead to other members, or to nothing that is needed.
_USUAL = frozenset({"links", "pipes"})
# A browser tab has less memory than a machine, and its YAML is read much slower.
LIMITS = (
    Limits(member=16 * MIB, kept=32 * MIB, unpacked=1024 * MIB, free=64 * MIB)
    if IN_WEBASSEMBLY
    else Limits()
)


@frozen
class Piece:
    """A member of a bundle: where it stands in it, what it holds, and its bytes.

    `told` are the groups of its pattern. `modified` is when it was written, in seconds since the
    epoch, or None.
    """

    name: str
    part: Part
    told: Mapping[str, str]
    data: bytes = attrs.field(repr=False)
    modified: float | None = None


@frozen
class Bundle:
    """What one collector gathered; `name` is what a message calls it."""

    name: str
    layout: Layout
    pieces: tuple[Piece, ...]

    def of(self, *kinds: Holds) -> list[Piece]:
        """The members that hold something of these kinds, the better ones first."""
        order = {part: number for number, part in enumerate(self.layout.parts)}
        found = [piece for piece in self.pieces if piece.part.holds in kinds]
        return sorted(found, key=lambda piece: (order[piece.part], piece.name))

    def nodes(self) -> list[Bundle]:
        """The bundle once for each node that it has something of."""
        names = dict.fromkeys(piece.told.get("node") or "" for piece in self.pieces)
        shared = [p for p in self.pieces if p.part.holds in (Holds.OBJECTS, Holds.OBJECTS_DATE)]
        found = []
        for node in names:
            own = [p for p in self.pieces if (p.told.get("node") or "") == node and p not in shared]
            if own:
                found.append(Bundle(self.name, self.layout, tuple(own)))
        return found


@frozen
class Contents:
    """The bundles at a path.

    `notes` say what of it was not looked at. `damage` says where an archive breaks off, if it does.
    """

    path: str
    bundles: tuple[Bundle, ...]
    notes: tuple[str, ...] = ()
    damage: str = ""


def is_bundle_folder(path: str) -> bool:
    """Whether a folder is arranged as a bundle, as far as the names of its files tell."""
    try:
        about = Path(path).stat()
    except (OSError, ValueError):
        return False
    return stat.S_ISDIR(about.st_mode) and _is_bundle(path, about.st_ino, about.st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _is_bundle(path: str, _inode: int, _modified: int) -> bool:
    """As `is_bundle_folder`, of which every command asks several times."""
    every = islice(_names_in(path), _MOST_NAMES)
    names = [name for name in every if _wanted(name)]
    return any(
        layout.name != "must-gather" or _holds_stored(path, root, names)
        for root, layout in _roots(names)
    )


def _names_in(root: str) -> Iterator[str]:
    for folder, inner, files in os.walk(root):
        inner[:] = [name for name in inner if not name.startswith(".")]
        below = os.path.relpath(folder, root)
        above = "" if below == "." else f"{below.replace(os.sep, '/')}/"
        yield from (above + name for name in files)


def _holds_stored(path: str, root: str, names: list[str]) -> bool:
    for name in names:
        if name.startswith(root):
            try:
                with Path(path, name).open("rb") as handle:
                    if _STORED.search(handle.read(_HEAD)):
                        return True
            except OSError:
                continue
    return False


def read_contents(path: str, progress: Progress | None = None) -> Contents:
    """What an archive, or the folder of a bundle, holds; `-` is standard input.

    Raises InvalidInput for an archive that is in no layout, that goes beyond a limit or that cannot
    be read.
    """
    name = STDIN_NAME if path == STDIN else path
    budget = Budget(name, limits=LIMITS, progress=progress)
    kept: dict[str, tuple[Member, bytes]] = {}
    damage = ""
    try:
        for member in archive_members(path, _wanted, budget):
            kept[member.name] = member, member.read(_most(member.name))
    except Damaged as error:
        damage = str(error)
    except Refused as error:
        raise _wrong(name, str(error), "unpack what is needed, or collect less") from None
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise _wrong(name, f"cannot be read: {why}") from None
    bundles = tuple(_bundles(name, kept))
    if not bundles:
        if damage:
            raise _wrong(name, f"is an archive that cannot be read: {damage}", "copy it again")
        listed = ", ".join(layout.name for layout in LAYOUTS)
        raise _wrong(
            name,
            "is an archive of an unknown kind",
            f"known are: {listed}; unpack it, and name the files in it",
        )
    return Contents(path, bundles, tuple(_notes(budget)), damage)


def _notes(budget: Budget) -> Iterator[str]:
    for reason, count in sorted(budget.skipped.items()):
        if reason in _USUAL:
            continue
        yield f"{count:,} {reason} in it were not looked at"
    for name in budget.damaged:
        yield f"{printable(name)} in it is cut off or damaged, and what is behind that is missing"


@functools.cache
def _matcher() -> re.Pattern[str]:
    return patterns()


def _wanted(name: str) -> bool:
    """Whether some layout may need a member, whatever folders and archives it stands in."""
    return _matcher().fullmatch(name) is not None


def _most(name: str) -> int | None:
    """How much of a member is needed; None for all."""
    for layout in LAYOUTS:
        for part in layout.parts:
            if part.holds in _HEADS and any(part.pattern.fullmatch(rest) for rest in _rests(name)):
                return _HEADS[part.holds]
    return None


def _rests(name: str) -> Iterator[str]:
    """The ends of a path, from its beginning and from behind each slash."""
    at = 0
    while True:
        yield name[at:]
        slash = name.find("/", at)
        if slash < 0:
            return
        at = slash + 1


def _roots(names: list[str]) -> Iterator[tuple[str, Layout]]:
    """The folders that are arranged by a layout, the inner ones first."""
    found: dict[tuple[str, str], set[int]] = {}
    for name in names:
        for rest in _rests(name):
            for layout in LAYOUTS:
                for number, pattern in enumerate(layout.known_by):
                    if pattern.fullmatch(rest):
                        root = name[: len(name) - len(rest)]
                        found.setdefault((root, layout.name), set()).add(number)
    layouts = {layout.name: layout for layout in LAYOUTS}
    for (root, name), numbers in sorted(found.items(), key=lambda one: -len(one[0][0])):
        if len(numbers) == len(layouts[name].known_by):
            yield root, layouts[name]


def _bundles(path: str, kept: Mapping[str, tuple[Member, bytes]]) -> Iterator[Bundle]:
    pieces: dict[tuple[str, str], list[Piece]] = {}
    roots = list(_roots(list(kept)))
    for name, (member, data) in kept.items():
        for root, layout in roots:
            fit = _fit(name, root, layout)
            if fit is not None:
                modified = member.modified if (member.modified or 0) > _EARLIEST else None
                shown = f"{path}/{name}" if name else path
                piece = Piece(shown, fit[0], fit[1], data, modified)
                pieces.setdefault((root, layout.name), []).append(piece)
                break
    for root, layout in roots:
        found = pieces.get((root, layout.name))
        if found:
            shown = f"{path}/{root}".rstrip("/") if len(roots) > 1 else path
            yield Bundle(shown, layout, tuple(found))


def _fit(name: str, root: str, layout: Layout) -> tuple[Part, Mapping[str, str]] | None:
    """What a member of a bundle holds; a date may stand in a folder above it."""
    for part in layout.parts:
        if part.holds is Holds.OBJECTS_DATE:
            above, _, last = name.rpartition("/")
            if part.pattern.fullmatch(last) and root.startswith(f"{above}/" if above else ""):
                return part, {}
        elif name.startswith(root) and (found := part.pattern.fullmatch(name[len(root) :])):
            return part, {key: value or "" for key, value in found.groupdict().items()}
    return None


def _wrong(name: str, message: str, hint: str = "") -> InvalidInput:
    return InvalidInput([Problem(message, hint=hint, file=name)])
