"""The objects of a cluster in bundles, as documents of which each knows where it stood."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

from nptables.errors import Path, Problem
from nptables.evidence.printed import date_shown
from nptables.immutable import frozen
from nptables.model.times import rfc3339_seconds
from nptables.sources.bundles.finding import Contents, Piece
from nptables.sources.bundles.layouts import KINDS, Holds
from nptables.sources.text import Document, parse_text
from nptables.sources.text.document import Progress
from nptables.sources.text.files import decode

_KUBE_PROXY = "kube-proxy"


@frozen
class Objects:
    """What bundles hold of a cluster.

    `taken` is when they were read, in RFC 3339, or empty. `namespaces` are those whose Services are
    there: of others nothing is known. `size` is how many bytes of text there are.
    """

    documents: tuple[Document, ...]
    problems: tuple[Problem, ...] = ()
    taken: str = ""
    namespaces: frozenset[str] = frozenset()
    size: int = 0


def objects_of(contents: Contents, progress: Progress | None = None) -> Objects:
    """The objects in all bundles of an archive or a folder."""
    pieces = [piece for bundle in contents.bundles for piece in bundle.of(Holds.OBJECTS)]
    documents: list[Document] = []
    problems: list[Problem] = []
    if contents.damage:
        problems.append(
            Problem(
                f"is an archive that is cut off, and what is missing is unknown: {contents.damage}",
                hint="copy it again; the rules in it can be used with --snapshot",
                file=contents.path,
            )
        )
    for piece in pieces:
        source = decode(piece.name, piece.data)
        if isinstance(source, Problem):
            problems.append(source)
            continue
        found, wrong = parse_text(source, progress)
        documents += [kept for one in found if (kept := _complete(one, piece)) is not None]
        problems += wrong
    if not pieces:
        layouts = ", ".join(dict.fromkeys(bundle.layout.name for bundle in contents.bundles))
        problems.append(
            Problem(
                f"contains the state of a node ({layouts}), not the objects of a cluster",
                hint="pass it with --snapshot; a FILE is a bundle of the cluster, such as a "
                "must-gather",
                file=contents.path,
            )
        )
    size = sum(len(piece.data) for piece in pieces)
    taken = _taken(contents)
    return Objects(tuple(documents), tuple(problems), taken, _namespaces(pieces), size)


def _complete(document: Document, piece: Piece) -> Document | None:
    """A document as a list with its kind, which some collectors leave to the name of the file."""
    value = document.value
    version, kind = KINDS[piece.told["kinds"]]
    if isinstance(value, list):
        items, inner = value, document.locate

        def locate(path: Path) -> tuple[int, int] | None:
            return inner(path[1:] if path[:1] == ("items",) else path)

        value = {"apiVersion": version, "kind": f"{kind}List", "items": items}
        document = attrs.evolve(document, value=value, locate=locate)
    elif isinstance(value, dict) and not value.get("kind"):
        listed = isinstance(value.get("items"), list)
        value = {"apiVersion": version, "kind": f"{kind}List" if listed else kind, **value}
        value |= {"apiVersion": version, "kind": f"{kind}List" if listed else kind}
        document = attrs.evolve(document, value=value)
    if kind == "ConfigMap":
        # Others are nobody's business here.
        kept = [item for item in _items(value) if _KUBE_PROXY in _name(item)]
        value = {"apiVersion": version, "kind": "ConfigMapList", "items": kept}
        return attrs.evolve(document, value=value) if kept else None
    return document


def _items(value: Any) -> list[Any]:
    items = value.get("items") if isinstance(value, dict) else None
    return items if isinstance(items, list) else [value]


def _name(item: Any) -> str:
    metadata = item.get("metadata") if isinstance(item, dict) else None
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return name if isinstance(name, str) else ""


def _namespaces(pieces: list[Piece]) -> frozenset[str]:
    """The namespaces of which there is a list of Services, or a Service."""
    services = [piece for piece in pieces if piece.told["kinds"] == "services"]
    return frozenset(piece.told["ns"] for piece in services if piece.told.get("ns"))


def _taken(contents: Contents) -> str:
    """When the objects were read: what the collector says, else when their files were written."""
    for bundle in contents.bundles:
        for piece in bundle.of(Holds.OBJECTS_DATE):
            if found := date_shown(piece.data.decode("utf-8", "replace")):
                return found
    written = list(_written(contents))
    return at(max(written)) if written else ""


def _written(contents: Contents) -> Iterator[float]:
    for bundle in contents.bundles:
        for piece in bundle.of(Holds.OBJECTS):
            if piece.modified is not None:
                yield piece.modified


def at(seconds: float) -> str:
    """A time in RFC 3339, from seconds since the epoch; empty for none."""
    try:
        return rfc3339_seconds(seconds)
    except (OverflowError, OSError, ValueError):
        return ""
