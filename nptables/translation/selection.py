"""Which endpoints of a service port a node uses, and why.

The choice is a pure function of the endpoints, the Service's policies, the node's name and its
zone. What it noticed on the way is kept, so that it can be said in words later.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter

from nptables.family import Family
from nptables.immutable import frozen
from nptables.model import Endpoint, EndpointSlice, Service, ServicePort
from nptables.model.addresses import spelled_by_go
from nptables.model.kubeproxy import habits as known_habits
from nptables.translation.context import Context

# An endpoint as `address:port` together with what its slice says of it.
PortEndpoint = tuple[str, Endpoint]


class Topology(enum.Enum):
    """Whether hints narrowed the choice; the value is the traffic distribution, or empty."""

    NONE = ""
    SAME_NODE = "PreferSameNode"
    SAME_ZONE = "PreferSameZone"


# What nearly every Service has: to look it up in the class each time would take longer than the
# choice (in Python 3.11).
_NO_TOPOLOGY = Topology.NONE


@frozen
class Selection:
    """The endpoints that a service port uses on a node.

    `known` are all of its endpoints of the family, ready or not. `cluster` and `local` are what
    the traffic policies Cluster and Local use (empty where the Service never uses that
    policy), `reachable` is their union. `usable_anywhere` tells that some endpoint in the
    cluster can take traffic, so that packets are dropped rather than refused where none is
    local. `*_terminating`: no ready endpoint was left, so terminating ones that still serve
    are used.
    """

    known: Sequence[PortEndpoint]
    cluster: Sequence[PortEndpoint] = ()
    local: Sequence[PortEndpoint] = ()
    reachable: Sequence[PortEndpoint] = ()
    usable_anywhere: bool = False
    topology: Topology = Topology.NONE
    cluster_terminating: bool = False
    local_terminating: bool = False


def has_rules(service: Service, family: Family) -> bool:
    """Whether kube-proxy makes rules for a Service in a family."""
    return (
        # Headless Services and ExternalName are skipped in `ShouldSkipService` of
        # pkg/proxy/util/utils.go; those of another proxy are never watched.
        family in service.cluster_ips
        and service.claimed_by is None
        and not service.hidden
        and not service.headless
        and service.type != "ExternalName"
    )


def externally_reachable(service: Service, port: ServicePort, family: Family) -> bool:
    """Whether a service port has any address besides its cluster IP in a family."""
    return bool(port.node_port or external_ips(service, family) or balancer_ips(service, family))


def external_ips(service: Service, family: Family) -> list[str]:
    """The external IPs of a family."""
    found = service.external_ips
    return [address for address in found if Family.of(address) is family] if found else []


def balancer_ips(service: Service, family: Family) -> list[str]:
    """The load-balancer addresses of a family that carry packets to the node unchanged."""
    if not service.ingress:
        return []
    # A load balancer in mode Proxy wants to see the packets itself: KEP-1860.
    return [
        ingress.ip
        for ingress in service.ingress
        if ingress.ip and ingress.ip_mode == "VIP" and Family.of(ingress.ip) is family
    ]


def known_endpoints(
    slices: Iterable[EndpointSlice], port: ServicePort, context: Context
) -> list[PortEndpoint]:
    """The endpoints of a service port as the kube-proxy of a node knows them."""
    # Older ones prefer the entry that is on their own node, so it takes their name to know.
    older = not context.has(known_habits.TERMINATING_NEVER_REPLACES)
    return port_endpoints(slices, port, context.family, context.node_name if older else None)


def port_endpoints(
    slices: Iterable[EndpointSlice],
    port: ServicePort,
    family: Family,
    node_preferred: str | None = None,
) -> list[PortEndpoint]:
    """The endpoints that slices hold for a service port, sorted as kube-proxy sorts them.

    Of an endpoint that stands there several times the last entry counts that is not
    terminating, or the first where all are: an entry that is terminating never takes the place
    of another. With `node_preferred`, as in older kube-proxies, the first counts, or the last
    that is on that node. Slices come sorted by name; kube-proxy visits them in no particular
    order.
    """
    texts: list[str] = []
    endpoints: list[Endpoint] = []
    for endpoint_slice in slices:
        if endpoint_slice.family is not family:
            continue
        for slice_port in endpoint_slice.ports:
            # By name, never by number: the slice has the target port, the Service its own.
            if slice_port.name == port.name and slice_port.protocol == port.protocol:
                texts += _endpoint_texts(endpoint_slice, slice_port.port)
                endpoints += endpoint_slice.endpoints
    entries: Iterable[PortEndpoint] = zip(texts, endpoints, strict=True)
    # Hardly any Service has an endpoint twice.
    if len(set(texts)) < len(texts):
        found: dict[str, Endpoint] = {}
        for text, endpoint in entries:
            if text not in found or (
                not endpoint.terminating
                if node_preferred is None
                else endpoint.node_name == node_preferred
            ):
                found[text] = endpoint
        entries = found.items()
    # As texts, so .10 comes before .9; the order decides which endpoint gets which probability
    # (`endpointsMapFromEndpointInfo` in pkg/proxy/endpointslicecache.go).
    return sorted(entries, key=_TEXT)


_TEXT = itemgetter(0)


def _endpoint_texts(endpoint_slice: EndpointSlice, port: int) -> list[str]:
    if endpoint_slice.family is Family.IPV4:
        to_port = f":{port}"
        return [endpoint.address + to_port for endpoint in endpoint_slice.endpoints]
    return [
        f"[{endpoint.written or spelled_by_go(endpoint.address)}]:{port}"
        for endpoint in endpoint_slice.endpoints
    ]


def endpoint_text(address: str, port: int) -> str:
    """`address:port` as kube-proxy writes and hashes it."""
    if ":" not in address:
        return f"{address}:{port}"
    return f"[{spelled_by_go(address)}]:{port}"


def choose(
    service: Service, port: ServicePort, known: Sequence[PortEndpoint], context: Context
) -> Selection:
    """Choose among the known endpoints as the kube-proxy of a node does."""
    return select(
        service,
        port,
        known,
        context.family,
        context.node_name,
        context.zone_for(service),
        node_hints=context.has(known_habits.NODE_HINTS),
        fallback=context.has(known_habits.TERMINATING_FALLBACK),
    )


def select(
    service: Service,
    port: ServicePort,
    known: Sequence[PortEndpoint],
    family: Family,
    node_name: str,
    zone: str | None,
    *,
    node_hints: bool = True,
    fallback: bool = True,
) -> Selection:
    """Choose among the known endpoints as kube-proxy on `node_name` does.

    Zone hints count where there is a zone, and node hints where `node_hints` says so. With
    `fallback`, terminating endpoints that still serve are used where no ready one is left.
    """
    if not known:
        return Selection(known)
    internal_local, external_local = service.internal_policy_local, service.external_policy_local
    external = (internal_local or external_local) and externally_reachable(service, port, family)
    # Even with two Local policies the Cluster endpoints are needed if the outside reaches the
    # Service: the node and its pods use them for its external addresses (`UsesClusterEndpoints` in
    # pkg/proxy/serviceport.go).
    uses_local = internal_local or (external_local and external)
    uses_cluster = not internal_local or external
    ready: Sequence[PortEndpoint] = [pair for pair in known if pair[1].ready]
    cluster: Sequence[PortEndpoint] = ()
    draining: Sequence[PortEndpoint] = ()
    if len(ready) == len(known):
        ready = known
    elif fallback:
        draining = [pair for pair in known if pair[1].serving and pair[1].terminating]
    topology = _NO_TOPOLOGY
    if uses_cluster:
        topology = _topology(ready, node_name if node_hints else None, zone)
        # Hints narrow the choice only where one fits, so nothing is left only if nothing is ready.
        # Terminating endpoints are taken wherever they are: hints do not count for them.
        cluster = _narrowed(ready, topology, node_name, zone) or draining
    if not uses_local:
        return Selection(
            known,
            cluster=cluster,
            reachable=cluster,
            usable_anywhere=bool(cluster),
            topology=topology,
            cluster_terminating=bool(cluster) and not ready,
        )
    local_ready = [pair for pair in ready if pair[1].node_name == node_name]
    # Cluster and Local fall back on their own (KEP-1669): a terminating endpoint here serves Local
    # while ready ones elsewhere serve Cluster.
    local = local_ready or [pair for pair in draining if pair[1].node_name == node_name]
    return Selection(
        known,
        cluster=cluster,
        local=local,
        reachable=_union(cluster, local),
        usable_anywhere=bool(ready or draining),
        topology=topology,
        cluster_terminating=bool(cluster) and not ready,
        local_terminating=bool(local) and not local_ready,
    )


def _topology(ready: Sequence[PortEndpoint], node_name: str | None, zone: str | None) -> Topology:
    """The narrowing that hints allow: all ready endpoints must carry them, one must fit."""
    if not ready:
        return _NO_TOPOLOGY
    by_node = by_zone = True
    for _, endpoint in ready:
        by_node = by_node and bool(endpoint.node_hints)
        by_zone = by_zone and bool(endpoint.zone_hints)
        if not (by_node or by_zone):
            return _NO_TOPOLOGY
    # Node hints come first, and zone hints are still looked at where none names this node
    # (`topologyModeFromHints` in pkg/proxy/topology.go).
    if by_node and any(node_name in endpoint.node_hints for _, endpoint in ready):
        return Topology.SAME_NODE
    if by_zone and any(zone in endpoint.zone_hints for _, endpoint in ready):
        return Topology.SAME_ZONE
    return _NO_TOPOLOGY


def _narrowed(
    ready: Sequence[PortEndpoint], topology: Topology, node_name: str, zone: str | None
) -> Sequence[PortEndpoint]:
    if topology is _NO_TOPOLOGY:
        return ready
    if topology is Topology.SAME_NODE:
        return [pair for pair in ready if node_name in pair[1].node_hints]
    return [pair for pair in ready if zone in pair[1].zone_hints]


def _union(
    cluster: Sequence[PortEndpoint], local: Sequence[PortEndpoint]
) -> Sequence[PortEndpoint]:
    merged: Mapping[str, Endpoint] = {**dict(cluster), **dict(local)}
    return cluster if len(merged) == len(cluster) else sorted(merged.items())
