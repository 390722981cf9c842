"""Findings about what manifests say, for every node they hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from nptables.checks import codes
from nptables.checks.causes import cause_findings, ports_spoken_for, with_pods
from nptables.checks.finding import Code, Finding
from nptables.errors import Path
from nptables.family import Family
from nptables.model import Cluster, Node, ProxyConfig, Service
from nptables.model.config import PRIMARY
from nptables.model.service import DEFAULT_AFFINITY_SECONDS, zero_network
from nptables.translation import Decision
from nptables.translation.assembly import find_claims
from nptables.translation.collisions import Claim, find_collisions
from nptables.translation.context import make_context
from nptables.translation.explanation.decision import has_rules
from nptables.translation.selection import Selection, port_endpoints, select

NODE_PORTS = (30000, 32767)
_SHORT_SECONDS = 60
_LISTED = 8

Place = Callable[[str, str, str, Path], tuple[str, int | None, int | None] | None]
Pods = Sequence[Mapping[str, Any]]


def check_cluster(
    cluster: Cluster,
    config: ProxyConfig | None = None,
    *,
    nodes: Sequence[Node] | None = None,
    pods: Pods = (),
    place: Place | None = None,
) -> list[Finding]:
    """Every finding about a cluster, by object and code.

    `nodes` are the nodes to look at; without, all the cluster has. `pods` are Pod objects as
    mappings, for what only they can tell. `place` says where an object was read: kind,
    namespace, name and field path to file, line and column.
    """
    if pods:
        cluster = with_pods(cluster, pods)
    looked_at = list(cluster.nodes.values()) if nodes is None else list(nodes)
    found = list(_findings(cluster, config or ProxyConfig(), looked_at))
    unique = dict.fromkeys(found)
    ordered = sorted(unique, key=lambda f: (f.kind, f.namespace, f.name, f.what.code, f.message))
    return [_placed(finding, place) for finding in ordered]


def _placed(finding: Finding, place: Place | None) -> Finding:
    if place is None or not finding.kind:
        return finding
    found = place(finding.kind, finding.namespace, finding.name, finding.path)
    if found is None:
        return finding
    return attrs.evolve(finding, file=found[0], line=found[1], column=found[2])


def _findings(cluster: Cluster, config: ProxyConfig, nodes: Sequence[Node]) -> Iterator[Finding]:
    for service in cluster.services.values():
        yield from _about_spec(service)
        yield from cause_findings(service, cluster)
        for family in Family:
            if has_rules(service, family):
                yield from _about_endpoints(service, cluster, config, nodes, family)
    for family in Family:
        claims = find_claims(cluster, family)
        yield from _collisions(claims, cluster, family)
        yield from _primary(config, nodes, claims, family)
    for problem in cluster.problems:
        yield Finding(
            codes.LEFT_OUT,
            f"{problem.field}: {problem.message}" if problem.field else problem.message,
            problem.kind,
            problem.namespace,
            problem.name,
            problem.path,
        )


def _of(service: Service, code: Code, message: str, *path: str | int) -> Finding:
    return Finding(code, message, "Service", service.namespace, service.name, path)


def _about_spec(service: Service) -> Iterator[Finding]:
    if service.headless or service.type == "ExternalName":
        return
    for position, port in enumerate(service.ports):
        if port.node_port and not NODE_PORTS[0] <= port.node_port <= NODE_PORTS[1]:
            text = f"nodePort {port.node_port} is outside {NODE_PORTS[0]}-{NODE_PORTS[1]}"
            yield _of(service, codes.NODE_PORT_UNUSUAL, text, "spec", "ports", position, "nodePort")
    ranges = [n for n in service.load_balancer_source_ranges if not zero_network(n)]
    ports = [port.node_port for port in service.ports if port.node_port]
    if ranges and ports and service.type == "LoadBalancer":
        yield _of(
            service,
            codes.NODE_PORT_UNPROTECTED,
            f"source ranges {_list(ranges)} do not guard nodePort {_list(map(str, ports))}",
            "spec",
            "loadBalancerSourceRanges",
        )
    if service.external_ips:
        text = f"externalIPs {_list(service.external_ips)}"
        yield _of(service, codes.EXTERNAL_IPS, text, "spec", "externalIPs")
    if service.session_affinity_seconds:
        yield from _affinity(service)


def _affinity(service: Service) -> Iterator[Finding]:
    seconds = service.session_affinity_seconds
    text = f"sessionAffinity ClientIP remembers 100 clients for each endpoint, for {seconds} s"
    yield _of(service, codes.AFFINITY_MEMORY, text, "spec", "sessionAffinity")
    if seconds < _SHORT_SECONDS or seconds > 8 * DEFAULT_AFFINITY_SECONDS:
        yield _of(
            service,
            codes.AFFINITY_TIMEOUT,
            f"the affinity timeout is {seconds} s",
            "spec",
            "sessionAffinityConfig",
        )
    if len(service.ports) > 1:
        text = f"affinity of {len(service.ports)} ports, each by itself"
        yield _of(service, codes.AFFINITY_PER_PORT, text, "spec", "sessionAffinity")
    udp = [port.name or str(port.port) for port in service.ports if port.protocol == "UDP"]
    if udp:
        text = f"affinity for UDP port {_list(udp)}"
        yield _of(service, codes.AFFINITY_UDP, text, "spec", "sessionAffinity")


def _about_endpoints(
    service: Service,
    cluster: Cluster,
    config: ProxyConfig,
    nodes: Sequence[Node],
    family: Family,
) -> Iterator[Finding]:
    slices = cluster.slices_of(service)
    spoken_for = ports_spoken_for(service, cluster)
    for position, port in enumerate(service.ports):
        where = ("spec", "ports", position)
        label = f'port "{port.name}"' if port.name else f"port {port.port}"
        known = port_endpoints(slices, port, family)
        if not known:
            if position not in spoken_for:
                yield from _nothing_known(service, cluster, position, label, family)
            continue
        if not any(endpoint.ready for _, endpoint in known):
            draining = any(e.serving and e.terminating for _, e in known)
            rest = "; terminating ones serve until they end" if draining else ""
            text = f"{label}: none of its {len(known)} {family.value} endpoints is ready{rest}"
            yield _of(service, codes.NO_READY_ENDPOINT, text, *where)
        carried = {endpoint.node_name for _, endpoint in known if endpoint.node_name}
        strangers = sorted(carried - set(cluster.nodes))
        if cluster.nodes and strangers:
            yield _of(
                service,
                codes.NODE_NAME_MISMATCH,
                f"{label}: endpoints name {_list(strangers)}; the Nodes are "
                f"{_list(sorted(cluster.nodes))}",
                *where,
            )
        chosen = []
        for node in nodes:
            selection = select(service, port, known, family, node.name, node.zone)
            context = make_context(node, config, family)
            chosen.append((node, Decision(service, port, selection, context, cluster)))
        yield from _policies(service, chosen, label)
        yield from _hints(service, chosen, label)


def _nothing_known(
    service: Service, cluster: Cluster, position: int, label: str, family: Family
) -> Iterator[Finding]:
    port = service.ports[position]
    slices = [s for s in cluster.slices_of(service) if s.family is family]
    offered = {(p.name, p.protocol) for s in slices for p in s.ports}
    where = ("spec", "ports", position)
    if offered and (port.name, port.protocol) not in offered:
        listed = _list(sorted(f'"{name}"/{protocol}' for name, protocol in offered))
        text = f'{label} is "{port.name}"/{port.protocol}; its EndpointSlices have {listed}'
        yield _of(service, codes.SLICE_PORT_MISMATCH, text, *where)
        return
    why = "its EndpointSlices hold none" if slices else "no EndpointSlice belongs to it"
    yield _of(
        service, codes.NO_READY_ENDPOINT, f"{label}: no {family.value} endpoint: {why}", *where
    )


def _policies(
    service: Service, chosen: Sequence[tuple[Node, Decision]], label: str
) -> Iterator[Finding]:
    for code, field, applies in (
        (codes.LOCAL_POLICY_GAP, "externalTrafficPolicy", service.external_policy_local),
        (codes.INTERNAL_LOCAL_GAP, "internalTrafficPolicy", service.internal_policy_local),
    ):
        without = [node.name for node, decision in chosen if _has_gap(decision.selection)]
        if applies and without:
            text = f"{label}: {field} is Local and no endpoint is on {_list(without)}"
            yield _of(service, code, text, "spec", field)


def _has_gap(selection: Selection) -> bool:
    return selection.usable_anywhere and not selection.local


def _hints(
    service: Service, chosen: Sequence[tuple[Node, Decision]], label: str
) -> Iterator[Finding]:
    found: dict[str, list[str]] = {}
    for node, decision in chosen:
        for reason in decision.reasons:
            if reason.code in ("hints-node-ignored", "hints-zone-ignored"):
                found.setdefault(reason.text, []).append(node.name)
    for text, names in found.items():
        yield _of(service, codes.HINTS_IGNORED, f"{label}: {text} (on {_list(names)})", "spec")


def _collisions(claims: Sequence[Claim], cluster: Cluster, family: Family) -> Iterator[Finding]:
    for collision in find_collisions(claims, family):
        winner = collision.ports[0]
        for loser in collision.ports[1:]:
            service = cluster.services[loser.namespace, loser.name]
            twice = collision.what.startswith("nodePort")
            code = codes.NODE_PORT_TWICE if twice else codes.SAME_ADDRESS
            text = f"{collision.what} is also that of {winner}, which gets the packets"
            yield _of(service, code, text, "spec")


def _primary(
    config: ProxyConfig, nodes: Sequence[Node], claims: Sequence[Claim], family: Family
) -> Iterator[Finding]:
    if config.node_port_addresses != (PRIMARY,) or not any(c.port.node_port for c in claims):
        return
    for node in nodes:
        if node.address(family, config.bind_address) in ("127.0.0.1", "::1"):
            text = f"nodePortAddresses is primary and the node has no {family.value} address"
            yield Finding(codes.PRIMARY_WITHOUT_ADDRESS, text, "Node", "", node.name, ("status",))


def _list(items: Any) -> str:
    found = list(items)
    listed = ", ".join(found[:_LISTED])
    return f"{listed} and {len(found) - _LISTED} more" if len(found) > _LISTED else listed
