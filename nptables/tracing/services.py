"""Which service port a packet is for, by address and port, and which endpoints it asks for."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

from nptables.family import Family
from nptables.immutable import frozen
from nptables.model import Cluster, Node, ProxyConfig, Service, ServicePort
from nptables.tracing.addressing import Address, is_in, net, number
from nptables.tracing.network import Network, Site
from nptables.tracing.packet import Packet
from nptables.translation import Decision, ServicePortName, Translation, backing
from nptables.translation.assembly import has_comments, translate_some
from nptables.translation.context import Context
from nptables.translation.selection import (
    Selection,
    choose,
    has_rules,
    known_endpoints,
    port_endpoints,
)

NODE_PORT = "nodePort"


@frozen
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


# Address (none for a node port), protocol and port.
_Place = tuple[str, str, int]
# Of a Frontend, which is made when a packet comes to it.
_Fields = tuple[Service, ServicePort, str, str]


class Services:
    """The service ports of a cluster, by the addresses and ports that lead to them."""

    def __init__(self, cluster: Cluster, family: Family) -> None:
        self.cluster = cluster
        self.family = family
        self._frontends: dict[_Place, list[_Fields]] = {}
        # By the port that kube-proxy opens for the health checks of load balancers.
        self._health_checks: dict[int, list[Service]] = {}
        for service in cluster.services.values():
            if service.health_check_port:
                self._health_checks.setdefault(service.health_check_port, []).append(service)
            for place, fields in _frontends(service, family):
                self._frontends.setdefault(place, []).append(fields)
        self._endpoints: dict[str, set[tuple[int, str]]] | None = None

    def at(self, destination: Address, port: int | None, protocol: str) -> list[Frontend]:
        """The frontends at an address and port; node ports of that number come last."""
        wanted = protocol.upper()
        found: list[_Fields] = []
        if port is None:
            return []
        if isinstance(destination, str):
            found += self._frontends.get((destination, wanted, port), ())
        # A client's placeholder is no node's address, and so it has no node port.
        if isinstance(destination, str) or destination.node:
            found += self._frontends.get(("", wanted, port), ())
        return [Frontend(*fields) for fields in found]

    def met(self, destination: Address, port: int | None, protocol: str) -> list[Frontend]:
        """What a packet to an address and port may meet on whichever node, once a service port.

        What is at its destination, and what is where that sends it: a packet to an endpoint on the
        network of a node meets the rules there with the endpoint's address.
        """
        found: dict[ServicePortName, Frontend] = {}
        waiting = [(destination, port)]
        seen = set(waiting)
        while waiting:
            for frontend in self.at(*waiting.pop(), protocol):
                if frontend.name in found:
                    continue
                found[frontend.name] = frontend
                for each in self._places_behind(frontend):
                    if each not in seen:
                        seen.add(each)
                        waiting.append(each)
        return [found[name] for name in sorted(found)]

    def rules_met(self, met: Sequence[Frontend], node: Node, config: ProxyConfig) -> Translation:
        """The rules of a node for the Services that a packet may meet: see `translate_some`."""
        return self._rules_of((frontend.service for frontend in met), node, config)

    def rules_for(self, packet: Packet, node: Node, config: ProxyConfig) -> Translation:
        """The rules of a node as far as a packet can tell them from all rules of the node.

        All of them where the packet has no single address, or no port that is known.
        """
        port = packet.port
        if not isinstance(packet.destination, str) or port is None:
            return self._rules_of(self.cluster.services.values(), node, config)
        services = [f.service for f in self.met(packet.destination, port, packet.protocol)]
        # A health check port has a rule of its own, which a packet may meet without any Service at
        # it.
        return self._rules_of([*services, *self._health_checks.get(port, ())], node, config)

    def _rules_of(
        self, services: Iterable[Service], node: Node, config: ProxyConfig
    ) -> Translation:
        return translate_some(
            self.cluster, node, config, self.family, services, comments=self.comments
        )

    def _places_behind(self, frontend: Frontend) -> Iterator[tuple[Address, int | None]]:
        slices = self.cluster.slices_of(frontend.service)
        for text, endpoint in port_endpoints(slices, frontend.port, self.family):
            yield endpoint.address, int(text.rpartition(":")[2])

    @cached_property
    def comments(self) -> bool:
        """Whether rules for endpoints carry comments: see `has_comments`."""
        return has_comments(self.cluster, self.family)

    def frontends(self) -> Iterator[tuple[_Place, Frontend]]:
        """Every frontend with its address (none for a node port), protocol and port."""
        for place, found in self._frontends.items():
            for fields in found:
                yield place, Frontend(*fields)

    def has_address_in(self, first: int, last: int) -> bool:
        """Whether a frontend has an address from the first to the last, as numbers."""
        place = bisect_left(self._numbers, first)
        return place < len(self._numbers) and self._numbers[place] <= last

    @cached_property
    def _numbers(self) -> list[int]:
        return sorted({number(address) for address, _, _ in self._frontends if address})

    def places(self) -> Iterator[_Place]:
        """Address, protocol and port of every frontend; the address of a node port is empty.

        Node ports of Services that have no address of the family are none of it.
        """
        for place, found in self._frontends.items():
            if place[0] or any(self.family in service.cluster_ips for service, *_ in found):
                yield place

    def node_ports(self) -> list[tuple[int, str, str]]:
        """The node ports that there are: number, protocol and service port."""
        return [
            (its_port, protocol, str(frontend.name))
            for (address, protocol, its_port), frontend in self.frontends()
            if not address
        ]

    def health_checked(self, port: int | None, protocol: str) -> Service | None:
        """The Service whose health checks kube-proxy answers at a port of each node."""
        found = self._health_checks.get(port or 0, ()) if protocol.lower() == "tcp" else ()
        return next((each for each in found if self.family in each.cluster_ips), None)

    def is_endpoint(self, address: str, port: int | None, protocol: str) -> bool:
        """Whether a slice has an endpoint there."""
        if self._endpoints is None:
            self._endpoints = {}
            for endpoint_slice in self.cluster.slices.values():
                ports = [(p.port, p.protocol) for p in endpoint_slice.ports]
                for endpoint in endpoint_slice.endpoints:
                    self._endpoints.setdefault(endpoint.address, set()).update(ports)
        return (port or 0, protocol.upper()) in self._endpoints.get(address, ())


def services_of(kept: dict[str, object], cluster: Cluster, family: Family) -> Services:
    """The services of a cluster, kept as long as the cluster is the same."""
    found = kept.get("services")
    if not isinstance(found, Services) or found.cluster is not cluster:
        found = kept["services"] = Services(cluster, family)
    return found


def _frontends(service: Service, family: Family) -> Iterator[tuple[_Place, _Fields]]:
    if service.headless or service.type == "ExternalName":
        return
    addresses = [("clusterIP", ip) for fam, ip in service.cluster_ips.items() if fam is family]
    addresses += [("externalIP", ip) for ip in service.external_ips if Family.of(ip) is family]
    # Whatever its ipMode: who asks about such an address is told why no rule takes its packets.
    addresses += [
        ("load-balancer IP", i.ip) for i in service.ingress if i.ip and Family.of(i.ip) is family
    ]
    for port in service.ports:
        for kind, address in addresses:
            yield (address, port.protocol, port.port), (service, port, kind, address)
        if port.node_port:
            place = ("", port.protocol, port.node_port)
            yield place, (service, port, NODE_PORT, "")


@frozen
class Asked:
    """The service ports that the cluster has at a packet's destination, the likeliest first.

    `endpoints` are the addresses and ports of all their endpoints, ready or not; None where
    they are not all known: see `backed`, or no EndpointSlice of theirs is given.
    """

    frontends: tuple[Frontend, ...] = ()
    endpoints: frozenset[tuple[str, int]] | None = None

    @property
    def frontend(self) -> Frontend | None:
        """The service port, or None where the cluster has none there."""
        return self.frontends[0] if self.frontends else None

    def misses(self, address: Address, port: int | None) -> bool:
        """Whether an address and port is surely no endpoint of what is asked for."""
        if self.endpoints is None:
            return False
        if isinstance(address, str) and port is not None:
            return (address, port) not in self.endpoints
        # It became one of several addresses or ports.
        return not any(
            is_in(address, net(known)) is not False and port in (None, number)
            for known, number in self.endpoints
        )


def asked_for(packet: Packet, services: Services | None, network: Network, family: Family) -> Asked:
    """What a packet asks for; nothing where no cluster is known."""
    if services is None:
        return Asked()
    frontends = tuple(_frontends_at(packet, services, network))
    slices = {f.key: services.cluster.slices_of(f.service) for f in frontends}
    cluster = services.cluster
    known = cluster.knows_all_endpoints or all(
        backing.backed(cluster, frontend.service).known for frontend in frontends
    )
    if not frontends or not known or not all(slices.values()):
        return Asked(frontends)
    endpoints = {
        (endpoint.address, int(text.rpartition(":")[2]))
        for frontend in frontends
        for text, endpoint in port_endpoints(slices[frontend.key], frontend.port, family)
    }
    return Asked(frontends, frozenset(endpoints))


def _frontends_at(packet: Packet, services: Services, network: Network) -> Iterator[Frontend]:
    site = network.place(packet.destination).site
    of_a_node = site in (Site.HERE, Site.OTHER_NODE) or network.is_loopback(packet.destination)
    for frontend in services.at(packet.destination, packet.port, packet.protocol):
        if frontend.address or of_a_node:
            yield frontend
