"""Findings about addresses and ports that two parties claim, and node ports that none reaches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import attrs

from nptables.checks import codes
from nptables.checks.finding import Finding, Severity
from nptables.family import Family
from nptables.model import Node, ProxyConfig, Service
from nptables.model.addresses import is_loopback
from nptables.model.config import PRIMARY
from nptables.translation.collisions import Claim, find_collisions
from nptables.translation.context import NO_NETWORKS, Context
from nptables.words import listed

# TCP ports that every node, or every node of the control plane, itself needs.
_OF_THE_NODE = {22: "SSH", 6443: "the API server", 10250: "the kubelet"}


def collisions(claims: Sequence[Claim], family: Family) -> Iterator[Finding]:
    """Service ports that match the same packets."""
    for collision in find_collisions(claims, family):
        winner = collision.ports[0]
        for loser in collision.ports[1:]:
            twice = collision.what.startswith("nodePort")
            code = codes.NODE_PORT_TWICE if twice else codes.SAME_ADDRESS
            text = f"{collision.what} is also that of {winner}, which gets the packets"
            yield Finding(code, text, "Service", loser.namespace, loser.name, ("spec",))


def health_check_ports(claims: Iterable[Claim]) -> Iterator[Finding]:
    """Health-check ports that are a node port, or another Service's health-check port too."""
    node_ports: dict[int, str] = {}
    services: dict[tuple[str, str], Service] = {}
    for claim in claims:
        services[claim.service.key] = claim.service
        if claim.port.node_port and claim.port.protocol == "TCP":
            node_ports.setdefault(claim.port.node_port, f"the nodePort of {claim.name}")
    taken: dict[int, str] = {}
    for key, service in sorted(services.items()):
        number = service.health_check_port
        if not number:
            continue
        other = node_ports.get(number) or taken.get(number)
        if other is not None:
            yield Finding(
                codes.HEALTH_CHECK_PORT_TAKEN,
                f"healthCheckNodePort {number} is also {other}",
                "Service",
                *key,
                ("spec", "healthCheckNodePort"),
            )
        taken.setdefault(number, f"that of {'/'.join(key)}")


def addresses_of_nodes(services: Iterable[Service], nodes: Iterable[Node]) -> Iterator[Finding]:
    """External IPs that are addresses of a node."""
    whose: dict[str, str] = {}
    for node in nodes:
        for family in Family:
            for address in node.interface_addresses(family):
                whose.setdefault(address, node.name)
    for service in services:
        numbers = sorted({port.port for port in service.ports})
        on_tcp = sorted({port.port for port in service.ports if port.protocol == "TCP"})
        for position, address in enumerate(dict.fromkeys(service.external_ips)):
            if address not in whose or is_loopback(address):
                continue
            needed = [f"{number} ({_OF_THE_NODE[number]})" for number in on_tcp
                      if number in _OF_THE_NODE]  # fmt: skip
            found = Finding(
                codes.EXTERNAL_IP_OF_NODE,
                f"external IP {address} is an address of node {whose[address]}: its port "
                f"{listed(needed or map(str, numbers))} is the Service's",
                "Service",
                *service.key,
                ("spec", "externalIPs", position),
            )
            yield attrs.evolve(found, severity=Severity.ERROR) if needed else found


def node_port_addresses(
    config: ProxyConfig, node: Node, contexts: Mapping[Family, Context], with_ports: set[Family]
) -> Iterator[Finding]:
    """Node ports that answer nowhere, or on other addresses than the configuration means.

    `with_ports` are the families in which there is any node port.
    """
    for family in sorted(with_ports, key=lambda family: family.value):
        context = contexts[family]
        primary = config.node_port_addresses == (PRIMARY,)
        if primary and context.node_address in ("127.0.0.1", "::1"):
            text = f"nodePortAddresses is primary and the node has no {family.value} address"
            yield Finding(codes.PRIMARY_WITHOUT_ADDRESS, text, "Node", "", node.name, ("status",))
        elif not primary and not context.all_addresses:
            yield from _unmatched(node, context)


def _unmatched(node: Node, context: Context) -> Iterator[Finding]:
    networks = listed(context.node_port_networks) or NO_NETWORKS
    known = node.facts.interfaces is not None
    as_far = "" if known else ", as far as its Node object tells (give --facts to know)"
    severity = Severity.ERROR if known else Severity.WARNING
    answering = context.node_port_addresses
    if not answering:
        text = f"none of its {context.family.value} addresses is in nodePortAddresses ({networks})"
    elif all(is_loopback(address) for address in answering):
        text = f"of its addresses only {listed(answering)} is in nodePortAddresses ({networks})"
        severity = Severity.WARNING
    else:
        return
    found = Finding(codes.NO_NODE_PORT_ADDRESS, text + as_far, "Node", "", node.name, ("status",))
    yield attrs.evolve(found, severity=severity)
