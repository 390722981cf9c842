"""Services and EndpointSlices that need no second look: well-formed, valid and read in one pass.

Checking the shape, checking the values and reading are three passes over every field, and a large
cluster has a million of them, which an API server has checked before. What is taken here has no
problem in any of these passes, lenient or not, and is read as they would read it; None means look
closer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache, lru_cache
from itertools import chain, repeat
from typing import Any

from nptables.family import Family
from nptables.immutable import made, many
from nptables.inet import pack_ipv4
from nptables.model import names
from nptables.model.endpointslice import Endpoint, EndpointSlice, SlicePort
from nptables.model.kinds import CORE, DISCOVERY
from nptables.model.metadata import IGNORE, Metadata, last_change
from nptables.model.reading import Object, Reader
from nptables.model.schema import conforms
from nptables.model.schema.types import FIELDS
from nptables.model.service import (
    POLICIES,
    PROTOCOLS,
    TOPOLOGY_ANNOTATIONS,
    Service,
    ServicePort,
)
from nptables.model.validation.endpointslice import MOST_ENDPOINTS, MOST_PORTS
from nptables.model.validation.forms import (
    SPECIAL_V4,
    check_port_name,
    is_label_value,
    is_qualified,
)
from nptables.model.validation.metadata import are_annotations
from nptables.model.validation.service import SOURCE_RANGES_ANNOTATION

_SERVICE = frozenset(FIELDS["Service"])
_SLICE = frozenset(FIELDS["EndpointSlice"])
_SLICE_PORT = frozenset({"name", "protocol", "port"})
_PORT = frozenset({"name", "protocol", "port", "targetPort", "nodePort"})
# Of the others each decides something that seldom is asked for.
_SPEC = frozenset(
    {
        "type", "clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "selector", "ports",
        "sessionAffinity", "internalTrafficPolicy", "externalTrafficPolicy",
    }
)  # fmt: skip
# A Service that no load balancer serves: as it is written by hand, and as it is stored.
_UNSERVED: tuple[Object, ...] = ({"loadBalancer": {}}, {})
_ENDPOINT = frozenset(FIELDS["Endpoint"]) - {"hints", "hostname", "deprecatedTopology"}
_CONDITIONS = frozenset(FIELDS["EndpointConditions"])
_REFERENCE = frozenset(FIELDS["ObjectReference"])
_NO_HINTS: frozenset[str] = frozenset()
_DICTS = frozenset({dict})
_LISTS = frozenset({list})
_FLAGS = frozenset({bool})
_TEXTS = frozenset({str})
_PODS = frozenset({"Pod"})

_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_SPECIAL = "|".join(map(re.escape, SPECIAL_V4))
_GROUP = "[1-9a-f][0-9a-f]{0,3}"
# In canonical spelling, which leaves out two groups or more, and none that is special.
_ADDRESS_V6 = (
    rf"(?!f[ef]){_GROUP}"
    rf"(?:(?::{_GROUP}){{7}}|(?=(?::[^:\n]*){{2,6}}\n)(?::{_GROUP})*::{_GROUP}(?::{_GROUP})*)"
)
# For many texts at once, with a line feed after each.
_NAMES = re.compile(rf"(?:{names.SUBDOMAIN}\n)+")
# Longer names are shortened where they are shown.
_LONGEST_NAME = 80
# What somebody writes by hand, to decide something.
_DECIDING = frozenset({IGNORE, SOURCE_RANGES_ANNOTATION, *TOPOLOGY_ANNOTATIONS})

# Many objects name few namespaces, nodes and ports.
_is_label = lru_cache(maxsize=16_384)(names.is_label)


@lru_cache(maxsize=16_384)
def _node_name(text: str) -> str | None:
    """The name of a node, once for all that name it; None where it is none."""
    return text if names.is_subdomain(text) else None


@lru_cache(maxsize=1024)
def _is_port_name(text: str) -> bool:
    reader = Reader("Service")
    check_port_name(text, (), reader)
    return not reader.problems


@cache
def _addresses(family: Family) -> re.Pattern[str]:
    """Usual addresses with a line feed after each; compiled when the first slice is read."""
    if family is Family.IPV6:
        return re.compile(rf"(?:{_ADDRESS_V6}\n)+")
    return re.compile(rf"(?:(?!{_SPECIAL})(?:{_OCTET}\.){{3}}{_OCTET}\n)+")


def usual_service(raw: Object) -> Service | None:
    """A Service of type ClusterIP or NodePort with one IPv4 address; None means look closer."""
    try:
        spec, status = raw["spec"], raw.get("status", {})
        address, service_type = spec["clusterIP"], spec["type"]
        internal = spec.get("internalTrafficPolicy", "Cluster")
        external = spec.get("externalTrafficPolicy")
        if not (
            raw["kind"] == "Service"
            and raw["apiVersion"] == CORE
            and _SERVICE.issuperset(raw)
            and spec.__class__ is dict
            and _SPEC.issuperset(spec)
            and status in _UNSERVED
            and spec["clusterIPs"] == [address]
            # Dual stack and IPv6 are less common, and their checks would cost the others time.
            and spec["ipFamilies"] == ["IPv4"]
            and spec["ipFamilyPolicy"] == "SingleStack"
            and spec.get("sessionAffinity", "None") == "None"
            and internal in POLICIES
            and (external in POLICIES if service_type == "NodePort" else external is None)
            and pack_ipv4(address) is not None
        ):
            return None
        selector = spec.get("selector", {})
        metadata = _metadata(raw, _is_label)
        ports = _service_ports(spec["ports"], service_type)
        if metadata is None or ports is None or not _are_labels(selector):
            return None
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    return made(
        Service,
        metadata=metadata,
        type=service_type,
        ports=ports,
        cluster_ips={Family.IPV4: address},
        selector=dict(selector),
        internal_traffic_policy=internal,
        external_traffic_policy=external or "Cluster",
    )


def usual_slice(raw: Object) -> EndpointSlice | None:
    """An EndpointSlice without hints; None means look closer."""
    try:
        if not (
            raw["kind"] == "EndpointSlice"
            and raw["apiVersion"] == DISCOVERY
            and _SLICE.issuperset(raw)
        ):
            return None
        metadata = _metadata(raw, names.is_subdomain)
        ports = _slice_ports(raw["ports"])
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    if metadata is None or ports is None or (endpoints := usual_endpoints(raw)) is None:
        return None
    return EndpointSlice(metadata, Family(raw["addressType"]), ports, endpoints)


class ReadEndpoints(tuple[Endpoint, ...]):
    """Endpoints that were read already, in the place of what they were read from."""

    __slots__ = ()


def read_early(raw: dict[str, Any]) -> None:
    """Put the endpoints of a slice, where they are usual, in the place of what they are read from.

    For a parser that has just made the object: it is still in the processor's cache, and what the
    endpoints are read from is most of what a cluster's objects take in memory.
    """
    if raw.get("kind") == "EndpointSlice" and (found := usual_endpoints(raw)) is not None:
        raw["endpoints"] = ReadEndpoints(found)


def usual_endpoints(raw: Object) -> tuple[Endpoint, ...] | None:
    """The endpoints of a slice if each is surely what a cluster writes; None means look closer.

    They are looked at field by field rather than one by one: so nearly all is done within the
    interpreter's own functions.
    """
    try:
        endpoints = raw["endpoints"]
        if endpoints.__class__ is ReadEndpoints:
            return tuple(endpoints)
        namespace = raw["metadata"].get("namespace") or "default"
        are_addresses = _addresses(Family(raw["addressType"]))
        if (
            endpoints.__class__ is not list
            or namespace.__class__ is not str
            or len(endpoints) > MOST_ENDPOINTS
        ):
            return None
        if not endpoints:
            return ()
        conditions = [endpoint["conditions"] for endpoint in endpoints]
        listed = [endpoint["addresses"] for endpoint in endpoints]
        ready = [each["ready"] for each in conditions]
        serving = [each.get("serving", True) for each in conditions]
        terminating = [each.get("terminating", False) for each in conditions]
        nodes = [_node_name(endpoint["nodeName"]) for endpoint in endpoints]
        zones = [endpoint.get("zone", "") for endpoint in endpoints]
        if not (
            _DICTS.issuperset(map(type, endpoints))
            and _ENDPOINT.issuperset(chain.from_iterable(endpoints))
            and _CONDITIONS.issuperset(chain.from_iterable(conditions))
            and _FLAGS.issuperset(map(type, chain(ready, serving, terminating)))
            and _LISTS.issuperset(map(type, listed))
            and _TEXTS.issuperset(map(type, zones))
            and None not in nodes
        ):
            return None
        # kube-proxy uses the first address of an endpoint only, and clusters write one. Two raise
        # here.
        addresses = [address for (address,) in listed]
        targets = _targets(endpoints, namespace)
        if targets is None or not _each_matches(are_addresses, addresses):
            return None
        return many(
            Endpoint,
            addresses,
            ready,
            serving,
            terminating,
            nodes,
            repeat(_NO_HINTS),
            repeat(_NO_HINTS),
            targets,
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _targets(endpoints: Sequence[Object], namespace: str) -> list[str] | None:
    """The Pod behind each endpoint, or an empty text."""
    targets = [endpoint["targetRef"] for endpoint in endpoints if "targetRef" in endpoint]
    if not (
        _REFERENCE.issuperset(chain.from_iterable(targets))
        and _TEXTS.issuperset(map(type, chain.from_iterable(map(dict.values, targets))))
    ):
        return None
    pods = [target["name"] for target in targets]
    if (
        len(targets) == len(endpoints)
        and _PODS.issuperset([target["kind"] for target in targets])
        and len(max(pods, key=len)) <= _LONGEST_NAME
        and _each_matches(_NAMES, pods)
    ):
        return [
            f"{target.get('namespace') or namespace}/{name}"
            for target, name in zip(targets, pods, strict=True)
        ]
    return [
        f"{target.get('namespace') or namespace}/{target['name']}"
        if target and target["kind"] == "Pod" and names.is_subdomain(target["name"])
        else ""
        for target in (endpoint.get("targetRef") for endpoint in endpoints)
    ]


def _each_matches(pattern: re.Pattern[str], texts: Sequence[str]) -> bool:
    """Whether each text matches, by a pattern for all of them."""
    joined = "\n".join([*texts, ""])
    return joined.count("\n") == len(texts) and pattern.fullmatch(joined) is not None


def _metadata(raw: Object, is_name: Callable[[str], bool]) -> Metadata | None:
    metadata = raw["metadata"]
    name, namespace = metadata["name"], metadata.get("namespace") or "default"
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    if not (
        conforms(metadata, "ObjectMeta")
        and len(name) <= _LONGEST_NAME
        and is_name(name)
        and _is_label(namespace)
        and _are_labels(labels)
        and _DECIDING.isdisjoint(annotations)
        and (not annotations or are_annotations(annotations))
    ):
        return None
    created = changed = metadata.get("creationTimestamp") or ""
    if annotations or "managedFields" in metadata:
        changed = last_change(metadata)
    deleted = metadata.get("deletionTimestamp") or ""
    return Metadata(name, namespace, dict(labels), created, deleted, changed)


def _are_labels(labels: Any) -> bool:
    return (
        labels.__class__ is dict
        and all(map(is_qualified, labels))
        and _TEXTS.issuperset(map(type, labels.values()))
        and all(map(is_label_value, labels.values()))
    )


def _service_ports(raw: Any, service_type: str) -> tuple[ServicePort, ...] | None:
    found = []
    for port in raw:
        name, protocol, number = port.get("name", ""), port["protocol"], port["port"]
        target, node_port = port.get("targetPort", number), port.get("nodePort", 0)
        if not (
            port.__class__ is dict
            and _PORT.issuperset(port)
            and name.__class__ is str
            and (_is_label(name) if name else len(raw) == 1)
            and protocol in PROTOCOLS
            and _is_port(number)
            and (_is_port(target) or (target.__class__ is str and _is_port_name(target)))
            and (_is_port(node_port) if service_type == "NodePort" else "nodePort" not in port)
        ):
            return None
        found.append(ServicePort(name, protocol, number, node_port, target))
    usual = (
        raw.__class__ is list
        and service_type in ("ClusterIP", "NodePort")
        and (
            len(found) == 1
            or (
                _differ(port.name for port in found)
                and _differ((port.protocol, port.port) for port in found)
                and (
                    service_type == "ClusterIP" or _differ((p.protocol, p.node_port) for p in found)
                )
            )
        )
    )
    return tuple(found) if usual and found else None


def _slice_ports(raw: Any) -> tuple[SlicePort, ...] | None:
    found = []
    for port in raw:
        if port.__class__ is not dict or not _SLICE_PORT.issuperset(port):
            return None
        known = _slice_port(port.get("name", ""), port["protocol"], port["port"])
        if known is None:
            return None
        found.append(known)
    usual = (
        raw.__class__ is list
        and len(raw) <= MOST_PORTS
        and (len(found) == 1 or _differ(port.name for port in found))
    )
    return tuple(found) if usual else None


# By their types as well: True is equal to 1, and no port.
@lru_cache(maxsize=1024, typed=True)
def _slice_port(name: Any, protocol: Any, number: Any) -> SlicePort | None:
    usual = (
        name.__class__ is str
        and (not name or _is_label(name))
        and protocol in PROTOCOLS
        and _is_port(number)
    )
    return SlicePort(name, protocol, number) if usual else None


def _is_port(number: Any) -> bool:
    return number.__class__ is int and 1 <= number <= 65535


def _differ(values: Iterable[object]) -> bool:
    listed = list(values)
    return len(set(listed)) == len(listed)
