"""Kubernetes objects for tests of the agent, as an API server stores them."""

from __future__ import annotations

from typing import Any

JSON = dict[str, Any]


def service(
    name: str,
    *,
    cluster_ip: str = "10.96.0.10",
    port: int = 80,
    node_port: int = 0,
    protocol: str = "TCP",
    namespace: str = "default",
    **spec: Any,
) -> JSON:
    """A Service with one port named `p`; of type NodePort where a node port is given."""
    entry: JSON = {"name": "p", "protocol": protocol, "port": port, "targetPort": 8080}
    if node_port:
        entry["nodePort"] = node_port
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "type": "NodePort" if node_port else "ClusterIP",
            "clusterIP": cluster_ip,
            "clusterIPs": [cluster_ip],
            "ipFamilies": ["IPv6" if ":" in cluster_ip else "IPv4"],
            "ports": [entry],
            **spec,
        },
    }


def endpoint_slice(
    name: str,
    *addresses: str,
    node: str = "node1",
    port: int = 8080,
    protocol: str = "TCP",
    ready: bool = True,
    terminating: bool = False,
    nodes: dict[str, str] | None = None,
    namespace: str = "default",
    **metadata: Any,
) -> JSON:
    """The slice `NAME-a` of Service `name`; `nodes` says which address is elsewhere."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{name}-a",
            "namespace": namespace,
            "labels": {"kubernetes.io/service-name": name},
            **metadata,
        },
        "addressType": "IPv6" if any(":" in a for a in addresses) else "IPv4",
        "ports": [{"name": "p", "protocol": protocol, "port": port}],
        "endpoints": [
            {
                "addresses": [address],
                "conditions": {
                    "ready": ready,
                    "serving": ready or terminating,
                    "terminating": terminating,
                },
                "nodeName": (nodes or {}).get(address, node),
            }
            for address in addresses
        ],
    }


def node(name: str = "node1", address: str = "192.168.0.2", **spec: Any) -> JSON:
    """A Node with one InternalIP."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "spec": spec,
        "status": {"addresses": [{"type": "InternalIP", "address": address}]},
    }
