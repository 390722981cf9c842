"""EndpointSlices and their endpoints, as far as kube-proxy looks at them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nptables.errors import Path
from nptables.family import Family
from nptables.immutable import frozen
from nptables.model import addresses, names
from nptables.model.metadata import Metadata
from nptables.model.reading import Object, Reader, described, mapping_of, nearest, quoted
from nptables.model.service import HEADLESS_LABEL, PROTOCOLS, SERVICE_PROXY_NAME_LABEL

OVER_CAPACITY = "endpoints.kubernetes.io/over-capacity"
SERVICE_NAME_LABEL = "kubernetes.io/service-name"
ADDRESS_TYPES = ("IPv4", "IPv6", "FQDN")

_NO_HINTS: frozenset[str] = frozenset()


# Without a place for weak references: see `made`.
@frozen(weakref_slot=False)
class Endpoint:
    """One endpoint of a slice: what kube-proxy uses of it.

    `address` is the first of its addresses (kube-proxy uses no other), canonical. Conditions
    have the API's defaults: unknown readiness is ready. `target` names the Pod behind it as
    `namespace/name`, or is empty. `stored` is the address as the slice has it, where that is not
    the usual spelling; `written` is what goes into names and comments instead of `address`, where
    a kube-proxy writes what is stored.
    """

    address: str
    ready: bool = True
    serving: bool = True
    terminating: bool = False
    node_name: str = ""
    zone_hints: frozenset[str] = _NO_HINTS
    node_hints: frozenset[str] = _NO_HINTS
    target: str = ""
    stored: str = ""
    written: str = ""


@frozen
class SlicePort:
    """A port that every endpoint of a slice has; `name` matches the Service's port name."""

    name: str
    protocol: str
    port: int


@frozen
class EndpointSlice:
    """An EndpointSlice; `family` is None for slices of host names, which no rule can hold.

    `derived`: no cluster has it, it was made here of Endpoints or Pods.
    """

    metadata: Metadata
    family: Family | None
    ports: tuple[SlicePort, ...]
    endpoints: tuple[Endpoint, ...]
    derived: bool = False

    @property
    def service_key(self) -> tuple[str, str]:
        """Namespace and name of the Service that the slice belongs to; the name may be empty."""
        return self.metadata.namespace, self.metadata.labels.get(SERVICE_NAME_LABEL, "")

    @property
    def headless(self) -> bool:
        """Whether the slice is labelled headless: kube-proxy never receives such a slice."""
        return HEADLESS_LABEL in self.metadata.labels

    @property
    def claimed(self) -> bool:
        """Whether the slice is labelled for another proxy: older kube-proxies do not see it."""
        return SERVICE_PROXY_NAME_LABEL in self.metadata.labels


def read_endpoint_slice(
    raw: Object, reader: Reader, usual: tuple[Endpoint, ...] = ()
) -> EndpointSlice:
    """The EndpointSlice that a mapping describes; `usual` are endpoints that were read before."""
    address_type = reader.text(raw, "addressType")
    if address_type not in ADDRESS_TYPES:
        known = ", ".join(ADDRESS_TYPES)
        reader.problem(
            ("addressType",),
            f"{quoted(address_type)} is not one of {known}" if address_type else "is required",
            nearest(address_type, ADDRESS_TYPES) if address_type else f"one of {known}",
        )
        # So that nothing is said of addresses whose family nobody knows.
        address_type = "FQDN"
    family = None if address_type == "FQDN" else Family(address_type)
    return EndpointSlice(
        metadata=Metadata.read(raw, reader),
        family=family,
        ports=tuple(_ports(raw, reader)),
        endpoints=usual or (tuple(_endpoints(raw, family, reader)) if family else ()),
    )


