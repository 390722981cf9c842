"""What `kubectl cluster-info dump` prints where nobody has named a folder: all lists in one text.

Between them stand the logs of Pods, which may hold anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from nptables.sources.bundles.finding import Bundle, Contents, Piece
from nptables.sources.bundles.layouts import CLUSTER_INFO, KINDS

_BEGINS = re.compile(rb'\s*\{\s*"kind": "NodeList"')
_GOES_ON = re.compile(rb'^\}\s*\{\s*"kind": "EventList"', re.MULTILINE)
_LOGS = re.compile(
    rb"^==== START logs for container (\S+) of pod (\S+) ====\n.*?"
    rb"^==== END logs for container \1 of pod \2 ====\n",
    re.MULTILINE | re.DOTALL,
)
_LIST = re.compile(rb'^\{\n    "kind": "(\w+)List",\n.*?^\}$', re.MULTILINE | re.DOTALL)
_NAMESPACE = re.compile(rb'^                "namespace": "([a-z0-9-]+)"', re.MULTILINE)
_PLURALS = {kind: plural for plural, (_, kind) in reversed(KINDS.items())}
_HEAD = 200


def printed_dump(path: str) -> Contents | None:
    """The lists in a file with such a text; None for any other file."""
    try:
        with Path(path).open("rb") as handle:
            if not _BEGINS.match(handle.read(_HEAD)):
                return None
            handle.seek(0)
            data = handle.read()
    except (OSError, ValueError):
        return None
    if not _GOES_ON.search(data):
        return None
    return Contents(path, (Bundle(path, CLUSTER_INFO, tuple(_pieces(path, data))),))


def _pieces(path: str, data: bytes) -> Iterator[Piece]:
    parts = {plural: part for part in CLUSTER_INFO.parts for plural in _PLURALS.values()
             if plural in part.pattern.pattern}  # fmt: skip
    # Blank lines stand for logs: the number of a line stays what it is in the file.
    data = _LOGS.sub(lambda logs: b"\n" * logs[0].count(b"\n"), data)
    for found in _LIST.finditer(data):
        plural = _PLURALS.get(found[1].decode())
        if plural in parts:
            namespace = _NAMESPACE.search(found[0])
            told = {"kinds": plural, "ns": namespace[1].decode() if namespace else ""}
            before = b"\n" * data.count(b"\n", 0, found.start())
            yield Piece(path, parts[plural], told, before + found[0])
