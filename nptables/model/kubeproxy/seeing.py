"""Services and slices as an older kube-proxy sees them.

This is what old kube-proxies do first. Doing it twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

from nptables.errors import Path, Problem
from nptables.family import Family
from nptables.model import addresses
from nptables.model.endpointslice import Endpoint, EndpointSlice
from nptables.model.kubeproxy import habits as known
from nptables.model.metadata import Metadata
from nptables.model.service import HEADLESS_LABEL, Ingress, Service

Habits = frozenset[str]
# The code of problems with what a kube-proxy hands to iptables-restore, which then refuses all.
BREAKS_RESTORE = "breaks-restore"

_FOR_SERVICES = frozenset(
    habit.name
    for habit in (
        known.IP_MODE,
        known.DECIMAL_ADDRESSES,
        known.EXTERNAL_IPS_LOCAL,
        known.LABELS_BY_KIND,
    )
)
_FOR_SLICES = frozenset({known.USUAL_ENDPOINTS.name, known.LABELS_BY_KIND.name})


def sees_everything(habits: Habits) -> bool:
    """Whether objects are left as they are."""
    return habits.issuperset(_FOR_SERVICES) and habits.issuperset(_FOR_SLICES)


def seen_service(service: Service, habits: Habits) -> Service:
    """The Service as a kube-proxy with some habits sees it."""
    if habits.issuperset(_FOR_SERVICES):
        return service
    changes: dict[str, Any] = {}
    if known.LABELS_BY_KIND.name not in habits and HEADLESS_LABEL in service.metadata.labels:
        changes["hidden"] = HEADLESS_LABEL
    if known.EXTERNAL_IPS_LOCAL.name not in habits and service.type == "ClusterIP":
        changes["external_traffic_policy"] = "Cluster"
    ingress = service.ingress
    octal = service.octal
    # iptables reads numbers as C does, where a leading zero means octal (libxtables/xtables.c).
    if octal is not None and known.DECIMAL_ADDRESSES.name not in habits:
        ingress = tuple(
            Ingress(ip, entry.ip_mode)
            for ip, entry in zip(octal.ingress, ingress, strict=True)
            if ip or not entry.ip
        )
        changes["external_ips"] = tuple(filter(None, octal.external_ips))
        changes["load_balancer_source_ranges"] = tuple(
            filter(None, octal.load_balancer_source_ranges)
        )
        # kube-proxy itself reads the text as decimal when it compares the node's address.
        changes["compared_source_ranges"] = service.load_balancer_source_ranges
        changes["octal"] = None
    if known.IP_MODE.name not in habits:
        ingress = tuple(Ingress(entry.ip) for entry in ingress)
    if ingress != service.ingress:
        changes["ingress"] = ingress
    if all(getattr(service, field) == value for field, value in changes.items()):
        return service
    return attrs.evolve(service, **changes)


def seen_slice(endpoint_slice: EndpointSlice, habits: Habits) -> EndpointSlice | None:
    """The slice as a kube-proxy with some habits sees it, or None where it does not."""
    if habits.issuperset(_FOR_SLICES):
        return endpoint_slice
    # One selector of labels for Services and slices alike: `Run` in cmd/kube-proxy/app/server.go.
    if known.LABELS_BY_KIND.name not in habits and endpoint_slice.claimed:
        return None
    if known.USUAL_ENDPOINTS.name in habits or not any(e.stored for e in endpoint_slice.endpoints):
        return endpoint_slice
    return attrs.evolve(
        endpoint_slice,
        endpoints=tuple(
            attrs.evolve(endpoint, written=endpoint.stored) if endpoint.stored else endpoint
            for endpoint in endpoint_slice.endpoints
            if not breaks_restore(endpoint)
        ),
    )


def breaks_restore(endpoint: Endpoint) -> bool:
    """Whether iptables-restore refuses all rules if they hold the address as it is stored."""
    stored = endpoint.stored
    return bool(stored) and (
        Family.of(stored) is not Family.of(endpoint.address) or addresses.parse_ip(stored) is None
    )


def broken_in_service(service: Service, habits: Habits) -> Iterator[Problem]:
    """The addresses of a Service that make iptables-restore refuse all rules."""
    octal = service.octal
    if octal is None or known.DECIMAL_ADDRESSES.name in habits:
        return
    balancer: Path = ("status", "loadBalancer", "ingress")
    for field, found, usual in (
        (("spec", "externalIPs"), octal.external_ips, service.external_ips),
        (balancer, octal.ingress, tuple(entry.ip for entry in service.ingress)),
        (
            ("spec", "loadBalancerSourceRanges"),
            octal.load_balancer_source_ranges,
            service.load_balancer_source_ranges,
        ),
    ):
        for text, address in zip(found, usual, strict=True):
            if address and not text:
                message = f"{address} is written in a way that iptables-restore refuses"
                yield _broken("Service", service.metadata, field, message)


def broken_in_slice(endpoint_slice: EndpointSlice, habits: Habits) -> Iterator[Problem]:
    """The endpoints of a slice that make iptables-restore refuse all rules."""
    if known.USUAL_ENDPOINTS.name in habits:
        return
    for endpoint in endpoint_slice.endpoints:
        if breaks_restore(endpoint):
            message = f'"{endpoint.stored}" is written in a way that iptables-restore refuses'
            yield _broken("EndpointSlice", endpoint_slice.metadata, ("endpoints",), message)


def _broken(kind: str, of: Metadata, path: Path, message: str) -> Problem:
    return Problem(
        message, code=BREAKS_RESTORE, kind=kind, namespace=of.namespace, name=of.name, path=path
    )
