"""The objects that bundles among the inputs hold, beside those of plain files."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from typing import TYPE_CHECKING

import attrs

from nptables.errors import InvalidInput, Problem
from nptables.sources.assembly import Options
from nptables.sources.text import Document
from nptables.sources.text.document import Progress
from nptables.sources.text.files import STDIN

if TYPE_CHECKING:
    from nptables.sources.bundles import Objects

_HEAD = 512
# What `kubectl cluster-info dump` prints begins with it.
_DUMPED = b'"NodeList"'


@attrs.frozen(eq=False, repr=False)
class Bundled:
    """What bundles hold of a cluster, and what is wrong with it."""

    found: tuple[Objects, ...] = ()
    problems: tuple[Problem, ...] = ()
    plain: bool = False

    @property
    def documents(self) -> list[Document]:
        """All documents."""
        return [document for one in self.found for document in one.documents]

    @property
    def files(self) -> list[str]:
        """The names of their files, in the order in which they were read."""
        return list(dict.fromkeys(document.file for document in self.documents))

    @property
    def size(self) -> int:
        """How many characters their texts have."""
        return sum(one.size for one in self.found)

    @property
    def taken(self) -> str:
        """When the latest of them was read, in RFC 3339, or an empty string."""
        return max((one.taken for one in self.found), default="")

    @property
    def namespaces(self) -> frozenset[str] | None:
        """The namespaces whose Services are there, None where there may be any."""
        if self.plain or not self.found:
            return None
        return frozenset().union(*(one.namespaces for one in self.found))

    def options(self, options: Options) -> Options:
        """How the objects are read: as a server stores them, where one has had them."""
        return attrs.evolve(options, lenient=True) if self.found else options


def bundled(
    paths: Iterable[str | os.PathLike[str]], progress: Progress | None = None
) -> tuple[Bundled, list[str]]:
    """The objects of the bundles among paths, and the paths that are none."""
    found: list[Objects] = []
    problems: list[Problem] = []
    others: list[str] = []
    for path in [os.fspath(path) for path in paths]:
        if _is_plain(path):
            others.append(path)
            continue
        # What knows bundles takes longer to import than most manifests to read.
        from nptables.sources.bundles import contents_of, objects_of  # noqa: PLC0415

        try:
            contents = contents_of(path, progress)
        except InvalidInput as error:
            problems += error.problems
            continue
        if contents is None:
            others.append(path)
            continue
        objects = objects_of(contents, progress)
        problems += objects.problems
        found.append(objects)
    return Bundled(tuple(found), tuple(problems), bool(others)), others


def _is_plain(path: str) -> bool:
    """Whether a path is that of a file that begins as text does, as no archive does."""
    try:
        if path == STDIN or not stat.S_ISREG(os.stat(path).st_mode):
            return False
        with open(path, "rb") as handle:
            head = handle.read(_HEAD)
        # A character may be cut at the end.
        head[:-3].decode()
    except (OSError, ValueError):
        return False
    return b"\0" not in head and _DUMPED not in head
