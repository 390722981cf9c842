"""Clusters for tests: plain objects, made by hand or by hypothesis."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from nptables import Cluster, Family, ProxyConfig, translate
from nptables.translation import Translation

Object = dict[str, Any]
NODES = ("node1", "node2", "node3")
ZONES = ("zone-a", "zone-b")


def node(name: str = "node1", **labels: str) -> Object:
    """A Node with an address of each family and a pod network."""
    number = name[-1]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": {"podCIDRs": [f"10.244.{number}.0/24", f"fd00:10:244:{number}::/64"]},
        "status": {
            "addresses": [
                {"type": "InternalIP", "address": f"192.168.0.{number}"},
                {"type": "InternalIP", "address": f"2001:db8::{number}"},
            ]
        },
    }


def service(name: str = "web", namespace: str = "default", **spec: Any) -> Object:
    """A Service; `spec` is laid over that of a NodePort Service on port 80."""
    metadata: Object = {"name": name, "namespace": namespace}
    for key in ("creationTimestamp", "labels"):
        if key in spec:
            metadata[key] = spec.pop(key)
    status = spec.pop("status", {})
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {
            "type": "NodePort",
            "clusterIP": "10.96.0.10",
            "ports": [{"port": 80, "nodePort": 30080}],
            **spec,
        },
        "status": status,
    }


def endpoint(address: str, node_name: str | None = "node1", **fields: Any) -> Object:
    """A ready endpoint."""
    found: Object = {"addresses": [address], "conditions": {"ready": True}, **fields}
    if node_name is not None:
        found["nodeName"] = node_name
    return found


def endpoint_slice(
    *endpoints: Object, of: str = "web", name: str = "", namespace: str = "default", **fields: Any
) -> Object:
    """A slice of a Service with an unnamed TCP port 8080."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": name or f"{of}-1",
            "namespace": namespace,
            "labels": {"kubernetes.io/service-name": of, **fields.pop("labels", {})},
        },
        "addressType": "IPv4",
        "ports": [{"name": "", "port": 8080}],
        "endpoints": list(endpoints),
        **fields,
    }


def rules_of(
    *objects: Object,
    on: str = "node1",
    family: Family = Family.IPV4,
    facts: Object | None = None,
    **config: Any,
) -> Translation:
    """The translation of objects for a node; without a Node object there, one is added."""
    kinds = {thing["kind"] for thing in objects}
    cluster = Cluster.from_objects([*objects, *([] if "Node" in kinds else [node(on)])])
    document = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        **config,
    }
    return translate(
        cluster, cluster.node(on, facts), ProxyConfig.from_kube_proxy(document), family
    )


names = st.sampled_from(["web", "api", "db", "dns", "cache-0"])
namespaces = st.sampled_from(["default", "prod"])
ipv4 = st.integers(0, 63).map(lambda n: f"10.244.{n % 4}.{n}")
ipv6 = st.integers(0, 63).map(lambda n: f"fd00:10:244:{n % 4 + 1:x}::{n + 1:x}")
port_names = st.sampled_from(["http", "metrics", "dns"])
protocols = st.sampled_from(["TCP", "UDP", "SCTP"])
policies = st.sampled_from(["Cluster", "Local"])


@st.composite
def _ports(draw: st.DrawFn, *, with_node_ports: bool) -> list[Object]:
    chosen = draw(st.lists(port_names, min_size=1, max_size=3, unique=True))
    return [
        {
            "name": "" if len(chosen) == 1 else name,
            "protocol": draw(protocols),
            "port": draw(st.integers(1, 65535)),
            **({"nodePort": draw(st.integers(30000, 30010))} if with_node_ports else {}),
        }
        for name in chosen
    ]


