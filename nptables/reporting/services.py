"""What the page tells of one Service: endpoints, decisions, findings, and its rules as a graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from nptables.checks import Finding
from nptables.errors import printable
from nptables.family import Family
from nptables.graphs import service_graph, svg_element
from nptables.model import Cluster, Node, Service
from nptables.reachability import Configs, config_of
from nptables.translation import Decision, Reason
from nptables.translation.assembly import translate_some

Key = tuple[str, str]


@attrs.frozen
class EndpointView:
    """One endpoint of a service port, and who uses it."""

    text: str
    state: str
    node: str
    pod: str
    used: str


@attrs.frozen
class PortView:
    """What was decided for a service port on the node that is shown."""

    name: str
    reasons: tuple[Reason, ...]
    endpoints: tuple[EndpointView, ...]
    hidden: int


@attrs.frozen
class ServiceView:
    """One Service; `graphs` are SVG elements by family, `node` the one whose rules are drawn."""

    key: str
    service: Service
    node: str
    ports: tuple[PortView, ...]
    graphs: Mapping[str, str]
    findings: tuple[Finding, ...]

    @property
    def name(self) -> str:
        """Namespace and name, printable."""
        return printable("/".join(self.service.key), 200)

    @property
    def affinity(self) -> str:
        """The session affinity in words."""
        seconds = self.service.session_affinity_seconds
        return f"ClientIP, {seconds} s" if seconds else "None"


_MOST_ENDPOINTS = 50


class ServicesOf:
    """The Services of a cluster, as they are looked at one by one."""

    def __init__(
        self,
        cluster: Cluster,
        configs: Configs,
        findings: Sequence[Finding],
        *,
        drawn: bool,
    ) -> None:
        self._cluster = cluster
        self._configs = configs
        self._drawn = drawn
        self._findings: dict[Key, list[Finding]] = {}
        for finding in findings:
            if finding.kind == "Service":
                key = (finding.namespace, finding.name)
                self._findings.setdefault(key, []).append(finding)

    def view(self, key: Key, number: int, node: Node) -> ServiceView:
        """A Service as it is on a node."""
        config = config_of(self._configs, node.name)
        seen = self._cluster.seen_by(config.habits)
        service = seen.services[key]
        ports: list[PortView] = []
        graphs: dict[str, str] = {}
        for family in Family:
            if family not in (service.cluster_ips or (Family.IPV4,)):
                continue
            rules = translate_some(seen, node, config, family, [service], comments=True)
            ports += [_port_view(decision, family, seen) for decision in rules.decisions]
            if self._drawn and rules.ports:
                graphs[family.value] = svg_element(service_graph(rules, key))
        findings = tuple(self._findings.get(key, ()))
        return ServiceView(f"s{number}", service, node.name, tuple(ports), graphs, findings)


def _port_view(decision: Decision, family: Family, cluster: Cluster) -> PortView:
    decision = attrs.evolve(decision, cluster=cluster)
    selection = decision.selection
    by_cluster = {text for text, _ in selection.cluster}
    local = {text for text, _ in selection.local}
    found = []
    for text, endpoint in selection.known[:_MOST_ENDPOINTS]:
        state = "ready" if endpoint.ready else "draining" if endpoint.terminating else "not ready"
        uses = [word for word, used in (("Cluster", by_cluster), ("Local", local)) if text in used]
        found.append(
            EndpointView(
                text,
                state,
                endpoint.node_name or "no node",
                endpoint.target,
                ", ".join(uses) or "-",
            )
        )
    return PortView(
        printable(f"{decision.subject} ({family.value})", 200),
        decision.reasons,
        tuple(found),
        max(0, len(selection.known) - _MOST_ENDPOINTS),
    )
