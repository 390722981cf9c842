"""What the parsers of YAML and JSON both give."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from nptables.errors import Path, printable

# What may be done with an object as soon as it is parsed.
Early = Callable[[dict[str, Any]], None]
# Line and column, from 1, of a field path or of the nearest thing around it that is there.
Locate = Callable[[Path], tuple[int, int] | None]


@attrs.frozen(eq=False, repr=False)
class Parsed:
    """The value of one document, and where its fields stand."""

    value: Any
    locate: Locate


def nowhere(path: Path) -> tuple[int, int] | None:
    """Locate a field of what was read from no text that anybody wrote."""
    del path
    return None


# Deeper than any object of Kubernetes, shallower than what makes a recursive reader fall over.
DEEPEST = 200
TOO_DEEP = f"is nested more than {DEEPEST} levels deep"


def identity(value: Any) -> tuple[str, str, str]:
    """Kind, namespace and name of an object, as far as they are text."""
    if not isinstance(value, dict):
        return "", "", ""
    metadata = value.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}

    def text(found: Any) -> str:
        return printable(found, 80) if isinstance(found, str) else ""

    name = text(metadata.get("name"))
    namespace = text(metadata.get("namespace")) or ("default" if name else "")
    kind = text(value.get("kind"))
    return kind, "" if kind == "Node" else namespace, name
