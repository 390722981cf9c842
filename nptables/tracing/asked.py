"""What a packet asks for: the service ports at its destination, and their endpoints."""

from __future__ import annotations

from collections.abc import Iterator

from nptables.family import Family
from nptables.immutable import frozen
from nptables.tracing.packet import Packet
from nptables.tracing.services import Frontend, Services
from nptables.tracing.surroundings.addressing import Address, is_in, net
from nptables.tracing.surroundings.network import Network, Site
from nptables.translation.backing import backed
from nptables.translation.selection import port_endpoints


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
    frontends = tuple(_frontends(packet, services, network))
    slices = {f.key: services.cluster.slices_of(f.service) for f in frontends}
    known = all(backed(services.cluster, f.service).known for f in frontends)
    if not frontends or not known or not all(slices.values()):
        return Asked(frontends)
    endpoints = {
        (endpoint.address, int(text.rpartition(":")[2]))
        for frontend in frontends
        for text, endpoint in port_endpoints(slices[frontend.key], frontend.port, family)
    }
    return Asked(frontends, frozenset(endpoints))


def _frontends(packet: Packet, services: Services, network: Network) -> Iterator[Frontend]:
    site = network.place(packet.destination).site
    of_a_node = site in (Site.HERE, Site.OTHER_NODE) or network.is_loopback(packet.destination)
    for frontend in services.at(packet.destination, packet.port, packet.protocol):
        if frontend.address or of_a_node:
            yield frontend
