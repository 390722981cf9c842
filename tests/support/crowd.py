"""Clusters of many nodes and Services, and one with hostile names, for pages and matrices."""

from __future__ import annotations

from typing import Any

import attrs

from nptables import Cluster
from nptables.model import EndpointSlice
from tests.support import clusters

HOSTILE = "</script><img src=x onerror=alert(1)>'\"&{{7*7}}<!--\u202e\x1b[31m"


def fleet(services: int, nodes: int, *, endpoints: int = 3, local_every: int = 4) -> Cluster:
    """NodePort Services whose endpoints are spread; every so many have the Local policy."""
    objects: list[dict[str, Any]] = [_node(number) for number in range(nodes)]
    for number in range(services):
        name, namespace = f"web{number}", f"ns{number % 10}"
        local = number % local_every == 0
        objects.append(
            clusters.service(
                name,
                namespace,
                clusterIP=f"10.96.{number // 250}.{number % 250 + 1}",
                ports=[{"name": "http", "port": 80, "nodePort": 30000 + number}],
                externalTrafficPolicy="Local" if local else "Cluster",
            )
        )
        found = []
        for place in range(endpoints):
            at = (7 * number + 3 * place) % nodes
            found.append(
                clusters.endpoint(
                    f"10.128.{at}.{(number + place) % 250 + 2}",
                    f"node{at + 1}",
                    targetRef={"kind": "Pod", "namespace": namespace, "name": f"{name}-{place}"},
                )
            )
        objects.append(
            clusters.endpoint_slice(
                *found, of=name, namespace=namespace, ports=[{"name": "http", "port": 8080}]
            )
        )
    return Cluster.from_objects(objects)


def _node(number: int) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": f"node{number + 1}"},
        "spec": {"podCIDRs": [f"10.128.{number}.0/24"]},
        "status": {
            "addresses": [{"type": "InternalIP", "address": f"192.168.0.{number + 1}"}],
        },
    }


def renamed(found: EndpointSlice, service: str) -> EndpointSlice:
    """The slice as one of another Service of the namespace."""
    labels = {**found.metadata.labels, "kubernetes.io/service-name": service}
    return attrs.evolve(found, metadata=attrs.evolve(found.metadata, labels=labels))


def hostile() -> Cluster:
    """Two nodes and a Service whose names, which no API server takes, try to be more than text."""
    cluster = fleet(2, 2)
    nodes = {}
    for number, node in enumerate(cluster.nodes.values()):
        name = f"{HOSTILE}{number}"
        nodes[name] = attrs.evolve(node, metadata=attrs.evolve(node.metadata, name=name))
    slices = {}
    for key, each in cluster.slices.items():
        endpoints = tuple(
            attrs.evolve(e, node_name=f"{HOSTILE}{int(e.node_name[-1]) - 1}", target=f"x/{HOSTILE}")
            for e in each.endpoints
        )
        slices[key] = attrs.evolve(each, endpoints=endpoints)
    services = {}
    # In a comment of a rule a quotation mark would end it: nothing of the kind gets that far.
    name = HOSTILE.replace('"', "").replace("\x1b", "")
    for key, service in cluster.services.items():
        if key[1] == "web1":
            slices = {
                place: renamed(each, name) if each.service_key == key else each
                for place, each in slices.items()
            }
            metadata = attrs.evolve(service.metadata, name=name)
            services[key[0], name] = attrs.evolve(service, metadata=metadata)
        else:
            services[key] = service
    return attrs.evolve(cluster, nodes=nodes, slices=slices, services=services)
