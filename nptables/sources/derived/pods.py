"""Pods to EndpointSlices, as the EndpointSlice controller of Kubernetes 1.36 makes them.

One thing differs: a Pod whose node is not in the input stays, because manifests seldom hold all
nodes of a cluster.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from nptables.family import Family
from nptables.model import Node, Service, ServicePort, addresses
from nptables.model.endpointslice import SERVICE_NAME_LABEL
from nptables.model.pod import pod_ips
from nptables.model.validation.service import TRAFFIC_DISTRIBUTIONS

Object = Mapping[str, Any]
# The most that the API allows in a slice. The controller stops at 100 unless told otherwise
# (--max-endpoints-per-slice), but kube-proxy puts the slices of a Service together anyway.
_MOST_ENDPOINTS = 1000
_PortKey = tuple[tuple[str, str, int], ...]


def has_address(pod: Object) -> bool:
    """Whether a Pod has an address and has not come to its end."""
    # ShouldPodBeInEndpoints in k8s.io/endpointslice/util/controller_utils.go.
    status = pod.get("status") or {}
    return bool(pod_ips(status)) and status.get("phase") not in ("Succeeded", "Failed")


def is_never_applied(pod: Object) -> bool:
    """Whether no cluster has said anything of a Pod yet."""
    status = pod.get("status") or {}
    return not pod_ips(status) and not status.get("phase")


def slices_from_pods(
    service: Service, pods: Iterable[Object], nodes: Mapping[str, Node]
) -> list[Object]:
    """The slices of a Service with a selector; `pods` are those that it selects."""
    # A named port may have another number in each Pod, and a slice has one list of ports for all.
    grouped: dict[tuple[Family, _PortKey], list[Object]] = {}
    for pod in pods:
        if not has_address(pod):
            continue
        ports = _ports(service, pod)
        for family in service.cluster_ips:
            endpoint = _endpoint(service, pod, family, nodes)
            if endpoint is not None:
                grouped.setdefault((family, ports), []).append(endpoint)
    found: list[Object] = []
    for number, ((family, ports), endpoints) in enumerate(grouped.items()):
        for part, first in enumerate(range(0, len(endpoints), _MOST_ENDPOINTS)):
            found.append(
                {
                    "apiVersion": "discovery.k8s.io/v1",
                    "kind": "EndpointSlice",
                    "metadata": {
                        "name": f"{service.name}-pods-{number}-{part}",
                        "namespace": service.namespace,
                        "labels": {SERVICE_NAME_LABEL: service.name},
                    },
                    "addressType": family.value,
                    "ports": [
                        {"name": name, "protocol": protocol, "port": port}
                        for name, protocol, port in ports
                    ],
                    "endpoints": endpoints[first : first + _MOST_ENDPOINTS],
                }
            )
    return found


def _endpoint(
    service: Service, pod: Object, family: Family, nodes: Mapping[str, Node]
) -> Object | None:
    metadata, status = pod["metadata"], pod.get("status") or {}
    parsed = (addresses.parse_ip_sloppy(text) for text in pod_ips(status))
    ips = [text for text in parsed if text is not None and Family.of(text) is family]
    if not ips:
        return None
    serving = _is_ready(status)
    # One that is about to end stays: it may be all that a Service has left (KEP-1672, KEP-1669).
    terminating = metadata.get("deletionTimestamp") is not None
    ready = service.publish_not_ready_addresses or (serving and not terminating)
    endpoint: dict[str, Any] = {
        "addresses": ips,
        "conditions": {"ready": ready, "serving": serving, "terminating": terminating},
        "targetRef": {
            "kind": "Pod",
            "namespace": service.namespace,
            "name": str(metadata.get("name") or ""),
        },
    }
    node_name = (pod.get("spec") or {}).get("nodeName")
    node = nodes.get(node_name or "")
    if node_name:
        endpoint["nodeName"] = node_name
    zone = node.zone if node is not None else ""
    if zone:
        endpoint["zone"] = zone
    # Of KEP-4444, and those of nodes of KEP-3015.
    if ready and service.traffic_distribution in TRAFFIC_DISTRIBUTIONS:
        endpoint["hints"] = _hints(service.traffic_distribution, zone, node_name)
    return endpoint


def _is_ready(status: Object) -> bool:
    return any(
        condition.get("type") == "Ready" and condition.get("status") == "True"
        for condition in status.get("conditions") or ()
        if condition
    )


def _hints(distribution: str, zone: str, node_name: str | None) -> Object:
    """Both zone and node for PreferSameNode, the zone alone for the others."""
    hints: dict[str, Any] = {}
    if zone:
        hints["forZones"] = [{"name": zone}]
    if node_name and distribution == "PreferSameNode":
        hints["forNodes"] = [{"name": node_name}]
    return hints


def _ports(service: Service, pod: Object) -> _PortKey:
    found = []
    for port in service.ports:
        number = _target(port, pod)
        if number is not None:
            found.append((port.name, port.protocol, number))
    return tuple(found)


def _target(port: ServicePort, pod: Object) -> int | None:
    """The number of a target port; a named one is a container port of that protocol."""
    if isinstance(port.target_port, int):
        return port.target_port
    for container_port in _container_ports(pod.get("spec") or {}):
        if (
            container_port.get("name") == port.target_port
            and (container_port.get("protocol") or "TCP") == port.protocol
        ):
            return int(container_port["containerPort"])
    return None


def _container_ports(spec: Object) -> Iterator[Object]:
    """Ports of the containers, then of the sidecars among the init containers."""
    # An init container that is always restarted goes on beside the others (KEP-753).
    sidecars = (
        c for c in spec.get("initContainers") or () if c and c.get("restartPolicy") == "Always"
    )
    for container in (*(spec.get("containers") or ()), *sidecars):
        for port in (container or {}).get("ports") or ():
            if port and port.get("containerPort"):
                yield port
