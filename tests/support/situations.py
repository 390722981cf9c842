"""What people have, as states of the playground: every case and every manifest of fixtures."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import yaml

from tests.support.playgrounds import state
from tests.support.scenarios import FIXTURES

_MANIFESTS = (".yaml", ".json")
# What is about the node and not about the cluster, by the beginning of its name.
_CONFIG, _FACTS, _NATIVE = "kp", "facts", "native"


def situations() -> dict[str, dict[str, Any]]:
    """States by names that say where they are from."""
    found: dict[str, dict[str, Any]] = {}
    for folder in sorted((FIXTURES / "cases").iterdir()):
        if folder.is_dir():
            found |= _case(folder)
    for path in sorted((FIXTURES / "manifests").rglob("*")):
        if path.suffix in _MANIFESTS:
            found[_name(path)] = state(files=[held(path)])
    as_found = FIXTURES / "manifests-as-found"
    for path in sorted(as_found.glob("*.yaml")):
        found[_name(path)] = state(files=[held(path)])
    tree = sorted(path for path in (as_found / "tree").rglob("*") if path.suffix in _MANIFESTS)
    found[_name(as_found / "tree")] = state(files=[held(path, as_found / "tree") for path in tree])
    return found


def _case(folder: Path) -> dict[str, dict[str, Any]]:
    """Each evidence beside the cluster, and each other manifest alone."""
    paths = sorted(folder.iterdir())
    about = [path for path in paths if path.stem.startswith((_CONFIG, _FACTS))]
    files = [path for path in paths if path.suffix == ".yaml" and path not in about]
    evidence = [path for path in paths if path.suffix == ".txt" or path.stem == _NATIVE]
    first = [path for path in files if path.stem == "cluster"] or files[:1]
    config = [path for path in about if path.stem.startswith(_CONFIG)]
    parts = {
        "files": [held(path) for path in first],
        # Without a cluster nobody knows what there is to choose from.
        "node": _node(first[0].read_text()) if first else "node-a",
        "to": "" if first else "10.96.20.20:80",
        "config": config[0].read_text() if config else "",
        "facts": "".join(path.read_text() for path in about if path not in config),
    }
    found = {_name(path): state(**parts, evidence=[held(path)]) for path in evidence}
    if not evidence:
        found[_name(folder)] = state(**parts)
    for path in files:
        if path not in first:
            found[_name(path)] = state(files=[held(path)])
    for path in config[1:]:
        found[_name(path)] = state(**{**parts, "config": path.read_text()})
    return found


def _node(text: str) -> str:
    """The first Node of a manifest."""
    objects = (each for each in yaml.safe_load_all(text) if each)
    items = (item for each in objects for item in each.get("items", [each]))
    names = (item["metadata"]["name"] for item in items if item["kind"] == "Node")
    return next(names, "node-a")


def _name(path: Path) -> str:
    return str(path.relative_to(FIXTURES))


def held(path: Path, folder: Path | None = None) -> dict[str, str]:
    """A file as the page holds it."""
    name = str(path.relative_to(folder or path.parent))
    data = path.read_bytes()
    try:
        return {"name": name, "text": data.decode()}
    except UnicodeDecodeError:
        return {"name": name, "base64": base64.b64encode(data).decode()}
