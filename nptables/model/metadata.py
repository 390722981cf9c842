"""Object metadata, as far as it matters for rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs

from nptables.immutable import frozen
from nptables.model.reading import Object, Reader, mapping_of

# Set by the EndpointSlice controller to the time of the change that it reacted to.
TRIGGER_TIME = "endpoints.kubernetes.io/last-change-trigger-time"
# Which findings about the object are not to be reported, and why.
IGNORE = "nptables.io/ignore"
HOOKS = ("helm.sh/hook", "argocd.argoproj.io/hook")


@frozen
class Metadata:
    """Name, labels and age of an object.

    `creation_timestamp` is RFC 3339 text or empty. `changed` is when it was last changed, as far as
    it says so: RFC 3339 in UTC, or empty. `ignore` is what the annotation `nptables.io/ignore`
    says, or empty. What an object is does not depend on those two.
    """

    name: str
    namespace: str = ""
    labels: Mapping[str, str] = attrs.field(factory=dict)
    creation_timestamp: str = ""
    deletion_timestamp: str = ""
    changed: str = attrs.field(default="", eq=False, repr=False)
    ignore: str = attrs.field(default="", eq=False, repr=False)

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
            changed=last_change(metadata),
            ignore=ignore_text(metadata),
        )


def ignore_text(metadata: Object) -> str:
    """The annotation `nptables.io/ignore` in metadata of any shape, or an empty string."""
    annotations = metadata.get("annotations")
    text = annotations.get(IGNORE) if isinstance(annotations, Mapping) else ""
    return text if isinstance(text, str) else ""


def made_by_hook(raw: Object) -> bool:
    """Whether an object is there for a moment only: Helm or Argo CD makes it around a change."""
    annotations = mapping_of(mapping_of(raw.get("metadata")).get("annotations"))
    return any(annotations.get(key) for key in HOOKS)


def last_change(metadata: Object) -> str:
    """When an object was last changed, as far as its metadata says so; else an empty string."""
    return max(_times(metadata), default="")


def _times(metadata: Object) -> Iterator[str]:
    """When something was changed; all are in UTC, and so in the order of their texts."""
    fields = metadata.get("managedFields")
    for entry in fields if isinstance(fields, list) else ():
        if isinstance(entry, Mapping) and isinstance(time := entry.get("time"), str):
            yield time
    annotations = metadata.get("annotations")
    # kubectl leaves managedFields out unless it is told to show them.
    for holder, key in ((annotations, TRIGGER_TIME), (metadata, "creationTimestamp")):
        if isinstance(holder, Mapping) and isinstance(time := holder.get(key), str):
            yield time
