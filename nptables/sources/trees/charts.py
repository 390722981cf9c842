"""Helm charts: which files are theirs, and what they render to."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from nptables.errors import InvalidInput, Problem
from nptables.sources.text import Document, Input, parse_text, read_one
from nptables.sources.text.parsed import nowhere
from nptables.sources.trees.programs import Failure, output_of

NAME = "Chart.yaml"
# Sub-folders of a chart whose files are rendered, or are there for Helm alone.
FOLDERS = ("templates", "charts", "crds", "ci", "tests")
_SOURCE = re.compile(r"^# Source: (.*)$", re.MULTILINE)
_PARTS = re.compile(r"^---\s*$", re.MULTILINE)
# What only somebody who fills in values, or a network, could mend.
_LIMITS = re.compile(
    r"missing in charts/|dependenc|execution error|nil pointer|required|values don't meet|"
    r"incompatible with Kubernetes|did not finish within|cannot be started|error calling|"
    r"library charts are not installable|no endpoints available|lookup"
)


def is_library(file: str) -> bool:
    """Whether a Chart.yaml says that the chart is for other charts alone."""
    try:
        documents, _ = parse_text(read_one(file))
    except InvalidInput:
        return False
    value: Any = documents[0].value if documents else None
    return isinstance(value, Mapping) and value.get("type") == "library"


def render(program: str, folder: str, values: Sequence[str]) -> list[Document] | Problem | Failure:
    """The objects of a chart with its default values, and those of files that go over them."""
    options = [option for file in values for option in ("--values", os.path.abspath(file))]
    text = output_of([program, "template", "release-name", os.path.abspath(folder), *options])
    file = os.path.join(folder, NAME)
    if isinstance(text, Failure):
        reason = text.reason.replace(os.path.abspath(folder), folder)
        return Failure(reason) if _LIMITS.search(reason) else Problem(reason, file=file)
    found: list[Document] = []
    # One by one, since helm names the template of each above it.
    for part in _PARTS.split(text):
        named = _SOURCE.search(part)
        source = _source(folder, named[1].strip()) if named else file
        documents, problems = parse_text(Input(source, part))
        if problems:
            return attrs.evolve(problems[0], line=None, column=None)
        found += [attrs.evolve(document, locate=nowhere) for document in documents]
    return found


def _source(folder: str, named: str) -> str:
    """The template that Helm names: the name of the chart stands for its folder."""
    path = os.path.join(folder, *named.split("/")[1:])
    return path if os.path.isfile(path) else os.path.join(folder, NAME)
