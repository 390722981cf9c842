"""Findings about what manifests say, for every node they hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from nptables.checks import codes, frontends
from nptables.checks.causes import cause_findings, with_pods
from nptables.checks.endpoints import endpoint_findings
from nptables.checks.finding import Code, Finding, arranged
from nptables.errors import Path
from nptables.family import Family
from nptables.model import Cluster, Node, ProxyConfig, Service
from nptables.model.backing import Place
from nptables.model.service import zero_network
from nptables.translation.assembly import find_claims
from nptables.translation.context import make_context
from nptables.translation.selection import has_rules
from nptables.words import listed

# kube-apiserver --service-node-port-range, unless it is told otherwise.
NODE_PORTS = (30000, 32767)
_SHORT_SECONDS = 60

Pods = Sequence[Mapping[str, Any]]


def check_cluster(
    cluster: Cluster,
    config: ProxyConfig | None = None,
    *,
    nodes: Sequence[Node] | None = None,
    pods: Pods = (),
    place: Place | None = None,
    node_ports: tuple[int, int] = NODE_PORTS,
) -> list[Finding]:
    """Every finding about a cluster, the worst first, then by code and object.

    `nodes` are the nodes to look at; without, all the cluster has. `pods` are Pod objects as
    mappings, for what only they can tell. `place` says where an object was read: kind,
    namespace, name and field path to file, line and column. `node_ports` are the first and the
    last node port that the API server assigns.
    """
    if pods:
        cluster = with_pods(cluster, pods)
    looked_at = list(cluster.nodes.values()) if nodes is None else list(nodes)
    config = config or ProxyConfig()
    cluster = _without_unserved(cluster.seen_by(config.habits), config)
    found = _findings(cluster, config, looked_at, node_ports)
    return [_placed(finding, place) for finding in arranged(found)]


def _without_unserved(cluster: Cluster, config: ProxyConfig) -> Cluster:
    """The cluster without external IPs where kube-proxy makes no rules for any."""
    if config.serves_external_ips:
        return cluster
    services = {
        key: attrs.evolve(service, external_ips=()) if service.external_ips else service
        for key, service in cluster.services.items()
    }
    return attrs.evolve(cluster, services=services)


def _placed(finding: Finding, place: Place | None) -> Finding:
    return finding if place is None else finding.placed(place)


def _findings(
    cluster: Cluster, config: ProxyConfig, nodes: Sequence[Node], node_ports: tuple[int, int]
) -> Iterator[Finding]:
    contexts = {
        node.name: {family: make_context(node, config, family) for family in Family}
        for node in nodes
    }
    claims = {family: find_claims(cluster, family) for family in Family}
    for service in cluster.services.values():
        yield from _unusual_node_ports(service, node_ports)
        if any(has_rules(service, family) for family in Family):
            yield from _about_spec(service)
        yield from cause_findings(service, cluster)
        for family in Family:
            if has_rules(service, family):
                viewpoints = [(node, contexts[node.name][family]) for node in nodes]
                yield from endpoint_findings(service, cluster, viewpoints, family)
    for family, found in claims.items():
        yield from frontends.collisions(found, family)
    every = [claim for found in claims.values() for claim in found]
    yield from frontends.health_check_ports(every)
    served = {claim.service.key: claim.service for claim in every}.values()
    yield from frontends.addresses_of_nodes(served, (*nodes, *cluster.nodes.values()))
    with_ports = {family for family in Family if any(c.port.node_port for c in claims[family])}
    for node in nodes:
        yield from frontends.node_port_addresses(config, node, contexts[node.name], with_ports)
    for problem in cluster.problems:
        yield Finding(
            codes.LEFT_OUT,
            problem.message,
            problem.kind,
            problem.namespace,
            problem.name,
            problem.path,
        )


def _of(service: Service, code: Code, message: str, *path: str | int) -> Finding:
    return Finding(code, message, "Service", service.namespace, service.name, path)


def _unusual_node_ports(service: Service, usual: tuple[int, int]) -> Iterator[Finding]:
    if service.headless or service.type == "ExternalName":
        return
    first, last = usual
    numbers: list[tuple[int, Path]] = [
        (port.node_port or 0, ("spec", "ports", position, "nodePort"))
        for position, port in enumerate(service.ports)
    ]
    # It is taken from the same range: `allocHealthCheckNodePort` in
    # pkg/registry/core/service/storage/alloc.go.
    numbers.append((service.health_check_port, ("spec", "healthCheckNodePort")))
    for number, path in numbers:
        if number and not first <= number <= last:
            text = f"{path[-1]} {number} is outside {first}-{last}"
            yield _of(service, codes.NODE_PORT_UNUSUAL, text, *path)


def _about_spec(service: Service) -> Iterator[Finding]:
    """What is to be said of a Service that kube-proxy makes rules for."""
    every = service.load_balancer_source_ranges
    # Beside a range that holds everything, the others of its family refuse nobody.
    open_to_all = {Family.of(network) for network in every if zero_network(network)}
    ranges = [network for network in every if Family.of(network) not in open_to_all]
    ports = [port.node_port for port in service.ports if port.node_port]
    # For better or for worse, as kube-proxy says: `syncProxyRules` in proxier.go.
    if ranges and ports and service.type == "LoadBalancer":
        yield _of(
            service,
            codes.NODE_PORT_UNPROTECTED,
            f"source ranges {listed(ranges)} do not guard nodePort {listed(map(str, ports))}",
            "spec",
            "loadBalancerSourceRanges",
        )
    if service.external_ips:
        text = f"externalIPs {listed(service.external_ips)}"
        yield _of(service, codes.EXTERNAL_IPS, text, "spec", "externalIPs")
    if service.session_affinity_seconds:
        yield from _affinity(service)


def _affinity(service: Service) -> Iterator[Finding]:
    seconds = service.session_affinity_seconds
    # The default of ip_list_tot in net/netfilter/xt_recent.c.
    text = f"sessionAffinity ClientIP remembers 100 clients for each endpoint, for {seconds} s"
    yield _of(service, codes.AFFINITY_MEMORY, text, "spec", "sessionAffinity")
    if seconds < _SHORT_SECONDS:
        yield _of(
            service,
            codes.AFFINITY_TIMEOUT,
            f"the affinity timeout is {seconds} s",
            "spec",
            "sessionAffinityConfig",
        )
    if len(service.ports) > 1:
        text = f"affinity is kept for each of the {len(service.ports)} ports separately"
        yield _of(service, codes.AFFINITY_PER_PORT, text, "spec", "sessionAffinity")
    # A UDP flow is one conntrack entry for as long as it lasts, and keeps its endpoint anyway.
    udp = [port.name or str(port.port) for port in service.ports if port.protocol == "UDP"]
    if udp:
        text = f"affinity for UDP port {listed(udp)}"
        yield _of(service, codes.AFFINITY_UDP, text, "spec", "sessionAffinity")
