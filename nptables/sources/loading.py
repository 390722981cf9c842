"""Reading manifests from files and standard input."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import attrs

from nptables.errors import InvalidInput, Problem
from nptables.model import Cluster


@attrs.frozen
class Loaded:
    """What was read: `.cluster`, and what is to be said about the reading."""

    cluster: Cluster
    problems: tuple[Problem, ...] = ()
    previews: tuple[Any, ...] = ()
    ignored: tuple[Any, ...] = ()


def load(*paths: str, lenient: bool = False) -> Loaded:
    """The cluster that files describe; `-` is standard input."""
    objects = [document for path in paths for document in _documents(path)]
    try:
        cluster = Cluster.from_objects(objects, lenient=lenient)
    except InvalidInput as error:
        return Loaded(Cluster(), error.problems)
    return Loaded(cluster, cluster.problems)


def read_document(path: str) -> Any:
    """The one document in a YAML or JSON file."""
    documents = _documents(path)
    if len(documents) != 1:
        raise InvalidInput([Problem(f"holds {len(documents)} documents, not one", file=path)])
    return documents[0]


def read_text(path: str) -> str:
    """The text of a file; `-` is standard input."""
    try:
        return sys.stdin.read() if path == "-" else Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput([Problem(f"cannot be read: {error}", file=path)]) from error


def _documents(path: str) -> list[Any]:
    text = read_text(path)
    if text.lstrip()[:1] in ("{", "["):
        return [json.loads(text)]
    import yaml

    return [document for document in yaml.load_all(text, yaml.SafeLoader) if document is not None]
