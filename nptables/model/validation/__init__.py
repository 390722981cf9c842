"""What an API server refuses in a manifest for its values, named as the server names it.

The rules are those of kube-apiserver 1.36 (ValidateService, ValidateEndpointSlice and so on)
as far as they can be known without the server's state. Shape comes before this
(`nptables.model.schema`); what no rule can hold is found while reading.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nptables.model.reading import Object, Reader
from nptables.model.schema import conforms, shape_problems
from nptables.model.validation.endpoints import validate_endpoints
from nptables.model.validation.endpointslice import validate_endpoint_slice
from nptables.model.validation.metadata import validate_metadata
from nptables.model.validation.node import validate_node
from nptables.model.validation.pods import validate_pod, validate_workload
from nptables.model.validation.service import validate_service

__all__ = ["validate"]

_RULES: Mapping[str, Callable[[Object, Reader], None]] = {
    "Service": validate_service,
    "EndpointSlice": validate_endpoint_slice,
    "Endpoints": validate_endpoints,
    "Node": validate_node,
    "Pod": validate_pod,
    "Deployment": validate_workload,
    "StatefulSet": validate_workload,
    "DaemonSet": validate_workload,
    "ReplicaSet": validate_workload,
}


def validate(raw: Object, kind: str, reader: Reader) -> None:
    """Note all that a server would refuse in an object, but for what reading it finds."""
    if not conforms(raw, kind):
        shape_problems(raw, kind, reader)
    validate_metadata(raw, reader)
    _RULES[kind](raw, reader)
