"""What is asked for, narrowed as kube-proxy narrows it, and what a watch tells of it."""

from __future__ import annotations

import attrs

from nptables.errors import Problem
from nptables.immutable import frozen
from nptables.model import Cluster, EndpointSlice, Node, Service


@frozen
class Resource:
    """A collection of objects on an API server, and the part of it that is wanted.

    `name` is the plural as RBAC writes it. The selectors are in the API's own syntax.
    """

    name: str
    path: str
    kind: str
    api_version: str
    label_selector: str = ""
    field_selector: str = ""

    @property
    def selectors(self) -> dict[str, str]:
        """The query parameters that narrow a list or a watch."""
        found = {"labelSelector": self.label_selector, "fieldSelector": self.field_selector}
        return {key: value for key, value in found.items() if value}


# The selectors are those of kube-proxy 1.36: what they leave out gets no rules.
# A Service with the label service-proxy-name is another proxy's, and a headless one (clusterIP
# None) has no address that rules could translate.
SERVICES = Resource(
    "services",
    "/api/v1/services",
    "Service",
    "v1",
    label_selector="!service.kubernetes.io/service-proxy-name",
    field_selector="spec.clusterIP!=None",
)
ENDPOINT_SLICES = Resource(
    "endpointslices",
    "/apis/discovery.k8s.io/v1/endpointslices",
    "EndpointSlice",
    "discovery.k8s.io/v1",
    label_selector="!service.kubernetes.io/headless",
)
NODES = Resource("nodes", "/api/v1/nodes", "Node", "v1")


def node_named(name: str) -> Resource:
    """The collection that holds one Node, or nothing while there is none of that name."""
    return attrs.evolve(NODES, field_selector=f"metadata.name={name}")


Watched = Service | EndpointSlice | Node


@frozen
class Listed:
    """A complete list: whatever is not in it is gone. `cluster.problems` is what was left out.

    `triggered` has, by key, when the change that an EndpointSlice reports happened (seconds
    since the epoch), where its controller says so.
    """

    resource: Resource
    cluster: Cluster
    triggered: dict[tuple[str, str], float] = attrs.field(factory=dict)


@frozen
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


@frozen
class Trouble:
    """A request failed; the next one is made in `retry_in` seconds."""

    resource: Resource
    reason: str
    status: int
    retry_in: float


@frozen
class Watching:
    """A watch stands again, from the version that was last seen."""

    resource: Resource


Event = Listed | Changed | Trouble | Watching
