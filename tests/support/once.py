"""What several workers of one run need, and one of them makes."""

from __future__ import annotations

import os
from contextlib import contextmanager
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest


def folder_of_all(factory: pytest.TempPathFactory) -> Path:
    """The folder of the run; each worker has one of its own below it."""
    folder = factory.getbasetemp()
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


@contextmanager
def once(folder: Path, name: str) -> Iterator[bool]:
    """Whether this process is the first that comes here, while all others wait."""
    with (folder / f"{name}.lock").open("w") as lock:
        flock(lock, LOCK_EX)
        done = folder / f"{name}.done"
        yield not done.exists()
        done.touch()
