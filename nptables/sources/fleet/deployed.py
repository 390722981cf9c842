"""Files of deploy/ that `collect` takes into a cluster."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path


@cache
def deployed(name: str) -> str:
    """The text of a file in deploy/."""
    inside = files("nptables.sources.fleet").joinpath(name)
    if not inside.is_file():
        # It is put there when a wheel is built; in a tree of sources it stands where people look.
        return (Path(__file__).parents[3] / "deploy" / name).read_text(encoding="utf-8")
    return inside.read_text(encoding="utf-8")
