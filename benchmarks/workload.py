"""The clusters that are measured: NodePort Services of one port, each with so many endpoints."""

from __future__ import annotations

from typing import Any

from nptables import Cluster, ProxyConfig
from nptables.family import Family
from nptables.model import Node

NODE = "node1"
FAMILY = Family.IPV4
SIZES = ((100, 5), (1_000, 10), (5_000, 10), (10_000, 10), (10_000, 50))
_NODES = 200
# Addresses set aside for each Service, so that an endpoint more changes no other.
_STRIDE = 64


def service(number: int) -> dict[str, Any]:
    """A NodePort Service, as an API server gives it."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": f"web-{number:05}",
            "namespace": f"team-{number % 50:02}",
            "uid": f"5e0e1a52-0000-4000-8000-{number:012}",
            "resourceVersion": str(number),
            "creationTimestamp": "2026-01-02T03:04:05Z",
            "labels": {"app": f"web-{number:05}", "tier": "front"},
        },
        "spec": {
            "type": "NodePort",
            "clusterIP": cluster_ip(number),
            "clusterIPs": [cluster_ip(number)],
            "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack",
            "internalTrafficPolicy": "Cluster",
            "externalTrafficPolicy": "Cluster",
            "sessionAffinity": "None",
            "selector": {"app": f"web-{number:05}"},
            "ports": [
                {
                    "name": "http",
                    "protocol": "TCP",
                    "port": 80,
                    "targetPort": 8080,
                    # Beyond the default range for the largest sizes, which the kernel takes.
                    "nodePort": 20_000 + number,
                }
            ],
        },
        "status": {"loadBalancer": {}},
    }


def endpoint_slice(number: int, endpoints: int, *, first: int = 0) -> dict[str, Any]:
    """The slice of a Service, with its endpoints spread over the nodes."""
    name = f"web-{number:05}"
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{name}-abcde",
            "namespace": f"team-{number % 50:02}",
            "uid": f"e5110e1a-0000-4000-8000-{number:012}",
            "labels": {
                "kubernetes.io/service-name": name,
                "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
            },
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "protocol": "TCP", "port": 8080}],
        "endpoints": [endpoint(number, place) for place in range(first, first + endpoints)],
    }


def endpoint(number: int, place: int) -> dict[str, Any]:
    """The endpoint at one place of a Service's slice."""
    running = number * _STRIDE + place
    return {
        "addresses": [f"10.{running >> 16}.{running >> 8 & 255}.{running & 255}"],
        "conditions": {"ready": True, "serving": True, "terminating": False},
        "nodeName": f"node{running % _NODES + 1}",
        "zone": f"zone-{running % 3}",
        "targetRef": {
            "kind": "Pod",
            "namespace": f"team-{number % 50:02}",
            "name": f"web-{number:05}-{place:05}",
            "uid": f"90d00000-0000-4000-8000-{running:012}",
        },
    }


def cluster_ip(number: int) -> str:
    """The cluster IP of a Service."""
    return f"172.{16 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"


def objects(services: int, endpoints: int) -> list[dict[str, Any]]:
    """The objects of a cluster, as `kubectl get services,endpointslices,nodes -A` lists them."""
    found: list[dict[str, Any]] = [
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": NODE, "labels": {"kubernetes.io/hostname": NODE}},
            "spec": {"podCIDRs": ["10.0.0.0/24"]},
            "status": {"addresses": [{"type": "InternalIP", "address": "192.168.0.2"}]},
        }
    ]
    found += [service(number) for number in range(services)]
    found += [endpoint_slice(number, endpoints) for number in range(services)]
    return found


def configuration(version: str | None = None) -> ProxyConfig:
    """A configuration as kubeadm writes it, for a version of kube-proxy."""
    return ProxyConfig.from_kube_proxy(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "iptables",
            "clusterCIDR": "10.0.0.0/8",
        },
        version=version,
    )


def cluster_and_node(services: int, endpoints: int) -> tuple[Cluster, Node]:
    """The cluster of a size, and the node whose rules are measured."""
    cluster = Cluster.from_objects(objects(services, endpoints))
    return cluster, cluster.node(NODE)