def _ports(raw: Object, reader: Reader) -> list[SlicePort]:
    found = []
    for path, port in reader.objects(raw, "ports"):
        before = len(reader.problems)
        name = reader.text(port, "name", path)
        protocol = reader.choice(port, "protocol", path, PROTOCOLS, "TCP")
        number = reader.integer(port, "port", path, default=-1)
        if number != -1 and not 1 <= number <= 65535:
            reader.problem(
                (*path, "port"), f"{number} is not a port number", "a number from 1 to 65535"
            )
        # A port without a number means all ports to the API, and nothing to kube-proxy, which skips
        # it (`endpointInfoByServicePort` in pkg/proxy/endpointslicecache.go).
        elif number != -1 and len(reader.problems) == before:
            found.append(SlicePort(name, protocol, number))
    return found


def _endpoints(raw: Object, family: Family, reader: Reader) -> Iterator[Endpoint]:
    """The endpoints of a slice of `family`; those that cannot be used are left out."""
    for position, item in enumerate(reader.items(raw, "endpoints")):
        endpoint = _read_endpoint(item, ("endpoints", position), family, reader)
        if endpoint is not None:
            yield endpoint


def _read_endpoint(raw: Any, path: Path, family: Family, reader: Reader) -> Endpoint | None:
    if not isinstance(raw, dict):
        reader.problem(path, f"must be an object, not {described(raw)}")
        return None
    address = _address(raw, path, family, reader)
    conditions = reader.mapping(raw, "conditions", path)
    where: Path = (*path, "conditions")
    ready = reader.boolean(conditions, "ready", where, default=True)
    serving = reader.boolean(conditions, "serving", where, default=True)
    terminating = reader.boolean(conditions, "terminating", where, default=False)
    node_name = reader.text(raw, "nodeName", path)
    hints = reader.mapping(raw, "hints", path)
    zones = _hint_names(hints, "forZones", (*path, "hints"), reader)
    nodes = _hint_names(hints, "forNodes", (*path, "hints"), reader)
    target = _target_name(reader.mapping(raw, "targetRef", path), reader)
    if address is None:
        return None
    stored = raw["addresses"][0]
    usual = addresses.spelled_by_go(address)
    return Endpoint(
        address,
        ready,
        serving,
        terminating,
        node_name,
        zones,
        nodes,
        target,
        "" if stored == usual else stored,
    )


def _address(raw: Object, path: Path, family: Family, reader: Reader) -> str | None:
    where: Path = (*path, "addresses")
    if not reader.items(raw, "addresses", path):
        reader.problem(where, "is required", "at least one address")
        return None
    first = None
    for position, (place, text) in enumerate(reader.texts(raw, "addresses", path)):
        address = reader.ip(text, place)
        # kube-proxy hands such an address to iptables-restore, which refuses everything: see
        # WRONG_FAMILY_BREAKS.
        if address is not None and Family.of(address) is not family:
            other = family.other.value
            reader.problem(
                where,
                f"{quoted(text)} is not an {family.value} address",
                f"put it in a slice of its own with addressType: {other}",
                code="wrong-family",
            )
            address = None
        if position == 0:
            first = address
    return first


def _hint_names(hints: Object, key: str, path: Path, reader: Reader) -> frozenset[str]:
    return frozenset(
        reader.text(hint, "name", where) for where, hint in reader.objects(hints, key, path)
    )


def _target_name(target: Object, reader: Reader) -> str:
    try:
        # No rule depends on it: what is wrong with it is not worth a word.
        if target.get("kind") == "Pod" and names.is_subdomain(target["name"]):
            return f"{target.get('namespace') or reader.namespace}/{target['name']}"
    except (AttributeError, KeyError, TypeError):
        pass
    return ""


def is_truncated(raw: Any) -> bool:
    """Whether Endpoints, or a slice made of them, say that they were cut to 1,000 addresses."""
    annotations = mapping_of(mapping_of(mapping_of(raw).get("metadata")).get("annotations"))
    return annotations.get(OVER_CAPACITY) == "truncated"
