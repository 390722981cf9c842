"""The folder that `collect` makes: the objects, a snapshot of every node, and a manifest.

    cluster.json.gz      a List of the objects as they were before the first node was read; its
                         `changes` are what a watch told until the last one was
    changes.jsonl        those changes, as long as the collection is not over
    nodes/NAME.json.gz   a snapshot of a node
    manifest.json        when and how, and what could not be read

Whatever is there is whole: files are written beside their place and moved there.
"""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from nptables.errors import InvalidInput, Problem
from nptables.immutable import frozen
from nptables.sources.bundles import is_bundle_folder
from nptables.sources.fleet.locations import Place, files_in

KIND = "NptablesCollection"
VERSION = 1
CLUSTER = "cluster.json.gz"
MANIFEST = "manifest.json"
_CHANGES = "changes.jsonl"
_NODES = "nodes"
_SUFFIX = ".json.gz"

READ, UNREACHABLE, WAITING = "read", "unreachable", "waiting"


@frozen
class NodeRecord:
    """What came of reading a node: `read`, or `unreachable` and why, or `waiting`."""

    state: str
    why: str = ""
    pod: str = ""
    taken: str = ""
    seconds: float = 0.0


@frozen
class Change:
    """What a watch told of an object, and when it did: seconds since the epoch."""

    at: float
    gone: bool
    item: Mapping[str, Any]


@frozen
class Collected:
    """The folder of a collection, to be read."""

    path: Place

    @property
    def holds_cluster(self) -> bool:
        """Whether the objects are there."""
        return (self.path / CLUSTER).is_file()

    def objects(self) -> tuple[list[Mapping[str, Any]], list[Change]]:
        """The objects, and what changed while the nodes were read. Raises InvalidInput."""
        path = self.path / CLUSTER
        document = read_json(path)
        items, told = document.get("items"), document.get("changes", [])
        if not isinstance(items, list) or not isinstance(told, list):
            raise InvalidInput([Problem("is not a list of objects", file=str(path))])
        changes = [_change(entry) for entry in told if isinstance(entry, Mapping)]
        return items, [*changes, *self._journal()]

    def records(self) -> dict[str, NodeRecord]:
        """What came of each node; empty where there is no manifest. Raises InvalidInput."""
        path = self.path / MANIFEST
        if not path.is_file():
            return {}
        nodes = read_json(path).get("nodes")
        found = {}
        for name, raw in nodes.items() if isinstance(nodes, Mapping) else ():
            if isinstance(raw, Mapping):
                texts = [str(raw.get(key, "")) for key in ("state", "why", "pod", "taken")]
                state, why, pod, taken = texts
                found[str(name)] = NodeRecord(state, why, pod, taken)
        return found

    def _journal(self) -> Iterator[Change]:
        path = self.path / _CHANGES
        if not path.is_file():
            return
        for line in path.read_bytes().decode("utf-8", "replace").splitlines():
            try:
                yield _change(json.loads(line))
            except ValueError:
                # Half a line is what a killed collection leaves at the end.
                continue


@frozen
class Folder(Collected):
    """The folder of a collection on this machine, to be written; it need not be there yet."""

    path: Path

    def make(self) -> None:
        """Make it, for the owner alone: what is in it tells much of a cluster."""
        (self.path / _NODES).mkdir(mode=0o700, parents=True, exist_ok=True)

    def write_objects(self, items: Iterable[Mapping[str, Any]]) -> None:
        """Keep the objects as they are before any node is read."""
        self._write_cluster(list(items), [])

    def add_change(self, change: Change) -> None:
        """Keep one change, so that it is there whatever happens next."""
        with (self.path / _CHANGES).open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(_plain(change)) + "\n")

    def settle(self) -> None:
        """Put the changes to the objects: the collection is over."""
        items, changes = self.objects()
        self._write_cluster(items, changes)
        (self.path / _CHANGES).unlink(missing_ok=True)

    def write_node(self, name: str, document: Mapping[str, Any]) -> None:
        """Keep the snapshot of a node."""
        # Without a time in it the same snapshot gives the same bytes.
        _write(self.node_path(name), gzip.compress(json.dumps(document).encode(), 6, mtime=0))

    def node_path(self, name: str) -> Path:
        """Where the snapshot of a node is."""
        return self.path / _NODES / f"{name}{_SUFFIX}"

    def has_node(self, name: str) -> bool:
        """Whether there is a whole snapshot of a node."""
        try:
            return bool(read_json(self.node_path(name)))
        except InvalidInput:
            return False

    def write_manifest(self, document: Mapping[str, Any]) -> None:
        """Keep when and how."""
        whole = {"kind": KIND, "version": VERSION, **document}
        _write(self.path / MANIFEST, (json.dumps(whole, indent=2) + "\n").encode())

    def _write_cluster(self, items: list[Mapping[str, Any]], changes: Iterable[Change]) -> None:
        document = {"apiVersion": "v1", "kind": "List", "items": items}
        document["changes"] = [_plain(change) for change in changes]
        _write(self.path / CLUSTER, gzip.compress(json.dumps(document).encode(), 6, mtime=0))


def snapshot_files(path: Place) -> dict[str, Place]:
    """The files with snapshots in a folder, by the names of their nodes.

    In a folder of `collect` they are those of its nodes, in any other all files, and folders of
    this machine that are bundles: each is named after its node, whatever follows the name. What is
    a bundle itself is the only one. Raises InvalidInput.
    """
    if path.is_file() or (isinstance(path, Path) and is_bundle_folder(str(path))):
        return {_node_name(path.name): path}
    inner = path / _NODES
    found: dict[str, Place] = {}
    for file in files_in(inner if inner.is_dir() else path):
        if not (file.name.startswith(".") or file.name.endswith(_CHECKSUMS)):
            found.setdefault(_node_name(file.name), file)
    return found


# What collectors put beside their archives.
_CHECKSUMS = (".md5", ".sha1", ".sha256", ".sha512", ".asc", ".sig")
_ENDINGS = (".gz", ".json", ".txt", ".save", ".dump", ".rules", ".iptables", ".snapshot", ".log")


def _node_name(name: str) -> str:
    """The node that a file is named after: `worker-1` of `worker-1.json.gz`."""
    while (ending := next((e for e in _ENDINGS if name.endswith(e) and name != e), "")) != "":
        name = name.removesuffix(ending)
    return name


def read_json(path: Place) -> Mapping[str, Any]:
    """The object in a file, which may be compressed. Raises InvalidInput."""
    try:
        raw = path.read_bytes()
        document = json.loads(gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw)
    except OSError as error:
        why = error.strerror or str(error)
        raise InvalidInput([Problem(f"cannot be read: {why}", file=str(path))]) from None
    except (EOFError, zlib.error):
        raise InvalidInput([Problem("is cut off or damaged", file=str(path))]) from None
    except (ValueError, RecursionError):
        raise InvalidInput([Problem("is not JSON", file=str(path))]) from None
    if not isinstance(document, Mapping):
        raise InvalidInput([Problem("is not an object", file=str(path))])
    return document


def _plain(change: Change) -> dict[str, Any]:
    return {"at": round(change.at, 3), "gone": change.gone, "object": change.item}


def _change(raw: Mapping[str, Any]) -> Change:
    try:
        return Change(float(raw["at"]), bool(raw["gone"]), dict(raw["object"]))
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput([Problem("a change is not readable", file=CLUSTER)]) from error


def _write(path: Path, content: bytes) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with beside.open("wb") as handle:
        handle.write(content)
        handle.flush()
        # Else the new name may outlive a crash that the contents do not.
        os.fsync(handle.fileno())
    beside.replace(path)
