"""What a watch tells: complete lists, single changes, and trouble on the way."""

from __future__ import annotations

import attrs

from nptables.errors import Problem
from nptables.model import Cluster, EndpointSlice, Node, Service
from nptables.sources.apiserver.resources import Resource

Watched = Service | EndpointSlice | Node


@attrs.frozen
class Listed:
    """A complete list: whatever is not in it is gone. `cluster.problems` is what was left out.

    `triggered` has, by key, when the change that an EndpointSlice reports happened (seconds
    since the epoch), where its controller says so.
    """

    resource: Resource
    cluster: Cluster
    triggered: dict[tuple[str, str], float] = attrs.field(factory=dict)


@attrs.frozen
class Changed:
    """One object is new or different; `value` is None where it is gone or cannot be used.

    `namespace` is empty for Nodes. `problems` says why an object, or a part of it, cannot be
    used.
    """

    resource: Resource
    namespace: str
    name: str
    value: Watched | None
    problems: tuple[Problem, ...] = ()
    triggered: float | None = None


@attrs.frozen
class Trouble:
    """A request failed; the next one is made in `retry_in` seconds."""

    resource: Resource
    reason: str
    status: int
    retry_in: float


@attrs.frozen
class Watching:
    """A watch stands again, from the version that was last seen."""

    resource: Resource


Event = Listed | Changed | Trouble | Watching
