"""What ValidateEndpointSlice of kube-apiserver 1.36 refuses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nptables.errors import Path
from nptables.model import addresses, names
from nptables.model.reading import Object, Reader, quoted
from nptables.model.validation.forms import (
    check_label,
    check_label_value,
    check_not_special,
    check_qualified,
    check_subdomain,
    is_fqdn,
)
from nptables.model.validation.metadata import check_unique

# maxEndpoints, maxAddresses, maxZoneHints and maxPorts in pkg/apis/discovery/validation.
MOST_ENDPOINTS = 1000
MOST_ADDRESSES = 100
MOST_HINTS = 8
MOST_PORTS = 20_000


def validate_endpoint_slice(raw: Object, reader: Reader) -> None:
    """Note what the server would refuse beyond what reading the slice finds."""
    endpoints = raw.get("endpoints")
    if isinstance(endpoints, list | tuple):
        _endpoints(endpoints, reader, host_names=raw.get("addressType") == "FQDN")
    ports = raw.get("ports")
    if isinstance(ports, list | tuple):
        _ports(ports, reader)


def _endpoints(endpoints: Sequence[Any], reader: Reader, *, host_names: bool) -> None:
    if len(endpoints) > MOST_ENDPOINTS:
        reader.problem(
            ("endpoints",), f"has {len(endpoints)} items", f"at most {MOST_ENDPOINTS}: use slices"
        )
        return
    for position, endpoint in enumerate(endpoints):
        _endpoint(endpoint, position, reader, host_names=host_names)


def _endpoint(endpoint: Any, position: int, reader: Reader, *, host_names: bool) -> None:
    if not isinstance(endpoint, Mapping):
        return
    listed = endpoint.get("addresses")
    if isinstance(listed, list | tuple):
        _addresses(listed, ("endpoints", position, "addresses"), reader, host_names=host_names)
    node = endpoint.get("nodeName")
    if isinstance(node, str):
        check_subdomain(node, ("endpoints", position, "nodeName"), reader)
    if endpoint.get("hostname") is not None or endpoint.get("hints") is not None:
        _rarer(endpoint, ("endpoints", position), reader)


def _addresses(listed: Sequence[Any], path: Path, reader: Reader, *, host_names: bool) -> None:
    if len(listed) > MOST_ADDRESSES:
        reader.problem(path, f"has {len(listed)} items", f"at most {MOST_ADDRESSES}")
    for position, text in enumerate(listed):
        if not isinstance(text, str):
            continue
        if host_names:
            if not is_fqdn(text):
                reader.problem(
                    (*path, position), f"{quoted(text)} is not a host name", "db.example.com"
                )
        elif (address := addresses.parse_ip(text)) is not None:
            check_not_special(address, (*path, position), reader)


def _rarer(endpoint: Object, path: Path, reader: Reader) -> None:
    hostname = endpoint.get("hostname")
    if isinstance(hostname, str):
        check_label(hostname, (*path, "hostname"), reader)
    hints = endpoint.get("hints")
    if not isinstance(hints, Mapping):
        return
    for key, check in (("forZones", check_label_value), ("forNodes", check_subdomain)):
        listed = hints.get(key)
        if not isinstance(listed, list | tuple):
            continue
        where = (*path, "hints", key)
        if len(listed) > MOST_HINTS:
            reader.problem(where, f"has {len(listed)} items", f"at most {MOST_HINTS}")
            continue
        seen: set[Any] = set()
        for position, hint in enumerate(listed):
            name = hint.get("name") if isinstance(hint, Mapping) else None
            if isinstance(name, str):
                check(name, (*where, position, "name"), reader)
                check_unique(name, seen, (*where, position, "name"), reader)


def _ports(ports: Sequence[Any], reader: Reader) -> None:
    if len(ports) > MOST_PORTS:
        reader.problem(("ports",), f"has {len(ports)} items", f"at most {MOST_PORTS}")
        return
    seen: set[Any] = set()
    for position, port in enumerate(ports):
        if not isinstance(port, Mapping):
            continue
        path = ("ports", position)
        name = port.get("name") or ""
        if isinstance(name, str):
            if name and not names.is_label(name):
                check_label(name, (*path, "name"), reader)
            check_unique(name, seen, (*path, "name"), reader)
        protocol = port.get("appProtocol")
        if isinstance(protocol, str) and protocol:
            check_qualified(protocol, (*path, "appProtocol"), reader)
