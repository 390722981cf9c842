"""What an API server refuses in Pods and what makes them, where endpoints depend on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nptables.errors import Path
from nptables.model.reading import Object, Reader
from nptables.model.service import PROTOCOLS
from nptables.model.validation.forms import check_choice, check_port_name, check_subdomain
from nptables.model.validation.metadata import check_labels

_EMPTY: Object = {}


def validate_pod(raw: Object, reader: Reader) -> None:
    """Note wrong container ports, node names and addresses of a Pod."""
    _pod_spec(_object(raw, "spec"), ("spec",), reader)
    status = _object(raw, "status")
    if isinstance(text := status.get("podIP"), str) and text:
        reader.ip(text, ("status", "podIP"))
    for position, item in enumerate(_list(status, "podIPs")):
        if isinstance(text := item.get("ip"), str):
            reader.ip(text, ("status", "podIPs", position, "ip"))


def validate_workload(raw: Object, reader: Reader) -> None:
    """Note a wrong template, selector or number of replicas."""
    spec = _object(raw, "spec")
    replicas = spec.get("replicas")
    if isinstance(replicas, int) and replicas < 0:
        reader.problem(("spec", "replicas"), f"{replicas} is negative", "0 or more")
    template = _object(spec, "template")
    if not template:
        reader.problem(("spec", "template"), "is required")
        return
    labels = _object(_object(template, "metadata"), "labels")
    check_labels(labels, ("spec", "template", "metadata", "labels"), reader)
    selector = _object(spec, "selector")
    wanted = _object(selector, "matchLabels")
    check_labels(wanted, ("spec", "selector", "matchLabels"), reader)
    # apps/v1 has no default for it, as the beta versions had: the labels of the template.
    if not selector:
        reader.problem(("spec", "selector"), "is required", "matchLabels as in the template")
    elif any(labels.get(key) != value for key, value in wanted.items()):
        reader.problem(
            ("spec", "template", "metadata", "labels"),
            "are not what spec.selector.matchLabels selects",
            "make them the same",
        )
    _pod_spec(_object(template, "spec"), ("spec", "template", "spec"), reader)


def _pod_spec(spec: Object, path: Path, reader: Reader) -> None:
    node = spec.get("nodeName")
    if isinstance(node, str) and node:
        check_subdomain(node, (*path, "nodeName"), reader)
    for where, port in _container_ports(spec, path):
        number, name, protocol = (port.get(k) for k in ("containerPort", "name", "protocol"))
        if number is None:
            reader.problem((*where, "containerPort"), "is required", "a number from 1 to 65535")
        elif isinstance(number, int) and not 1 <= number <= 65535:
            reader.problem(
                (*where, "containerPort"),
                f"{number} is not a port number",
                "a number from 1 to 65535",
            )
        if isinstance(name, str) and name:
            check_port_name(name, (*where, "name"), reader)
        if isinstance(protocol, str) and protocol:
            check_choice(protocol, (*where, "protocol"), PROTOCOLS, reader)


def _container_ports(spec: Object, path: Path) -> Iterator[tuple[Path, Object]]:
    # A server checks the ports of all, though only those of sidecars become endpoints.
    for key in ("containers", "initContainers"):
        for position, container in enumerate(_list(spec, key)):
            for number, port in enumerate(_list(container, "ports")):
                yield (*path, key, position, "ports", number), port


def _object(parent: Object, key: str) -> Object:
    found: Any = parent.get(key)
    return found if isinstance(found, Mapping) else _EMPTY


def _list(parent: Object, key: str) -> list[Object]:
    found = parent.get(key)
    if not isinstance(found, list | tuple):
        return []
    return [item if isinstance(item, Mapping) else _EMPTY for item in found]
