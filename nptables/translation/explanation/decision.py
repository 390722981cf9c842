"""Why the rules are as they are, in words.

A Decision says for one service port which endpoints were chosen, and for a Service without
rules why it has none. The words are made when somebody reads them: rules do not need them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import attrs

from nptables.family import Family
from nptables.immutable import frozen
from nptables.model import Cluster, Service, ServicePort
from nptables.model.kubeproxy import habits
from nptables.model.service import TOPOLOGY_ANNOTATIONS, zero_network
from nptables.translation import backing
from nptables.translation.chains import ServicePortName
from nptables.translation.context import Context
from nptables.translation.explanation.notices import UNPLACED, UNREAD, UNTOLD
from nptables.translation.selection import (
    PortEndpoint,
    Selection,
    Topology,
    balancer_ips,
    external_ips,
    externally_reachable,
)
from nptables.words import counted, listed

if TYPE_CHECKING:
    from nptables.translation.backing import Cause

_LISTED = 8


@frozen
class Reason:
    """One reason: a stable code, and a sentence.

    `plain` is the sentence without the word for the verdict in front of it, where it has one.
    """

    code: str
    text: str
    plain: str = attrs.field(default="", eq=False)

    @property
    def words(self) -> str:
        """The sentence alone, for somebody who is told the verdict beside it."""
        return self.plain or self.text

    def __str__(self) -> str:
        return self.text


@frozen
class Decision:
    """What was decided for one service port, or for a Service that gets no rules.

    `port` is None and `selection` empty where the whole Service was skipped.
    """

    service: Service
    port: ServicePort | None
    selection: Selection
    context: Context
    cluster: Cluster = attrs.field(repr=False, eq=False)

    @property
    def name(self) -> ServicePortName | None:
        """The service port, or None for a skipped Service."""
        if self.port is None:
            return None
        return ServicePortName(*self.service.key, self.port.name, self.port.protocol)

    @property
    def skipped(self) -> bool:
        """Whether the Service gets no rules in this family."""
        return self.port is None

    @property
    def subject(self) -> str:
        """The service port or the Service as text."""
        return str(self.name) if self.port is not None else "/".join(self.service.key)

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Everything that led to the decision, most telling first."""
        if self.port is None:
            return (skip_reason(self.service, self.context.family),)
        return tuple(_reasons(self, self.port))


def skip_reason(service: Service, family: Family) -> Reason:
    """Why a Service has no rules in a family."""
    # In the order in which they hide one another: what kube-proxy does not watch it never looks at.
    if service.claimed_by is not None:
        return _skipped(
            "other-proxy",
            f"the label service.kubernetes.io/service-proxy-name gives it to "
            f'the proxy "{service.claimed_by}"',
        )
    if service.hidden:
        return _skipped(
            "hidden",
            f"it has the label {service.hidden}, and kube-proxies before "
            f"{habits.LABELS_BY_KIND.since} do not see such a Service",
        )
    if service.headless:
        return _skipped("headless", "it is headless (clusterIP is None)")
    if service.type == "ExternalName":
        return _skipped("external-name", "it is of type ExternalName, which DNS alone serves")
    if service.cluster_ips:
        return _skipped(
            "other-family",
            f"it has no {family.value} cluster IP, only {family.other.value}",
        )
    return _skipped("no-cluster-ip", "it has no cluster IP")


def _skipped(code: str, why: str) -> Reason:
    return Reason(code, f"skipped: {why}", why)


def _reasons(decision: Decision, port: ServicePort) -> Iterator[Reason]:
    service, selection, context = decision.service, decision.selection, decision.context
    external = externally_reachable(service, port, context.family)
    unknown = unknown_reason(service, decision.cluster)
    if unknown is not None:
        yield unknown
    yield from _outcome(decision, external=external)
    if not selection.known:
        yield from () if unknown is not None else _why_none_known(decision, port)
    else:
        yield from _conditions(selection)
        yield from _topology(service, selection, context)
        yield from _doubts(decision, port)
    yield from _frontends(service, context)


