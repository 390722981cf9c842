"""From a folder, or files, to what is judged: the cluster, its changes, each node's snapshot."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from nptables.auditing import Movement
from nptables.errors import InvalidInput, Problem
from nptables.evidence import Evidence
from nptables.evidence.snapshot import Snapshot, is_snapshot, snapshot_in
from nptables.immutable import frozen
from nptables.model import Cluster
from nptables.model.objects import Key
from nptables.sources.bundles import contents_of
from nptables.sources.bundles.layouts import Holds
from nptables.sources.evidence import evidence_in, read_all_evidence
from nptables.sources.fleet.folder import READ, Change, Collected, snapshot_files
from nptables.sources.fleet.locations import Place
from nptables.sources.kubeproxy import find_kube_proxy_config
from nptables.sources.text.files import read_unpacked


@frozen
class Collection:
    """What `collect` left in a folder.

    `missing` are the nodes without a snapshot, and why. `configuration` is the one of kubeadm, or
    None.
    """

    cluster: Cluster
    movements: tuple[Movement, ...]
    configuration: Mapping[str, Any] | None
    missing: Mapping[str, str]


def read_collection(path: Place) -> Collection | None:
    """What is in a folder of `collect`; None for a folder without the objects of a cluster.

    Raises InvalidInput.
    """
    folder = Collected(path)
    if not folder.holds_cluster:
        return None
    items, changes = folder.objects()
    configuration = next(filter(None, map(find_kube_proxy_config, items)), None)
    cluster = Cluster.from_objects(items, lenient=True)
    movements = tuple(movements_of(changes))
    return Collection(cluster, movements, configuration, missing_in(path, cluster))


def bundles_with_objects(path: Place) -> tuple[str, ...]:
    """The bundles in a folder, or the one that it is, that hold the objects of a cluster.

    None of them is looked for in what `collect` made, and behind a URL.
    """
    if not isinstance(path, Path) or Collected(path).holds_cluster:
        return ()
    found = []
    for file in snapshot_files(path).values():
        try:
            contents = contents_of(str(file))
        except InvalidInput:
            # What is wrong with it is said of it as a snapshot.
            continue
        if contents is not None and any(b.of(Holds.OBJECTS) for b in contents.bundles):
            found.append(str(file))
    return tuple(found)


def missing_in(path: Place, cluster: Cluster) -> Mapping[str, str]:
    """The nodes that a folder has no snapshot of, and why.

    They are those that `collect` was asked for, and in another folder those of the cluster. Raises
    InvalidInput.
    """
    folder = Collected(path)
    records = folder.records()
    there = snapshot_files(path)
    if not records:
        return {n: "there is no snapshot of it" for n in cluster.nodes if n not in there}
    return {
        name: record.why or "it was not read"
        for name, record in records.items()
        if record.state != READ or name not in there
    }


def movements_of(changes: Iterable[Change]) -> list[Movement]:
    """Changes of objects as the model has them, in the order of their times."""
    found = []
    for change in sorted(changes, key=lambda each: each.at):
        read = Cluster.from_objects([change.item], lenient=True)
        metadata = change.item.get("metadata") or {}
        key: Key = (str(metadata.get("namespace")), str(metadata.get("name")))
        value = None if change.gone else read.services.get(key) or read.slices.get(key)
        found.append(Movement(change.at, change.item.get("kind") == "Service", key, value))
    return found


def read_snapshots(place: Place | bytes) -> list[tuple[str, Snapshot | Evidence]]:
    """What a file, or a bundle, has of nodes, each with the name that a bundle has for it.

    `place` is where it is, or what is in it. Raises InvalidInput.
    """
    if not isinstance(place, Path):
        # Readers of archives go back and forth in a file.
        with tempfile.NamedTemporaryFile() as file:
            file.write(place if isinstance(place, bytes) else place.read_bytes())
            file.flush()
            return read_snapshots(Path(file.name))
    found = read_all_evidence(place)
    if found is None:
        return [("", read_snapshot(place))]
    return [(evidence.node, evidence) for evidence in found]


def read_snapshot(path: Path) -> Snapshot | Evidence:
    """What a file has of a node; a snapshot with its tables as text. Raises InvalidInput."""
    text = read_unpacked(path).text
    if text.startswith("{"):
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            problem = Problem("is not a snapshot, or is cut off", file=str(path))
            raise InvalidInput([problem]) from None
        if is_snapshot(document):
            return snapshot_in(document)
    return evidence_in(text)
