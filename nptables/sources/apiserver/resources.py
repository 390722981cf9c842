"""What is asked for: collections of the API, narrowed as kube-proxy narrows them."""

from __future__ import annotations

import attrs


@attrs.frozen
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