def unknown_reason(service: Service, cluster: Cluster, *, local: bool = False) -> Reason | None:
    """Why not all endpoints of a Service are known: one of `notices.UNKNOWN`; None where they are.

    With `local`, also why it is not known which of them are on a node.
    """
    if cluster.knows_all_endpoints:
        return None
    standing = backing.backed(cluster, service)
    if standing.unread:
        listed = _list([str(unread) for unread in standing.unread])
        return Reason(UNREAD, f"not all endpoints are known: {listed}")
    if standing.unknown:
        return Reason(UNTOLD, f"its endpoints are unknown: {standing.unknown}")
    if local and standing.unplaced:
        return Reason(UNPLACED, "the nodes of its Pods are unknown")
    return None


def _outcome(decision: Decision, *, external: bool) -> Iterator[Reason]:
    service, selection = decision.service, decision.selection
    node = decision.context.node_name
    if not selection.usable_anywhere:
        where = "anywhere" if backing.backed(decision.cluster, service).known else "that is known"
        yield Reason("no-endpoints", f"refused: no endpoint {where} can take traffic")
        return
    for what, local, applies in (
        ("internal", service.internal_policy_local, True),
        ("external", service.external_policy_local, external),
    ):
        if not applies:
            continue
        if not local:
            count = len(selection.cluster)
            yield Reason(
                f"{what}-cluster",
                f"{what} traffic policy Cluster: {_endpoints(count)} in use, on any node",
            )
        elif selection.local:
            yield Reason(
                f"{what}-local",
                f"{what} traffic policy Local: {_endpoints(len(selection.local))} on {node} in use",
            )
        else:
            unknown = unknown_reason(service, decision.cluster, local=True)
            where = elsewhere(selection, node) if unknown is None else unknown.text
            yield Reason(
                f"{what}-local-none", f"dropped: {what} traffic policy is Local and {where}"
            )


def elsewhere(selection: Selection, node: str) -> str:
    """Where the endpoints are that the Local policy misses on a node, in words."""
    ready = [pair for pair in selection.known if pair[1].ready]
    usable = ready or [p for p in selection.known if p[1].serving and p[1].terminating]
    kind = "ready" if ready else "terminating"
    nodes = sorted({endpoint.node_name or "no node" for _, endpoint in usable})
    if len(usable) == 1:
        return f"its only {kind} endpoint is not on {node} (it is on {nodes[0]})"
    return f"none of its {len(usable)} {kind} endpoints is on {node} (they are on {_list(nodes)})"


def _why_none_known(decision: Decision, port: ServicePort) -> Iterator[Reason]:
    family = decision.context.family
    slices = decision.cluster.slices_of(decision.service)
    standing = backing.backed(decision.cluster, decision.service)
    if standing.causes and not slices:
        yield from (Reason("no-slices", str(cause)) for cause in standing.causes)
        return
    if not slices:
        older = not decision.context.has(habits.LABELS_BY_KIND)
        said = (
            "no EndpointSlice belongs to it, or all have labels by which "
            f"kube-proxies before {habits.LABELS_BY_KIND.since} do not see them"
            if older
            else "no EndpointSlice belongs to it"
        )
        yield Reason("no-slices", said)
        return
    of_family = [s for s in slices if s.family is family]
    if not of_family:
        yield Reason("no-slices-of-family", f"none of its EndpointSlices is {family.value}")
        return
    wanted = f'"{port.name}"/{port.protocol}'
    offered = sorted({f'"{p.name}"/{p.protocol}' for s in of_family for p in s.ports})
    targets = _target_causes(decision, port)
    if targets:
        yield from (Reason("port-mismatch", str(cause)) for cause in targets)
    elif f"{wanted}" not in offered:
        yield Reason(
            "port-mismatch",
            f"no EndpointSlice has a port {wanted}; they have {_list(offered) or 'no ports'}",
        )
    else:
        yield Reason("no-addresses", "its EndpointSlices hold no endpoints")


def _doubts(decision: Decision, port: ServicePort) -> Iterator[Reason]:
    """Likely mistakes in the endpoints, where the input contains the workloads behind them."""
    service, given = decision.service, decision.cluster.backing
    if given is None or given.listed:
        return
    standing = backing.backed(decision.cluster, service)
    if standing.unread:
        return
    causes = [*standing.causes, *_target_causes(decision, port)]
    for cause in (*causes, *backing.readiness_causes(service, given)):
        yield Reason(cause.code, str(cause))


def _target_causes(decision: Decision, port: ServicePort) -> list[Cause]:
    """Why no Pod of the input has the target of a port, where it holds what makes them."""
    given = decision.cluster.backing
    if given is None or given.listed:
        return []
    position = decision.service.ports.index(port)
    causes = backing.port_causes(decision.service, given)
    return [cause for cause in causes if position in cause.path]


