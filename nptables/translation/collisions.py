"""Service ports that match the same packets: who wins, whatever the order of input.

In a shared chain the first rule that matches wins. kube-proxy visits service ports in no
particular order, so the winner there is a matter of luck. Here the oldest Service wins (by
creationTimestamp; one without is younger than every one with), then the order of namespace,
name, port name and protocol decides.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence

from nptables.family import Family
from nptables.immutable import frozen
from nptables.model import Service, ServicePort
from nptables.translation.chains import ServicePortName
from nptables.translation.selection import balancer_ips, external_ips

# Timestamps begin with a digit, which sorts before this.
_YOUNGEST = "~"


@frozen
class Collision:
    """Several service ports that match the same packets; the first of `ports` wins."""

    what: str
    ports: tuple[ServicePortName, ...]

    def __str__(self) -> str:
        winner, *losers = self.ports
        names = ", ".join(f"{name} ({name.protocol})" for name in losers)
        return f"{self.what} belongs to several Services: {winner} gets the packets, {names} none"


@frozen
class Claim:
    """A service port with what it needs to be compared with others."""

    name: ServicePortName
    service: Service
    port: ServicePort

    @property
    def precedence(self) -> tuple[str, ServicePortName]:
        """Sorts the winner first."""
        return self.service.metadata.creation_timestamp or _YOUNGEST, self.name

    def frontends(self, family: Family) -> list[tuple[str, str, int]]:
        """Address, protocol and port of everything that leads to this service port.

        The address is empty for the node port, which is on every address of the node.
        """
        service, protocol, number = self.service, self.port.protocol, self.port.port
        found = [(service.cluster_ips[family], protocol, number)]
        others = (*external_ips(service, family), *balancer_ips(service, family))
        found += [(address, protocol, number) for address in others]
        if self.port.node_port:
            found.append(("", protocol, self.port.node_port))
        return found


def find_collisions(claims: Sequence[Claim], family: Family) -> list[Collision]:
    """Every frontend that several service ports claim, sorted."""
    first: dict[tuple[str, str, int], Claim] = {}
    several: dict[tuple[str, str, int], dict[ServicePortName, Claim]] = {}
    for claim in claims:
        for frontend in claim.frontends(family):
            holder = first.setdefault(frontend, claim)
            if holder is not claim:
                several.setdefault(frontend, {holder.name: holder})[claim.name] = claim
    return [
        Collision(
            _describe(*frontend),
            tuple(c.name for c in sorted(found.values(), key=_precedence)),
        )
        for frontend, found in sorted(several.items())
    ]


def visiting_order(
    claims: Sequence[Claim], collisions: Iterable[Collision]
) -> list[ServicePortName]:
    """The order in which service ports write their lines into the shared chains.

    By name; but those that collide, directly or through others, stand among themselves in the
    order of precedence, in the places that their names give them together.
    """
    names = sorted(claim.name for claim in claims)
    groups = _groups(collisions)
    if not groups:
        return names
    by_name = {claim.name: claim for claim in claims}
    order = list(names)
    for group in groups:
        places = [place for place, name in enumerate(names) if name in group]
        members = sorted((by_name[name] for name in group), key=_precedence)
        for place, member in zip(places, members, strict=True):
            order[place] = member.name
    return order


def _groups(collisions: Iterable[Collision]) -> list[set[ServicePortName]]:
    group_of: dict[Hashable, set[ServicePortName]] = {}
    for collision in collisions:
        merged = set(collision.ports)
        for name in collision.ports:
            merged |= group_of.get(name, set())
        # All members point to one set: who collides with any of them later joins all.
        group_of.update(dict.fromkeys(merged, merged))
    distinct: Mapping[int, set[ServicePortName]] = {id(g): g for g in group_of.values()}
    return list(distinct.values())


def _precedence(claim: Claim) -> tuple[str, ServicePortName]:
    return claim.precedence


def _describe(address: str, protocol: str, port: int) -> str:
    if not address:
        return f"nodePort {port}/{protocol}"
    return f"{f'[{address}]' if ':' in address else address}:{port}/{protocol}"
