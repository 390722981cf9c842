"""Findings about the endpoints of a Service: none, not where they are needed, not known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from nptables.checks import codes
from nptables.checks.causes import ports_spoken_for
from nptables.checks.finding import Code, Finding, Severity
from nptables.errors import Path
from nptables.family import Family
from nptables.model import Cluster, Node, Service, ServicePort
from nptables.translation import Decision
from nptables.translation.backing import backed
from nptables.translation.context import Context
from nptables.translation.selection import (
    PortEndpoint,
    Selection,
    choose,
    externally_reachable,
    known_endpoints,
    port_endpoints,
)
from nptables.words import listed

Viewpoint = tuple[Node, Context]


@attrs.frozen
class _Remark:
    """What is to be said of a port, behind its name; without a path it is about the port."""

    code: Code
    text: str
    path: Path = ()
    severity: Severity | None = None


def endpoint_findings(
    service: Service, cluster: Cluster, viewpoints: Sequence[Viewpoint], family: Family
) -> Iterator[Finding]:
    """Every finding about the endpoints of a Service in a family, as the nodes see them.

    What was not read might refute any of them, so then that is all there is to say. Ports of
    which the same is to be said share a finding.
    """
    if unread := backed(cluster, service).unread:
        for code, chosen in (
            (codes.ENDPOINTS_UNREAD, [str(u) for u in unread if not u.truncated]),
            (codes.ENDPOINTS_TRUNCATED, [str(u) for u in unread if u.truncated]),
        ):
            if chosen:
                text = f"not all of its endpoints are known: {listed(chosen)}"
                yield Finding(code, text, "Service", *service.key, ("spec",))
        return
    spoken_for = ports_spoken_for(service, cluster)
    remarks: dict[_Remark, list[int]] = {}
    for position, port in enumerate(service.ports):
        known = port_endpoints(cluster.slices_of(service), port, family)
        if not known and position in spoken_for:
            continue
        for remark in _about_port(service, port, known, cluster, viewpoints, family):
            remarks.setdefault(remark, []).append(position)
    for remark, positions in remarks.items():
        names = [_name(service.ports[position]) for position in positions]
        label = f"port{'s' if len(names) > 1 else ''} {listed(names)}"
        where: Path = ("spec", "ports", *positions) if len(positions) == 1 else ("spec", "ports")
        found = Finding(
            remark.code, f"{label}: {remark.text}", "Service", *service.key, remark.path or where
        )
        yield found if remark.severity is None else attrs.evolve(found, severity=remark.severity)


def _name(port: ServicePort) -> str:
    return f'"{port.name}"' if port.name else str(port.port)


def _about_port(
    service: Service,
    port: ServicePort,
    known: Sequence[PortEndpoint],
    cluster: Cluster,
    viewpoints: Sequence[Viewpoint],
    family: Family,
) -> Iterator[_Remark]:
    if not known:
        yield _nothing_known(service, port, cluster, family)
        return
    usable = [pair for pair in known if pair[1].ready]
    if not usable:
        usable = [pair for pair in known if pair[1].serving and pair[1].terminating]
        rest = "; terminating ones serve until they end" if usable else ""
        text = f"none of its {len(known)} {family.value} endpoints is ready{rest}"
        yield _Remark(codes.NO_READY_ENDPOINT, text)
    reachable = externally_reachable(service, port, family)
    external = service.external_policy_local and reachable
    some_local = external or service.internal_policy_local
    yield from _strangers(known, cluster, local=some_local)
    # Hints of endpoints that take no traffic count for nothing.
    hinted = any(e.zone_hints or e.node_hints for _, e in usable)
    # Without Nodes it is unknown where Pods will be that were never applied.
    placed = not backed(cluster, service).unplaced
    local = placed and some_local
    if local and usable and not any(endpoint.node_name for _, endpoint in usable):
        field = "externalTrafficPolicy" if external else "internalTrafficPolicy"
        text = f"{field} is Local and none of its {len(usable)} endpoints has a nodeName"
        yield _Remark(codes.NO_NODE_NAME, text, ("spec", field))
        local = False
    # Nor do hints where every packet has to stay on the node.
    spread = reachable or not service.internal_policy_local
    if spread and not hinted and (asked := _asked_for_hints(service, cluster)) and usable:
        text = f"{asked}, and none of its {len(usable)} endpoints carries a hint"
        yield _Remark(codes.HINTS_MISSING, text)
    if local or hinted:
        slices = cluster.slices_of(service)
        chosen = []
        for node, context in viewpoints:
            selection = choose(service, port, known_endpoints(slices, port, context), context)
            chosen.append((node, Decision(service, port, selection, context, cluster)))
        if local:
            yield from _policies(service, chosen, external=external)
        yield from _hints(chosen)


def _nothing_known(
    service: Service, port: ServicePort, cluster: Cluster, family: Family
) -> _Remark:
    slices = [s for s in cluster.slices_of(service) if s.family is family]
    offered = {(p.name, p.protocol) for s in slices for p in s.ports}
    if offered and (port.name, port.protocol) not in offered:
        found = listed(sorted(f'"{name}"/{protocol}' for name, protocol in offered))
        text = f'it is "{port.name}"/{port.protocol}; its EndpointSlices have {found}'
        return _Remark(codes.SLICE_PORT_MISMATCH, text)
    why = "its EndpointSlices hold none" if slices else "no EndpointSlice belongs to it"
    return _Remark(codes.NO_READY_ENDPOINT, f"no {family.value} endpoint: {why}")


def _strangers(
    known: Sequence[PortEndpoint], cluster: Cluster, *, local: bool
) -> Iterator[_Remark]:
    """Node names that no Node has, which breaks traffic where a policy is Local.

    Where others are known, the input may just not hold all Nodes; unless one is spelled nearly
    the same.
    """
    carried = {endpoint.node_name for _, endpoint in known if endpoint.node_name}
    nodes = cluster.nodes
    strangers = sorted(carried - set(nodes))
    if not nodes or not strangers or not cluster.knows_all_nodes:
        return
    if len(strangers) < len(carried):
        spelled = {_short(name) for name in nodes}
        strangers = [name for name in strangers if _short(name) in spelled]
    if strangers:
        text = f"endpoints name {listed(strangers)}; the Nodes are {listed(sorted(nodes))}"
        yield _Remark(codes.NODE_NAME_MISMATCH, text, severity=None if local else Severity.WARNING)


def _short(name: str) -> str:
    return name.partition(".")[0].lower()


def _asked_for_hints(service: Service, cluster: Cluster) -> str:
    """What asks for hints, in words; empty where nothing does, or no controller saw the Service."""
    if any(found.derived for found in cluster.slices_of(service)):
        return ""
    if service.traffic_distribution:
        return f"trafficDistribution is {service.traffic_distribution}"
    if service.topology_mode.lower() not in ("", "disabled"):
        return f"the annotation for topology hints says {service.topology_mode}"
    return ""


def _policies(
    service: Service, chosen: Sequence[tuple[Node, Decision]], *, external: bool
) -> Iterator[_Remark]:
    without = [node.name for node, decision in chosen if _has_gap(decision.selection)]
    if not without:
        return
    where = f"and no endpoint is on {listed(without)}"
    if external:
        field, severity, more = "externalTrafficPolicy", None, ""
        if service.health_check_port:
            severity = Severity.INFO
            more = (
                f"; load balancers that ask healthCheckNodePort {service.health_check_port} "
                f"keep away from there"
            )
        text = f"{field} is Local {where}{more}"
        yield _Remark(codes.LOCAL_POLICY_GAP, text, ("spec", field), severity)
    if service.internal_policy_local:
        field = "internalTrafficPolicy"
        yield _Remark(codes.INTERNAL_LOCAL_GAP, f"{field} is Local {where}", ("spec", field))


def _has_gap(selection: Selection) -> bool:
    return selection.usable_anywhere and not selection.local


def _hints(chosen: Sequence[tuple[Node, Decision]]) -> Iterator[_Remark]:
    found: dict[str, list[str]] = {}
    for node, decision in chosen:
        for reason in decision.reasons:
            if reason.code in ("hints-node-ignored", "hints-zone-ignored"):
                found.setdefault(reason.text, []).append(node.name)
    for text, names in found.items():
        yield _Remark(codes.HINTS_IGNORED, f"{text} (on {listed(names)})", ("spec",))
