"""Where snapshots are: a folder on this machine, or a URL that fsspec knows (s3://, gs://, ...)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from nptables.errors import InvalidInput, MissingPackage, Problem, printable
from nptables.immutable import frozen
from nptables.sources.bundles import is_bundle_folder

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
# Messages are passed on, and a URL may hold credentials.
_PASSWORD = re.compile(r"(?<=://)[^/@]*@")


@frozen
class Remote:
    """A file or a folder by its URL; what a Path can do of what is needed here.

    It holds nothing but the URL, so that it can be sent to other processes. Whatever goes wrong is
    InvalidInput, and MissingPackage where there is no fsspec.
    """

    url: str = attrs.field(repr=False)

    def __str__(self) -> str:
        return _PASSWORD.sub("", self.url)

    def __truediv__(self, name: str) -> Remote:
        return Remote(f"{self.url.rstrip('/')}/{name}")

    @property
    def name(self) -> str:
        """The last part."""
        return self.url.rstrip("/").rpartition("/")[2]

    def is_file(self) -> bool:
        """Whether it is there as a file."""
        with self._system() as (system, path):
            return bool(system.isfile(path))

    def is_dir(self) -> bool:
        """Whether there is anything below it."""
        with self._system() as (system, path):
            return bool(system.isdir(path))

    def read_bytes(self) -> bytes:
        """What is in it."""
        with self._system() as (system, path):
            found: bytes = system.cat_file(path)
            return found

    def files(self) -> list[Remote]:
        """The files in it, by one question: there may be thousands."""
        with self._system() as (system, path):
            listed = system.ls(path, detail=True)
        names = (str(e["name"]) for e in listed if e.get("type") == "file")
        return [self / name.rstrip("/").rpartition("/")[2] for name in names]

    @contextmanager
    def _system(self) -> Iterator[tuple[Any, str]]:
        """The file system, and the path in it. It is made anew: a fork must not share one."""
        try:
            from fsspec.core import url_to_fs  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise MissingPackage("fsspec", extra="fleet", purpose="read from a URL") from error
        try:
            yield url_to_fs(self.url)
        except FileNotFoundError:
            raise InvalidInput([Problem("there is no such file", file=str(self))]) from None
        except Exception as error:
            # Each driver has errors of its own; that a package is missing, fsspec says well.
            why = _PASSWORD.sub("", printable(str(error))) or type(error).__name__
            raise InvalidInput([Problem(f"cannot be read: {why}", file=str(self))]) from error


Place = Path | Remote


def place_of(text: str) -> Place:
    """The place that somebody has written: a URL, or a path."""
    return Remote(text) if _URL.match(text) else Path(text)


def place_at(text: str) -> Place:
    """The place that somebody has written. Raises InvalidInput where nothing is there."""
    place = place_of(text)
    if not place.is_dir() and not place.is_file():
        raise InvalidInput([Problem("there is no such folder", file=str(place))])
    return place


def files_in(folder: Place) -> list[Place]:
    """The files in a folder, and its bundles that are folders, by name. Raises InvalidInput."""
    try:
        found: list[Place] = [
            *(folder.files() if isinstance(folder, Remote) else _local_files(folder))
        ]
    except OSError as error:
        why = f"cannot be read: {error.strerror or error}"
        raise InvalidInput([Problem(why, file=str(folder))]) from None
    return sorted(found, key=lambda file: file.name)


def _local_files(folder: Path) -> list[Path]:
    return [
        file
        for file in folder.iterdir()
        if file.is_file() or (not file.name.startswith(".") and is_bundle_folder(str(file)))
    ]
