"""When objects were changed, and which changes count as on their way."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from nptables.model import Cluster
from nptables.model.objects import Key


def seconds_of(text: str) -> float | None:
    """RFC 3339 text as seconds since the epoch; None for what is none."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def rfc3339(seconds: float) -> str:
    """Seconds since the epoch as `2026-01-01T00:00:00.000000Z`, a MicroTime of Kubernetes."""
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")
    return text.replace("+00:00", "Z")


def rfc3339_seconds(seconds: float) -> str:
    """Seconds since the epoch as `2026-01-01T00:00:00Z`, a Time of Kubernetes."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def in_words(seconds: float) -> str:
    """A time as people read it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def changed(cluster: Cluster) -> Mapping[Key, float]:
    """When each Service, or a slice of it, was last changed, as far as they say so."""
    found: dict[Key, float] = {}
    owned = [(key, s.metadata) for key, s in cluster.services.items()]
    owned += [(s.service_key, s.metadata) for s in cluster.slices.values()]
    for key, metadata in owned:
        time = seconds_of(metadata.changed) if metadata.changed else None
        if time is not None:
            found[key] = max(time, found.get(key, time))
    return found
