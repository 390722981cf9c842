"""What the cluster and the node say, checked and immutable."""

from typing import TYPE_CHECKING

from nptables.lazily import imported_on_use
from nptables.model.cluster import Cluster
from nptables.model.config import ProxyConfig
from nptables.model.conntrack import ConntrackConfig
from nptables.model.endpointslice import Endpoint, EndpointSlice, SlicePort
from nptables.model.metadata import Metadata
from nptables.model.node import Node, NodeFacts
from nptables.model.service import Ingress, Service, ServicePort

if TYPE_CHECKING:
    from nptables.model.pod import Pod

__all__ = [
    "Cluster",
    "ConntrackConfig",
    "Endpoint",
    "EndpointSlice",
    "Ingress",
    "Metadata",
    "Node",
    "NodeFacts",
    "Pod",
    "ProxyConfig",
    "Service",
    "ServicePort",
    "SlicePort",
]

# No rule depends on Pods.
__getattr__ = imported_on_use(__name__, {"Pod": "nptables.model.pod"})
