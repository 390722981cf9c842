"""What ValidateService of kube-apiserver 1.36, and its allocators, refuse."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nptables.errors import Path
from nptables.family import Family
from nptables.model import addresses, names
from nptables.model.reading import Object, Reader, quoted
from nptables.model.service import FAMILIES, POLICIES
from nptables.model.validation.forms import (
    check_choice,
    check_not_special,
    check_port_name,
    check_qualified,
)
from nptables.model.validation.metadata import check_labels, check_unique

FAMILY_POLICIES = ("SingleStack", "PreferDualStack", "RequireDualStack")
# PreferClose is the older name of PreferSameZone (KEP-3015).
TRAFFIC_DISTRIBUTIONS = ("PreferClose", "PreferSameZone", "PreferSameNode")
# Older than the field loadBalancerSourceRanges, and checked as that is. kube-proxy reads the field
# alone.
SOURCE_RANGES_ANNOTATION = "service.beta.kubernetes.io/load-balancer-source-ranges"
_KUBELET_PORT = 10250
_SPEC: Path = ("spec",)
_EMPTY: Object = {}


def validate_service(raw: Object, reader: Reader) -> None:
    """Note what the server would refuse beyond what reading the Service finds."""
    found = raw.get("spec")
    spec = found if isinstance(found, Mapping) else _EMPTY
    for rule in _RULES:
        rule(spec, reader)
    _source_ranges_annotation(raw, _type(spec), reader)


def _type(spec: Object) -> str:
    found = spec.get("type")
    return found if isinstance(found, str) and found else "ClusterIP"


def _text(spec: Object, key: str) -> str:
    found = spec.get(key)
    return found if isinstance(found, str) else ""


def _texts(spec: Object, key: str) -> Sequence[Any]:
    found = spec.get(key)
    return found if isinstance(found, list | tuple) else ()


def _headless(spec: Object) -> bool:
    return _text(spec, "clusterIP") == "None" or list(_texts(spec, "clusterIPs"))[:1] == ["None"]


def _ports_given(spec: Object, reader: Reader) -> None:
    ports = spec.get("ports")
    # Neither has an address that a port could be at.
    needed = not _headless(spec) and _type(spec) != "ExternalName"
    if needed and (ports is None or ports == []):
        reader.problem((*_SPEC, "ports"), "is required", "at least one, such as - port: 80")


def _each_port(spec: Object, reader: Reader) -> None:
    ports = _texts(spec, "ports")
    names_seen: set[Any] = set()
    numbers_seen: set[Any] = set()
    node_ports_seen: set[Any] = set()
    for position, port in enumerate(ports):
        if not isinstance(port, Mapping):
            continue
        path = (*_SPEC, "ports", position)
        name = _text(port, "name")
        if not name and len(ports) > 1:
            reader.problem(
                (*path, "name"), "is required", "a Service with several ports names each of them"
            )
        elif name:
            check_unique(name, names_seen, (*path, "name"), reader)
        _one_port(port, path, _type(spec), reader)
        # Two ports may have one number for different protocols, as DNS needs.
        protocol = _text(port, "protocol") or "TCP"
        number, node_port = port.get("port"), port.get("nodePort")
        if isinstance(number, int):
            _no_pair((protocol, number), numbers_seen, path, reader)
        if isinstance(node_port, int) and node_port:
            _no_pair((protocol, node_port), node_ports_seen, (*path, "nodePort"), reader)


def _no_pair(pair: tuple[str, int], seen: set[Any], path: Path, reader: Reader) -> None:
    if pair in seen:
        protocol, number = pair
        reader.problem(path, f"{number} ({protocol}) is given to two ports of this Service")
    seen.add(pair)


def _one_port(port: Object, path: Path, service_type: str, reader: Reader) -> None:
    target = port.get("targetPort")
    where = (*path, "targetPort")
    if isinstance(target, str) and target:
        check_port_name(target, where, reader)
    elif isinstance(target, int) and not isinstance(target, bool) and not 0 <= target <= 65535:
        reader.problem(where, f"{target} is not a port number", "a number from 1 to 65535")
    if protocol := _text(port, "appProtocol"):
        check_qualified(protocol, (*path, "appProtocol"), reader)
    if service_type == "ClusterIP" and isinstance(port.get("nodePort"), int) and port["nodePort"]:
        reader.problem(
            (*path, "nodePort"),
            "may not be used with type ClusterIP",
            "add type: NodePort, or remove nodePort",
        )
    # Some clouds open the port on every node, which would expose the kubelet (ValidateService).
    if service_type == "LoadBalancer" and port.get("port") == _KUBELET_PORT:
        reader.problem(path, f"{_KUBELET_PORT} is the kubelet's: no load balancer may expose it")


def _headless_type(spec: Object, reader: Reader) -> None:
    service_type = _type(spec)
    if _headless(spec) and service_type in ("NodePort", "LoadBalancer"):
        reader.problem(
            (*_SPEC, "clusterIPs", 0),
            f'"None" may not be used with type {service_type}',
            "remove clusterIP: None, or use type: ClusterIP",
        )


def _external_name(spec: Object, reader: Reader) -> None:
    if _type(spec) != "ExternalName":
        return
    for key in ("clusterIPs", "ipFamilies", "ipFamilyPolicy"):
        if spec.get(key):
            reader.problem((*_SPEC, key), "may not be set with type ExternalName", "remove it")
    if _text(spec, "clusterIP") and not spec.get("clusterIPs"):
        reader.problem(
            (*_SPEC, "clusterIPs"), "may not be set with type ExternalName", "remove clusterIP"
        )
    # A fully qualified name may end in the dot of the root.
    name = _text(spec, "externalName").removesuffix(".")
    path = (*_SPEC, "externalName")
    if not name:
        reader.problem(path, "is required with type ExternalName", "a host name: db.example.com")
    elif not names.is_subdomain(name):
        reader.problem(path, f"{quoted(name)} is not a host name", names.SUBDOMAIN_HINT)


def _selector(spec: Object, reader: Reader) -> None:
    check_labels(spec.get("selector"), (*_SPEC, "selector"), reader)


def _cluster_ips(spec: Object, reader: Reader) -> None:
    if _type(spec) == "ExternalName":
        return
    path = (*_SPEC, "clusterIPs")
    first, listed = _text(spec, "clusterIP"), list(_texts(spec, "clusterIPs"))
    if first and listed and listed[0] != first:
        reader.problem(
            path, "the first of them differs from clusterIP", "leave one of the two fields out"
        )
    elif listed and not first:
        reader.problem(path, "is set and clusterIP is not", "set clusterIP to the first of them")
    ips = listed or ([first] if first else [])
    if "None" in ips and len(ips) > 1:
        reader.problem(path, '"None" is given with an address', '"None" has to be the only value')
        return
    if len(ips) > 2:
        reader.problem(path, f"has {len(ips)} addresses", "at most one of each family")
    families = [_family(ip) for ip in ips]
    if len(families) == 2 and families[0] is not None and families[0] is families[1]:
        reader.problem(path, "has two addresses of one family", "at most one of each family")
    _match_families(spec, ips, families, reader)


def _family(text: Any) -> Family | None:
    if not isinstance(text, str) or addresses.parse_ip(text) is None:
        return None
    return Family.of(text)


def _match_families(
    spec: Object, ips: Sequence[Any], families: Sequence[Family | None], reader: Reader
) -> None:
    wanted = list(_texts(spec, "ipFamilies"))
    for position, (ip, family) in enumerate(zip(ips, families, strict=True)):
        if position >= len(wanted) or family is None or wanted[position] not in FAMILIES:
            continue
        if wanted[position] != family.value:
            reader.problem(
                (*_SPEC, "clusterIPs", position),
                f"{quoted(ip)} is an {family.value} address, and ipFamilies[{position}] "
                f"says {wanted[position]}",
            )


def _families(spec: Object, reader: Reader) -> None:
    seen: set[Any] = set()
    for position, family in enumerate(_texts(spec, "ipFamilies")):
        if isinstance(family, str):
            check_unique(family, seen, (*_SPEC, "ipFamilies", position), reader)
    policy = _text(spec, "ipFamilyPolicy")
    path = (*_SPEC, "ipFamilyPolicy")
    if policy and _type(spec) != "ExternalName":
        check_choice(policy, path, FAMILY_POLICIES, reader)


def _dual_stack(spec: Object, reader: Reader) -> None:
    """Addresses and families, and only where they are right whether the policy allows for two."""
    before = len(reader.problems)
    _cluster_ips(spec, reader)
    _families(spec, reader)
    policy = _text(spec, "ipFamilyPolicy") or "SingleStack"
    if len(reader.problems) > before or policy != "SingleStack" or _type(spec) == "ExternalName":
        return
    for key in ("clusterIPs", "ipFamilies"):
        if len(_texts(spec, key)) == 2:
            reader.problem(
                (*_SPEC, "ipFamilyPolicy"),
                f"must be PreferDualStack or RequireDualStack where {key} has two values",
            )


def _external_ips(spec: Object, reader: Reader) -> None:
    for position, text in enumerate(_texts(spec, "externalIPs")):
        address = addresses.parse_ip(text) if isinstance(text, str) else None
        if address is not None:
            check_not_special(address, (*_SPEC, "externalIPs", position), reader)


def _load_balancer_only(spec: Object, reader: Reader) -> None:
    if _type(spec) == "LoadBalancer":
        if name := _text(spec, "loadBalancerClass"):
            check_qualified(name, (*_SPEC, "loadBalancerClass"), reader)
        return
    for key in ("loadBalancerSourceRanges", "loadBalancerClass", "allocateLoadBalancerNodePorts"):
        value = spec.get(key)
        if value is not None and value != []:
            reader.problem((*_SPEC, key), "may only be used with type LoadBalancer", "remove it")


def _source_ranges_annotation(raw: Object, service_type: str, reader: Reader) -> None:
    found = raw.get("metadata")
    annotations = found.get("annotations") if isinstance(found, Mapping) else None
    spec = raw.get("spec")
    text = annotations.get(SOURCE_RANGES_ANNOTATION) if isinstance(annotations, Mapping) else None
    if not isinstance(text, str) or (
        isinstance(spec, Mapping) and spec.get("loadBalancerSourceRanges")
    ):
        return
    path = ("metadata", "annotations", SOURCE_RANGES_ANNOTATION)
    if service_type != "LoadBalancer":
        reader.problem(path, "may only be used with type LoadBalancer", "remove it")
    for part in text.split(",") if text.strip() else ():
        reader.network(part.strip(), path)


def _external_policy(spec: Object, reader: Reader) -> None:
    service_type = _type(spec)
    # ExternallyAccessible in pkg/api/service/util.go.
    accessible = service_type in ("NodePort", "LoadBalancer") or (
        service_type == "ClusterIP" and bool(_texts(spec, "externalIPs"))
    )
    policy = _text(spec, "externalTrafficPolicy")
    if policy in POLICIES and not accessible:
        reader.problem(
            (*_SPEC, "externalTrafficPolicy"),
            f"may not be set with type {service_type}",
            "it is for type NodePort or LoadBalancer, and for externalIPs",
        )
    health_check = spec.get("healthCheckNodePort")
    needed = service_type == "LoadBalancer" and policy == "Local"
    if isinstance(health_check, int) and health_check and not needed:
        reader.problem(
            (*_SPEC, "healthCheckNodePort"),
            "may only be set with type LoadBalancer and externalTrafficPolicy Local",
            "remove it",
        )


def _distribution(spec: Object, reader: Reader) -> None:
    value = spec.get("trafficDistribution")
    if isinstance(value, str):
        check_choice(value, (*_SPEC, "trafficDistribution"), TRAFFIC_DISTRIBUTIONS, reader)


_RULES: tuple[Callable[[Object, Reader], None], ...] = (
    _ports_given,
    _each_port,
    _headless_type,
    _external_name,
    _selector,
    _dual_stack,
    _external_ips,
    _load_balancer_only,
    _external_policy,
    _distribution,
)
