"""Names of a package that are imported when they are first used (PEP 562).

Whoever wants one of them does not wait for all.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping


def imported_on_use(package: str, modules: Mapping[str, str]) -> Callable[[str], object]:
    """The `__getattr__` of a package; `modules` says where each name is to be found."""

    def get(name: str) -> object:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        from importlib import import_module  # noqa: PLC0415 - needed for these names only

        found: object = getattr(import_module(modules[name]), name)
        setattr(sys.modules[package], name, found)
        return found

    return get
