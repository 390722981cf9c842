"""Object metadata, as far as it matters for rules."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from nptables.model.reading import Object, Reader


@attrs.frozen
class Metadata:
    """Name, labels and age of an object; `creation_timestamp` is RFC 3339 text or empty."""

    name: str
    namespace: str = ""
    labels: Mapping[str, str] = attrs.field(factory=dict)
    creation_timestamp: str = ""
    deletion_timestamp: str = ""

    @classmethod
    def read(cls, raw: Object, reader: Reader) -> Metadata:
        """The metadata of the object that `reader` was made for."""
        metadata = reader.mapping(raw, "metadata")
        return cls(
            name=reader.name,
            namespace=reader.namespace,
            labels=reader.labels(metadata, "labels", ("metadata",)),
            creation_timestamp=reader.text(metadata, "creationTimestamp", ("metadata",)),
            deletion_timestamp=reader.text(metadata, "deletionTimestamp", ("metadata",)),
        )
