"""The objects of the laboratory's cluster, as `kubectl get -o json` gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.lab.laboratory.addresses import FAMILIES, NODES, SERVED, Node, Pod, cluster_ip

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.lab.laboratory.addresses import Host

Object = dict[str, Any]
PORT = 80
_ADDRESS_TYPES = {"IPV4": "IPv4", "IPV6": "IPv6"}
_PROTOCOLS = ("TCP", "UDP", "SCTP")


def nodes() -> list[Object]:
    """Return the Node objects of both nodes."""
    return [
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": node.name},
            "spec": {"podCIDRs": list(node.pod_networks)},
            "status": {
                "addresses": [{"type": "InternalIP", "address": a} for a in node.address],
            },
        }
        for node in NODES
    ]


def service(
    endpoints: Iterable[Host],
    *,
    name: str = "web",
    number: int = 1,
    protocols: Sequence[str] = _PROTOCOLS,
    **spec: Any,
) -> list[Object]:
    """Return a Service of both families with its slices.

    It has cluster IP `number`, and the port 80 of each protocol. With a type of NodePort or
    LoadBalancer the node port of each is 30000 + `number`. `spec` are further fields of its
    spec.
    """
    with_node_port = spec.get("type") in ("NodePort", "LoadBalancer")
    node_port = {"nodePort": 30000 + number} if with_node_port else {}
    ports = [
        {"name": p.lower(), "protocol": p, "port": PORT, "targetPort": SERVED, **node_port}
        for p in protocols
    ]
    made: Object = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "lab"},
        "spec": {
            "clusterIP": cluster_ip(number).ipv4,
            "clusterIPs": list(cluster_ip(number)),
            "ipFamilies": [_ADDRESS_TYPES[family] for family in FAMILIES],
            "ipFamilyPolicy": "RequireDualStack",
            "ports": ports,
            **spec,
        },
    }
    return [made, *_slices(name, list(endpoints), protocols)]


def balanced(*addresses: Iterable[str]) -> Object:
    """Return the status of a Service whose load balancer has these addresses."""
    return {"loadBalancer": {"ingress": [{"ip": a} for dual in addresses for a in dual]}}


def _slices(name: str, endpoints: list[Host], protocols: Sequence[str]) -> list[Object]:
    return [
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": f"{name}-{family.lower()}",
                "namespace": "lab",
                "labels": {"kubernetes.io/service-name": name},
            },
            "addressType": _ADDRESS_TYPES[family],
            "ports": [{"name": p.lower(), "protocol": p, "port": SERVED} for p in protocols],
            "endpoints": [
                {
                    "addresses": [endpoint.address.of(family)],
                    "conditions": {"ready": True, "serving": True, "terminating": False},
                    "nodeName": _node_of(endpoint),
                }
                for endpoint in endpoints
            ],
        }
        for family in FAMILIES
    ]


def _node_of(endpoint: Host) -> str:
    """Return the node of a pod; an endpoint that is a node runs there in the host's network."""
    assert isinstance(endpoint, Node | Pod)
    return endpoint.name if isinstance(endpoint, Node) else endpoint.node
