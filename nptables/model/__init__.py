"""What the cluster and the node say, checked and immutable."""

from nptables.model.cluster import Cluster
from nptables.model.config import ProxyConfig
from nptables.model.conntrack import ConntrackConfig
from nptables.model.endpointslice import Endpoint, EndpointSlice, SlicePort
from nptables.model.metadata import Metadata
from nptables.model.node import Node, NodeFacts
from nptables.model.pod import Pod
from nptables.model.service import Ingress, Service, ServicePort

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
