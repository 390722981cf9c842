"""The metadata that every kind has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nptables.errors import Path
from nptables.model.reading import Object, Reader, quoted
from nptables.model.validation.forms import check_label_value, check_qualified, is_qualified

# The sum of the lengths of keys and values.
_MOST_ANNOTATIONS = 256 * 1024


def validate_metadata(raw: Object, reader: Reader) -> None:
    """Labels and annotations; the name and the namespace are checked before anything else."""
    metadata = raw.get("metadata")
    if not isinstance(metadata, Mapping):
        return
    check_labels(metadata.get("labels"), ("metadata", "labels"), reader)
    annotations = metadata.get("annotations")
    if not isinstance(annotations, Mapping):
        return
    total = 0
    for key, value in annotations.items():
        if isinstance(key, str):
            # Annotations may have upper case in their prefix, labels may not (ValidateAnnotations
            # in k8s.io/apimachinery).
            if not is_qualified(key.lower()):
                check_qualified(key, ("metadata", "annotations"), reader, "an annotation's name")
            total += len(key) + (len(value) if isinstance(value, str) else 0)
    if total > _MOST_ANNOTATIONS:
        reader.problem(
            ("metadata", "annotations"), f"has {total} bytes in it", f"at most {_MOST_ANNOTATIONS}"
        )


def are_annotations(annotations: Mapping[str, str]) -> bool:
    """Whether there is nothing wrong with annotations."""
    return (
        all(is_qualified(key.lower()) for key in annotations)
        and sum(map(len, annotations)) + sum(map(len, annotations.values())) <= _MOST_ANNOTATIONS
    )


def check_labels(labels: Any, path: Path, reader: Reader) -> None:
    """A map of labels, or a selector of that form."""
    if not isinstance(labels, Mapping):
        return
    for key, value in labels.items():
        if not isinstance(key, str):
            continue
        if not is_qualified(key):
            check_qualified(key, path, reader, "a label's name")
        elif isinstance(value, str):
            check_label_value(value, (*path, key), reader)


def check_unique(value: Any, seen: set[Any], path: Path, reader: Reader) -> None:
    """Note a value that stands in a list twice."""
    if value in seen:
        shown = quoted(value) if isinstance(value, str) else str(value)
        reader.problem(path, f"{shown} is given twice")
    seen.add(value)
