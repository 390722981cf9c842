"""The destinations that Services, or rules for them, give a meaning to, and their names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import attrs

from nptables.effects.rules.lines import without_comment
from nptables.effects.rules.reachable import Entry, Graph
from nptables.immutable import frozen
from nptables.iptables.protocols import protocol_name
from nptables.tracing.explanation.path import comment_of
from nptables.tracing.services import NODE_PORT, Services

_PROTOCOL = re.compile(r" -p (\S+)")
_PORTS = re.compile(r" --dports? ([0-9][0-9,]*)(?= |$)")
_NAME = re.compile(
    r"(?:^|.* )([a-z0-9][a-z0-9.-]*/[a-z0-9][a-z0-9.-]*)(?::([a-z0-9-]+))?"
    r"(?: (cluster IP|external IP|loadbalancer IP|health check node port)| |$)"
)
HEALTH_CHECK = "health-check port"
_KINDS = {
    "cluster IP": "clusterIP",
    "external IP": "externalIP",
    "loadbalancer IP": "load-balancer IP",
    "health check node port": HEALTH_CHECK,
}


@attrs.frozen(order=True)
class Frontend:
    """An address, port and protocol; the address of a node port is empty."""

    address: str
    protocol: str
    port: int


@frozen
class Named:
    """What a frontend is called: the Service as `namespace/name`, its port, and the field."""

    service: str = ""
    port_name: str = ""
    port: int | None = None
    kind: str = ""


def frontends_of(
    graph: Graph, services: Services | None, *, beside: Graph | None = None
) -> set[Frontend]:
    """Every frontend that the rules or the Services of a state have.

    But for those that rules of the state `beside` have in the same words.
    """
    found = set(_of_rules(graph, beside))
    if services is not None:
        found |= {Frontend(a, p.lower(), n) for a, p, n in services.places()}
        found |= {
            Frontend("", "tcp", service.health_check_port)
            for service in services.cluster.services.values()
            if service.health_check_port and graph.family in service.cluster_ips
        }
    return found


def _of_rules(graph: Graph, beside: Graph | None) -> Iterator[Frontend]:
    for key, entries in graph.index.items():
        if beside is not None and beside.index.get(key) == entries:
            continue
        for entry in entries:
            if _is_about_services(entry.whose[1], entry.whose[2]):
                yield from _in_line(entry.line, key if isinstance(key, str) else "")
    for (_, table, _), _, lines in graph.general:
        # Rules for ports alone that the index does not hold, such as those of multiport.
        if table == "nat":
            for line in lines:
                if " --dport" in line and " -d " not in line:
                    yield from _in_line(line, "")


def _is_about_services(table: str, chain: str) -> bool:
    """Whether rules of a chain give destinations a meaning, and do not only filter packets."""
    # Table filter has rules for ports of everything that runs on a node; only kube-proxy's are
    # about Services.
    return table == "nat" or chain.startswith("KUBE-")


def _in_line(line: str, address: str) -> Iterator[Frontend]:
    line = without_comment(line)
    protocol, ports = _PROTOCOL.search(line), _PORTS.search(line)
    if protocol is None or ports is None:
        return
    name = protocol_name(protocol[1]) or protocol[1]
    for text in ports[1].split(","):
        if text and 0 < int(text) < 65536:
            yield Frontend(address, name, int(text))


class Names:
    """What frontends are called: by the clusters, else by the comments of rules."""

    def __init__(self, services: Sequence[Services], graphs: Sequence[Graph]) -> None:
        self._services = services
        self._health = {
            service.health_check_port: "/".join(service.key)
            for each in services
            for service in each.cluster.services.values()
            if service.health_check_port
        }
        self._graphs = graphs

    def of(self, frontend: Frontend) -> Named:
        """The name of a frontend; empty if unknown."""
        for services in self._services:
            # Which address a node port is asked at makes no difference to its name.
            at = frontend.address or "0.0.0.0"  # noqa: S104 - nobody listens
            for found in services.at(at, frontend.port, frontend.protocol):
                if (found.kind == NODE_PORT) is (not frontend.address):
                    name = found.name
                    kind = found.kind
                    return Named(f"{name.namespace}/{name.name}", name.port, found.port.port, kind)
        if not frontend.address and frontend.port in self._health:
            return Named(self._health[frontend.port], kind=HEALTH_CHECK)
        return self._said(frontend)

    def _said(self, frontend: Frontend) -> Named:
        entries: list[Entry] = []
        for graph in self._graphs:
            entries += graph.index.get(frontend.address or frontend.port, ())
        for entry in entries:
            if frontend not in _in_line(entry.line, frontend.address):
                continue
            match = _NAME.match(comment_of(entry.line))
            if match is not None:
                kind = _KINDS.get(match[3] or "", "" if frontend.address else NODE_PORT)
                return Named(match[1], match[2] or "", None, kind)
        return Named(kind="" if frontend.address else NODE_PORT)
