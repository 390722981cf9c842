"""Which service port a packet is for, by address and port."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from nptables.family import Family
from nptables.model import Cluster, Service, ServicePort
from nptables.tracing.surroundings.addressing import Address
from nptables.tracing.walking.rulebook import Rulebook
from nptables.translation import Decision, ServicePortName
from nptables.translation.context import Context
from nptables.translation.explanation.decision import has_rules
from nptables.translation.selection import Selection, choose, known_endpoints

NODE_PORT = "nodePort"


@attrs.frozen
class Frontend:
    """An address and port that stands for a service port; `kind` is the field that says so.

    `address` is empty for a node port, which is on the addresses of every node.
    """

    service: Service
    port: ServicePort
    kind: str
    address: str

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name of the Service."""
        return self.service.key

    @property
    def name(self) -> ServicePortName:
        """The service port."""
        return ServicePortName(*self.service.key, self.port.name, self.port.protocol)

    def decision(self, cluster: Cluster, context: Context) -> Decision:
        """What is decided for the service port on a node, with the reasons."""
        service, port, family = self.service, self.port, context.family
        if not has_rules(service, family):
            return Decision(service, None, Selection(()), context, cluster)
        known = known_endpoints(cluster.slices_of(service), port, context)
        chosen = choose(service, port, known, context)
        return Decision(service, port, chosen, context, cluster)


class Services:
    """The service ports of a cluster, by the addresses and ports that lead to them."""

    def __init__(self, cluster: Cluster, family: Family) -> None:
        self.cluster = cluster
        self._family = family
        self._frontends: dict[tuple[str, str, int], list[Frontend]] = {}
        for service in cluster.services.values():
            for frontend, number in _frontends(service, family):
                key = (frontend.address, frontend.port.protocol, number)
                self._frontends.setdefault(key, []).append(frontend)
        self._endpoints: dict[str, set[tuple[int, str]]] | None = None

    def at(self, destination: Address, port: int | None, protocol: str) -> list[Frontend]:
        """The frontends at an address and port; node ports of that number come last."""
        wanted = protocol.upper()
        found: list[Frontend] = []
        if port is None:
            return found
        if isinstance(destination, str):
            found += self._frontends.get((destination, wanted, port), ())
        if isinstance(destination, str) or destination.node:
            found += self._frontends.get(("", wanted, port), ())
        return found

    def places(self) -> Iterator[tuple[str, str, int]]:
        """Address, protocol and port of every frontend; the address of a node port is empty.

        Node ports of Services that have no address of the family are none of it.
        """
        for place, found in self._frontends.items():
            if place[0] or any(self._family in each.service.cluster_ips for each in found):
                yield place

    def node_ports(self) -> list[tuple[int, str, str]]:
        """The node ports that there are: number, protocol and service port."""
        return [
            (number, protocol, str(frontend.name))
            for (address, protocol, number), found in self._frontends.items()
            for frontend in found
            if not address
        ]

    def is_endpoint(self, address: str, port: int | None, protocol: str) -> bool:
        """Whether a slice has an endpoint there."""
        if self._endpoints is None:
            self._endpoints = {}
            for endpoint_slice in self.cluster.slices.values():
                ports = [(p.port, p.protocol) for p in endpoint_slice.ports]
                for endpoint in endpoint_slice.endpoints:
                    self._endpoints.setdefault(endpoint.address, set()).update(ports)
        return (port or 0, protocol.upper()) in self._endpoints.get(address, ())


def services_of(book: Rulebook, cluster: Cluster) -> Services:
    """The services of a cluster, kept with a rulebook as long as the cluster is the same."""
    kept = book.extra.get("services")
    if not isinstance(kept, Services) or kept.cluster is not cluster:
        kept = book.extra["services"] = Services(cluster, book.family)
    return kept


def _frontends(service: Service, family: Family) -> Iterator[tuple[Frontend, int]]:
    if service.headless or service.type == "ExternalName":
        return
    addresses = [("clusterIP", ip) for fam, ip in service.cluster_ips.items() if fam is family]
    addresses += [("externalIP", ip) for ip in service.external_ips if Family.of(ip) is family]
    addresses += [
        ("load-balancer IP", i.ip) for i in service.ingress if i.ip and Family.of(i.ip) is family
    ]
    for port in service.ports:
        for kind, address in addresses:
            yield Frontend(service, port, kind, address), port.port
        if port.node_port:
            yield Frontend(service, port, NODE_PORT, ""), port.node_port