@st.composite
def services(draw: st.DrawFn) -> Object:
    """Any Service that the API could hold, of any type, family and policy."""
    kind = draw(st.sampled_from(["ClusterIP", "NodePort", "LoadBalancer"]))
    number = draw(st.integers(1, 200))
    cluster_ips = draw(
        st.sampled_from(
            [
                [f"10.96.0.{number}"],
                [f"fd00:10:96::{number:x}"],
                [f"10.96.0.{number}", f"fd00:10:96::{number:x}"],
            ]
        )
    )
    spec: Object = {
        "type": kind,
        "clusterIP": cluster_ips[0],
        "clusterIPs": cluster_ips,
        "ipFamilies": ["IPv6" if ":" in address else "IPv4" for address in cluster_ips],
        "ports": draw(_ports(with_node_ports=kind != "ClusterIP")),
        "internalTrafficPolicy": draw(policies),
        "sessionAffinity": draw(st.sampled_from(["None", "ClientIP"])),
        "externalIPs": draw(
            st.lists(st.sampled_from(["198.51.100.1", "198.51.100.2", "2001:db8:1::1"]), max_size=2)
        ),
    }
    if kind != "ClusterIP":
        spec["externalTrafficPolicy"] = draw(policies)
    metadata: Object = {"name": draw(names), "namespace": draw(namespaces)}
    if draw(st.booleans()):
        metadata["creationTimestamp"] = f"2026-01-0{draw(st.integers(1, 9))}T00:00:00Z"
    status: Object = {}
    if kind == "LoadBalancer":
        spec["loadBalancerSourceRanges"] = draw(
            st.lists(st.sampled_from(["203.0.113.0/24", " 192.168.0.0/16", "::/0"]), max_size=2)
        )
        addresses = st.sampled_from(["203.0.113.10", "203.0.113.11", "2001:db8:2::10"])
        status["loadBalancer"] = {
            "ingress": [
                {"ip": address, "ipMode": draw(st.sampled_from(["VIP", "Proxy"]))}
                for address in draw(st.lists(addresses, max_size=2))
            ]
        }
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": spec,
        "status": status,
    }


@st.composite
def _endpoints(draw: st.DrawFn, *, family: Family) -> Object:
    conditions: Object = {}
    for condition in ("ready", "serving", "terminating"):
        value = draw(st.sampled_from([True, True, False, None]))
        if value is not None:
            conditions[condition] = value
    found: Object = {
        "addresses": [draw(ipv4 if family is Family.IPV4 else ipv6)],
        "conditions": conditions,
    }
    where = draw(st.sampled_from([*NODES, None]))
    if where is not None:
        found["nodeName"] = where
    hints: Object = {}
    if draw(st.booleans()):
        hints["forZones"] = [{"name": draw(st.sampled_from(ZONES))}]
    if draw(st.booleans()):
        hints["forNodes"] = [{"name": draw(st.sampled_from(NODES))}]
    if hints:
        found["hints"] = hints
    return found


@st.composite
def slices(draw: st.DrawFn) -> Object:
    """Any slice of any of the Services."""
    family = draw(st.sampled_from(list(Family)))
    of = draw(names)
    ports = draw(st.lists(st.sampled_from(["", "http", "metrics", "dns"]), max_size=4, unique=True))
    return endpoint_slice(
        *draw(st.lists(_endpoints(family=family), max_size=6)),
        of=of,
        name=f"{of}-{draw(st.integers(0, 3))}",
        namespace=draw(namespaces),
        addressType=family.value,
        ports=[
            {"name": name, "port": draw(st.sampled_from([80, 8080])), "protocol": draw(protocols)}
            for name in ports
        ],
    )


def _unique(objects: list[Object]) -> list[Object]:
    found = {(o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]): o for o in objects}
    return list(found.values())


clusters = st.tuples(
    st.lists(services(), max_size=5),
    st.lists(slices(), max_size=8),
    st.lists(st.sampled_from(NODES), min_size=1, max_size=3, unique=True),
    st.sampled_from([None, *ZONES]),
).map(
    lambda parts: _unique(
        [
            *parts[0],
            *parts[1],
            *(
                node(name, **({"topology.kubernetes.io/zone": parts[3]} if parts[3] else {}))
                for name in ["node1", *parts[2]]
            ),
        ]
    )
)

configs = st.fixed_dictionaries(
    {
        "iptables": st.fixed_dictionaries(
            {
                "masqueradeAll": st.booleans(),
                "localhostNodePorts": st.booleans(),
                "masqueradeBit": st.sampled_from([0, 14, 31]),
            }
        ),
        "nodePortAddresses": st.sampled_from([[], ["primary"], ["127.0.0.0/8"], ["0.0.0.0/0"]]),
        "featureGates": st.fixed_dictionaries({"AllowServiceExternalIPs": st.booleans()}),
    },
    optional={
        "detectLocalMode": st.sampled_from(["ClusterCIDR", "NodeCIDR"]),
        "clusterCIDR": st.sampled_from(["10.244.0.0/16", "10.244.0.0/16,fd00:10:244::/56"]),
    },
)
