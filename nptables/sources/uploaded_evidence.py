"""Evidence that a program holds instead of a disk: dropped on a page, unpacked from a link."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

from nptables.errors import InvalidInput, Problem
from nptables.evidence import Evidence
from nptables.family import Family
from nptables.sources.evidence import evidence_in, meant
from nptables.sources.text.files import MOST_BYTES, decode, unpacked

_HELD = "held"


def evidence_of(
    name: str,
    data: str | bytes,
    family: Family | None = None,
    *,
    node: str = "",
    most: int = MOST_BYTES,
) -> Evidence:
    """What a file tells of a node, as `read_evidence`; `most` is how much it may have unpacked.

    Raises InvalidInput.
    """
    raw = data.encode() if isinstance(data, str) else data
    found = unpacked(name, raw, most)
    if isinstance(data, bytes) or '"NodeList"' in data:
        with _on_disk(raw) as path:
            evidence = _in_bundle(path, name, node)
        if evidence is not None:
            return evidence
    text = found if isinstance(found, Problem) else decode(name, found)
    if isinstance(text, Problem):
        raise InvalidInput([text])
    try:
        return evidence_in(text.text, family)
    except InvalidInput as error:
        raise error.in_file(name) from None


def _in_bundle(path: str, name: str, node: str) -> Evidence | None:
    """What a bundle tells of the node that is meant, None for what is no bundle."""
    from nptables.sources.bundles import contents_of, evidences_of  # noqa: PLC0415 - seldom needed

    try:
        contents = contents_of(path)
        if contents is None:
            return None
        bundles = tuple(attrs.evolve(b, name=_called(b.name, path, name)) for b in contents.bundles)
        contents = attrs.evolve(contents, path=name, bundles=bundles)
        return meant(evidences_of(contents, evidence_in), node, name)
    except InvalidInput as error:
        problems = [
            attrs.evolve(p, file=_called(p.file or name, path, name)) for p in error.problems
        ]
        raise InvalidInput(problems) from None


def _called(text: str, path: str, name: str) -> str:
    """A name of something in a bundle by what the bundle is called."""
    return text.replace(path, name).replace(_HELD, name)


@contextmanager
def _on_disk(data: bytes) -> Iterator[str]:
    """A file with these bytes, for readers that go back and forth in one."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, _HELD)
        path.write_bytes(data)
        yield str(path)
