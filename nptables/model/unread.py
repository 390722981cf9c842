"""What a reading left out, and of which Services it might have told.

A lenient reading goes on without what it cannot use. What that would have said is not known: it is
neither there nor absent, and nothing may be concluded from its not being there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from nptables.errors import printable
from nptables.immutable import frozen
from nptables.model.endpointslice import OVER_CAPACITY, SERVICE_NAME_LABEL
from nptables.model.kinds import VERSIONS
from nptables.model.reading import closest, mapping_of
from nptables.model.service import Service
from nptables.model.workloads import PUT_ON

# What stands for endpoints where a Service has no EndpointSlice, beside Endpoints themselves.
_WITH_PODS = ("Pod", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")


@frozen
class Unread:
    """An object of which not everything is known.

    `kind` is what it is, or may be; `subject` names it as people do. `namespace` and `service`
    are those of the Service whose endpoints it may tell, empty where they cannot be known: then
    it may be any. `labels` are those of the Pods that it stands for, None where they are not
    known. `truncated`: it was read, and says of itself that it does not hold all endpoints.
    """

    kind: str
    subject: str
    namespace: str = ""
    service: str = ""
    labels: Mapping[str, str] | None = None
    truncated: bool = False

    def __str__(self) -> str:
        if self.truncated:
            return f"{self.subject} holds only some of them ({OVER_CAPACITY}: truncated)"
        return f"{self.subject} was left out"

    def may_tell(self, service: Service, *, has_slices: bool) -> bool:
        """Whether it may hold endpoints of a Service; `has_slices`: the Service has such slices.

        Where a Service has EndpointSlices, Endpoints and Pods say nothing of it.
        """
        if self.kind == "Node" or self.namespace not in ("", service.namespace):
            return False
        if self.kind in _WITH_PODS:
            labels = self.labels
            return (
                not has_slices
                and bool(service.selector)
                and (
                    labels is None or all(self._carries(k, v) for k, v in service.selector.items())
                )
            )
        if self.kind == "Endpoints" and has_slices:
            return False
        return self.service in ("", service.name)

    def _carries(self, key: str, value: str) -> bool:
        """Whether a Pod that it stands for may have a label."""
        labels = self.labels or {}
        return labels.get(key) == value or (key in PUT_ON and self.kind != "Pod")


def anything(subject: str) -> Unread:
    """What is left out without anything being known of it."""
    return Unread("", subject)


def unread_of(raw: Any) -> Unread | None:
    """What is not known because an object was left out; None where no endpoint or Node could be."""
    if not isinstance(raw, Mapping):
        return anything("an object that cannot be read")
    said = raw.get("kind")
    kind = said if isinstance(said, str) else ""
    # A misspelt kind may have been meant for one that holds endpoints.
    meant = kind if kind in VERSIONS else closest(kind, list(VERSIONS)) if kind else ""
    if meant == "Service" or (kind and not meant):
        return None
    metadata = mapping_of(raw.get("metadata"))
    namespace, name = metadata.get("namespace") or "default", metadata.get("name")
    namespace = namespace if isinstance(namespace, str) else ""
    name = name if isinstance(name, str) else ""
    place = f"{namespace}/{name}" if meant != "Node" else name
    subject = printable(f"{kind or 'an object without a kind'} {place if name else ''}".strip())
    labels = metadata.get("labels")
    if meant == "Node":
        return Unread(meant, subject)
    if meant == "Endpoints":
        return Unread(meant, subject, namespace, name)
    if meant in _WITH_PODS:
        if meant != "Pod":
            template = mapping_of(mapping_of(raw.get("spec")).get("template"))
            labels = mapping_of(template.get("metadata")).get("labels")
        return Unread(meant, subject, namespace, labels=_labels(labels))
    known = _labels(labels)
    if known is not None and SERVICE_NAME_LABEL not in known and meant == "EndpointSlice":
        # A slice without the label belongs to no Service.
        return None
    return Unread(meant, subject, namespace, (known or {}).get(SERVICE_NAME_LABEL, ""))


def truncated(raw: Any) -> Unread | None:
    """What is not known because Endpoints, or a slice made of them, are truncated."""
    found = unread_of(raw)
    return None if found is None else attrs.evolve(found, truncated=True)


def _labels(value: object) -> Mapping[str, str] | None:
    """Labels that can be trusted to be the whole of them, or None."""
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(v, str) for v in value.values()):
        return None
    return value