def _conditions(selection: Selection) -> Iterator[Reason]:
    known = selection.known
    draining = [p for p in known if not p[1].ready and p[1].serving and p[1].terminating]
    unusable = [p for p in known if not p[1].ready and p not in draining]
    if unusable:
        yield Reason("not-ready", f"not ready: {_texts(unusable)}")
    if draining and (selection.cluster_terminating or selection.local_terminating):
        where = "anywhere" if selection.cluster_terminating else "on this node"
        yield Reason(
            "terminating-used",
            f"no ready endpoint {where}, so terminating ones that still serve are used: "
            f"{_texts(draining)}",
        )
    elif draining:
        yield Reason(
            "terminating-ignored", f"terminating, so not used while others are: {_texts(draining)}"
        )


def _topology(service: Service, selection: Selection, context: Context) -> Iterator[Reason]:
    ready = [pair for pair in selection.known if pair[1].ready]
    hinted_nodes = [pair for pair in ready if pair[1].node_hints]
    hinted_zones = [pair for pair in ready if pair[1].zone_hints]
    if selection.topology is Topology.SAME_NODE:
        yield Reason(
            "hints-node", f"hints: {_endpoints(len(selection.cluster))} for {context.node_name}"
        )
        return
    if selection.topology is Topology.SAME_ZONE:
        yield Reason(
            "hints-zone", f"hints: {_endpoints(len(selection.cluster))} for zone {context.zone}"
        )
        return
    if not (hinted_nodes or hinted_zones):
        return
    # Hints count for the Cluster policy alone: `CategorizeEndpoints` in pkg/proxy/topology.go.
    policies_local = service.internal_policy_local and not selection.cluster
    if policies_local:
        return
    unheeded = _unheeded(service, context)
    for kind, hinted, fitting in (
        ("node", hinted_nodes, f"none is for {context.node_name}"),
        ("zone", hinted_zones, _no_zone(context)),
    ):
        if not hinted:
            continue
        missing = [pair for pair in ready if pair not in hinted]
        why = unheeded[kind] or (f"{_texts(missing)} without" if missing else fitting)
        yield Reason(f"hints-{kind}-ignored", f"{kind} hints ignored: {why}")


def _unheeded(service: Service, context: Context) -> dict[str, str]:
    """Why this version of kube-proxy looks at no hint of a kind, or an empty string."""
    found = {"node": "", "zone": ""}
    if not context.has(habits.NODE_HINTS):
        found["node"] = f"kube-proxy {context.version} does not look at them"
    if not context.has(habits.ZONE_HINTS):
        found["zone"] = "the gate TopologyAwareHints is off"
    elif context.zone_for(service) is None and context.zone:
        found["zone"] = (
            f"kube-proxy {context.version} wants the annotation {TOPOLOGY_ANNOTATIONS[-1]}: Auto"
        )
    return found


def _no_zone(context: Context) -> str:
    if not context.zone:
        return f"{context.node_name} has no label topology.kubernetes.io/zone"
    return f"none is for zone {context.zone}"


def _frontends(service: Service, context: Context) -> Iterator[Reason]:
    family = context.family
    addresses = external_ips(service, family)
    if addresses and not context.allow_external_ips:
        yield Reason(
            "external-ips-off",
            f"external IPs without rules, AllowServiceExternalIPs is off: {_list(addresses)}",
        )
    proxied = [
        ingress.ip
        for ingress in service.ingress
        if ingress.ip and ingress.ip_mode != "VIP" and Family.of(ingress.ip) is family
    ]
    if proxied:
        yield Reason("ip-mode-proxy", f"load-balancer IPs of ipMode Proxy: {_list(proxied)}")
    ranges = [n for n in service.load_balancer_source_ranges if Family.of(n) is family]
    if balancer_ips(service, family) and ranges:
        if any(zero_network(network) for network in ranges):
            yield Reason(
                "source-ranges-open", "the source ranges contain every address: nobody is refused"
            )
        else:
            yield Reason("source-ranges", f"load-balancer IPs only for {_list(ranges)}")


def _endpoints(count: int) -> str:
    return counted(count, "endpoint")


def _texts(pairs: Sequence[PortEndpoint]) -> str:
    return _list([text for text, _ in pairs])


def _list(items: Sequence[str]) -> str:
    return listed(items, _LISTED)
