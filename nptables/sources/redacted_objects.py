"""Objects some of whose addresses a program took out before somebody passed them on.

A Service whose addresses are hidden still has ports and policies, an endpoint whose address is
hidden still has a node. So that packets can be followed each hidden address becomes a made-up one.
What a node has for such a Service is not compared: nobody can tell whether it is right.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from nptables.model.endpointslice import SERVICE_NAME_LABEL
from nptables.model.reading import mapping_of
from nptables.sources.assembly import Item
from nptables.sources.text.redaction import HIDDEN, MOST, made_up_address, number_of

_HIDDEN = re.compile(HIDDEN)
# Of what is reserved: no node has such an address, and what tokens stand for has others.
MADE_UP = "240.0.0.0/8 and 100::f2:0:0/96"
_PREFIXES = ("240", "100::f2")
_STARTS = ("240.", "100::f2:")


def with_made_up_addresses(items: list[Item]) -> tuple[list[Item], frozenset[tuple[str, str]]]:
    """The objects with a made-up address for each hidden one.

    And the Services of which an address, or one of an endpoint's, is hidden.
    """
    made_up = _MadeUp()
    services: set[tuple[str, str]] = set()
    shown = []
    for item in items:
        document = item.document
        # Only texts in which something is hidden have such objects.
        redacted = document is not None and document.redacted and isinstance(item.value, Mapping)
        if redacted and _hides(item.value) and (identity := item.identity):
            kind, namespace, name = identity
            made_up.turn_to("/".join(identity))
            value, service = made_up.of_kind(kind, name, item.value)
            if service:
                services.add((namespace, service))
            item = attrs.evolve(item, value=value)  # noqa: PLW2901 - the same object, readable
        shown.append(item)
    return shown, frozenset(services)


def is_made_up(address: object) -> bool:
    """Whether an address stands for a hidden one."""
    return isinstance(address, str) and address.startswith(_STARTS)


class _MadeUp:
    """Gives each hidden address another made-up one.

    It follows from the object and the place in it, so that two states of a cluster, of which each
    was read by itself, have the same.
    """

    def __init__(self) -> None:
        self._taken: set[int] = set()
        self._object = ""
        self._place = 0

    def turn_to(self, name: str) -> None:
        """Go on with another object."""
        self._object, self._place = name, 0

    def of_kind(self, kind: str, name: str, value: Mapping[str, Any]) -> tuple[Any, str]:
        """An object without hidden addresses, and the name of the Service that it is about."""
        if kind == "Service":
            return self._service(value), name
        if kind == "EndpointSlice":
            six = value.get("addressType") == "IPv6"
            labels = mapping_of(value["metadata"].get("labels"))
            changed = self._everywhere(value, "endpoints", six=six)
            return changed, str(labels.get(SERVICE_NAME_LABEL) or "")
        if kind == "Endpoints":
            return self._everywhere(value, "subsets", six=False), name
        if kind == "Pod":
            status = dict(mapping_of(value.get("status")))
            status["podIP"] = self._address(status.get("podIP"), six=False)
            status["podIPs"] = [{"ip": status["podIP"]}]
            return {**value, "status": status}, ""
        if kind == "Node":
            return _without_hidden(value), ""
        return value, ""

    def _service(self, value: Mapping[str, Any]) -> dict[str, Any]:
        spec = dict(mapping_of(value.get("spec")))
        families = spec.get("ipFamilies")
        listed = families if isinstance(families, list) and families else ["IPv4"]
        cluster_ips = spec.get("clusterIPs")
        if not isinstance(cluster_ips, list):
            cluster_ips = [spec["clusterIP"]] if "clusterIP" in spec else []
        shown = [self._address(ip, six=f == "IPv6") for ip, f in zip(cluster_ips, listed)]  # noqa: B905
        if shown:
            spec["clusterIPs"], spec["clusterIP"] = shown, shown[0]
        spec = self._everywhere(spec, "externalIPs", six=listed[0] == "IPv6")
        return self._everywhere({**value, "spec": spec}, "status", six=listed[0] == "IPv6")

    def _everywhere(self, value: Mapping[str, Any], key: str, *, six: bool) -> dict[str, Any]:
        """An object whose field has made-up addresses wherever one is hidden."""
        if key not in value:
            return dict(value)
        return {**value, key: _mapped(value[key], lambda text: self._address(text, six=six))}

    def _address(self, text: Any, *, six: bool) -> Any:
        if not isinstance(text, str) or not _HIDDEN.fullmatch(text):
            return text
        self._place += 1
        number = number_of(f"{self._object}/{self._place}")
        while number in self._taken:
            number = (number + 1) % MOST
        self._taken.add(number)
        return made_up_address(_PREFIXES, number, six=six)


def _without_hidden(node: Mapping[str, Any]) -> dict[str, Any]:
    """A Node without the addresses and networks that are hidden: they are not known."""
    spec, status = dict(mapping_of(node.get("spec"))), dict(mapping_of(node.get("status")))
    for key in ("podCIDR", "podCIDRs"):
        if _hides(spec.get(key)):
            del spec[key]
    if isinstance(status.get("addresses"), list):
        status["addresses"] = [one for one in status["addresses"] if not _hides(one)]
    return {**node, "spec": spec, "status": status}


def _hides(value: Any) -> bool:
    return any(_HIDDEN.fullmatch(text) for text in _texts(value))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def _mapped(value: Any, change: Callable[[str], Any]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {key: _mapped(inner, change) for key, inner in value.items()}
    if isinstance(value, list):
        return [_mapped(inner, change) for inner in value]
    return value
