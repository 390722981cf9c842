"""The Kubernetes objects of a file that a folder brought, or why there are none."""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Mapping
from typing import Any

import attrs

from nptables.errors import Problem, printable
from nptables.model.kinds import APPS, VERSIONS
from nptables.sources.text import Document, parse_text
from nptables.sources.text.files import decode
from nptables.sources.trees.walking import PassedOver

# Nobody writes a manifest of this size; a dump of a cluster is named, and then it is read.
LARGEST = 64 * 1024 * 1024
# Most files are small, and room for more would cost them the most of their time.
_FIRST_PIECE, _PIECE = 1 << 13, 1 << 20
NO_OBJECT = "no Kubernetes object"
TEMPLATE = "a template"
PATCH = "a patch that no kustomization names"
WORKLOADS = tuple(kind for kind, version in VERSIONS.items() if version == APPS)
_NAMED = re.compile(rb"(?:^|[\s{,\[\"'-])(?:apiVersion|kind)[\"']?\s*:")
_AT_THE_TOP = (
    re.compile(r"^(?:- )?[\"']?apiVersion[\"']?\s*:|^\s*[{\[]", re.MULTILINE),
    re.compile(r"^(?:- |  )?[\"']?kind[\"']?\s*:|^\s*[{\[]", re.MULTILINE),
)
_TEMPLATE = re.compile(r"\{\{|\{%|<%|\$\{\{")
_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)
# What stands for a value that another program fills in: ${NAME}, $(NAME), {{ name }}, <name>.
_PLACEHOLDER = re.compile(
    r"\$\{[^}]*\}|\$\([^)]*\)|\{\{.*\}\}|\[\[.*\]\]|<[^<>]+>|\$[A-Z_]+|@[A-Z_]+@|%[A-Z_]+%"
)


@attrs.define
class Found:
    """What came of one file."""

    documents: list[Document] = attrs.field(factory=list)
    problems: list[Problem] = attrs.field(factory=list)
    passed_over: list[PassedOver] = attrs.field(factory=list)


def read_file(path: str) -> Found:
    """The objects of a file that a folder brought.

    A file that does not even mention `apiVersion` or `kind` is not parsed: foreign files are many.
    """
    try:
        data = _bytes(path)
    except OSError as error:
        reason = f"cannot be read: {(error.strerror or str(error)).lower()}"
        return Found(passed_over=[PassedOver(path, reason, grave=True)])
    if isinstance(data, int):
        reason = f"has {data / 1e6:.0f} MB, too large for a manifest: name it to read it anyway"
        return Found(passed_over=[PassedOver(path, reason, grave=True)])
    if not _may_hold_objects(data):
        what = NO_OBJECT if data.strip() else "empty"
        return Found(passed_over=[PassedOver(path, what)])
    source = decode(path, data)
    if isinstance(source, Problem):
        return Found(passed_over=[PassedOver(path, source.message)])
    documents, problems = parse_text(source)
    return _sorted(path, source.text, documents, problems)


def _may_hold_objects(data: bytes) -> bool:
    """Whether a look that is cheap finds a field of a Kubernetes object."""
    if data.startswith(_WIDE):
        return True
    return (b"kind" in data or b"apiVersion" in data) and _NAMED.search(data) is not None


def _bytes(path: str) -> bytes | int:
    """All of a file, at less cost than an object for it; the size of one that is too large."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.read(handle, _FIRST_PIECE)
        if len(data) < _FIRST_PIECE:
            return data
        size = os.fstat(handle).st_size
        if size > LARGEST:
            return size
        pieces = [data]
        while piece := os.read(handle, _PIECE):
            pieces.append(piece)
        return b"".join(pieces)
    finally:
        os.close(handle)


def _sorted(path: str, text: str, documents: list[Document], problems: list[Problem]) -> Found:
    found = Found()
    for document in documents:
        if is_foreign(document.value, path):
            found.passed_over.append(PassedOver(path, NO_OBJECT))
        else:
            found.documents.append(document)
    if not problems:
        if not documents:
            found.passed_over.append(PassedOver(path, "empty"))
        return found
    if _TEMPLATE.search(text) and any(_is_template(problem, text) for problem in problems):
        return Found(passed_over=[PassedOver(path, TEMPLATE)])
    if not found.documents and not all(pattern.search(text) for pattern in _AT_THE_TOP):
        reason = f"{NO_OBJECT}, and it is not valid YAML or JSON: {printable(problems[0].message)}"
        return Found(passed_over=[PassedOver(path, reason)])
    if found.documents or not documents:
        found.problems = problems
    return found


def _is_template(problem: Problem, text: str) -> bool:
    """Whether a text does not parse because another program is to fill it in first."""
    if "template" in problem.message:
        return True
    lines = text.splitlines()[: (problem.line or 1) + 1]
    return any(line.lstrip().startswith(("{{", "{%", "<%")) for line in lines)


def is_foreign(value: Any, path: str = "") -> bool:
    """Whether a document is no Kubernetes object, and is not meant as one.

    One of `apiVersion` and `kind` alone is a mistake, unless it stands among the fields of
    another program.
    """
    if not isinstance(value, Mapping):
        return not (isinstance(value, list) and _is_list_of_objects(value))
    has = [key for key in ("apiVersion", "kind") if key in value]
    if len(has) != 1:
        return not has
    if "metadata" in value or "spec" in value:
        return False
    is_values = os.path.basename(path).startswith("values")
    return is_values or has == ["apiVersion"] or value["kind"] not in VERSIONS


def _is_list_of_objects(value: list[Any]) -> bool:
    return bool(value) and all(
        isinstance(item, Mapping) and "apiVersion" in item and "kind" in item for item in value
    )


def is_patch(value: Any) -> bool:
    """Whether an object lacks what no object of its kind can do without, as a patch does."""
    if not isinstance(value, Mapping) or not isinstance(value.get("spec"), Mapping | None):
        return False
    spec = value.get("spec") or {}
    if (value.get("apiVersion"), value.get("kind")) == ("v1", "Service"):
        return not spec.get("ports") and spec.get("type") != "ExternalName"
    return value.get("kind") in WORKLOADS and not spec.get("selector")


def has_placeholder(value: Any) -> bool:
    """Whether a value, or something in it, is to be filled in by another program."""
    if isinstance(value, str):
        return _PLACEHOLDER.search(value) is not None
    if isinstance(value, Mapping):
        return any(has_placeholder(key) or has_placeholder(item) for key, item in value.items())
    if isinstance(value, list):
        return any(map(has_placeholder, value))
    return False
