"""Health-check node ports: load balancers ask there whether this node has endpoints."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from nptables.agent.serving.answers import Answer, load_balancer
from nptables.agent.serving.http import Handler, Server
from nptables.agent.serving.listeners import Address, Listeners
from nptables.family import Family
from nptables.model import Node, ProxyConfig
from nptables.model.addresses import network_contains
from nptables.translation.context import Context, make_context

Key = tuple[str, str]
# Says that a port of a Service could not be opened on a host, and why.
Complain = Callable[[Key, str, int, str], None]
# A Service, and where it is asked for.
_Place = tuple[Key, Address]

_EVERYWHERE = {Family.IPV4: "0.0.0.0", Family.IPV6: "::"}  # noqa: S104 - told to listen there


class HealthPorts:
    """Opens and closes health-check node ports as Services come and go.

    `healthy` says whether the agent itself is. An address that cannot be had is
    complained of, leaves the others alone, and is tried again by `retry`. `clock` gives seconds.
    """

    def __init__(
        self,
        server: Server,
        *,
        healthy: Callable[[], bool],
        complain: Complain,
        clock: Callable[[], float],
    ) -> None:
        self._server = server
        self._healthy = healthy
        self._endpoints: Mapping[Key, int] = {}
        self._listeners: Listeners[_Place] = Listeners(
            self._serve,
            refused=lambda place, address, reason: complain(place[0], *address, reason),
            clock=clock,
        )

    def update(
        self,
        ports: Mapping[Key, int],
        endpoints: Mapping[Key, int],
        hosts: Mapping[Key, Collection[str]],
    ) -> None:
        """Serve these ports with these numbers of local endpoints, on these hosts each.

        An empty host stands for all addresses.
        """
        self._endpoints = dict(endpoints)
        places = [(key, (host, port)) for key, port in ports.items() for host in hosts[key]]
        self._listeners.listen({place: place[1] for place in places})

    def retry(self) -> float:
        """Try again what was refused, if it is time; gives the seconds until it is."""
        return self._listeners.retry()

    def _serve(self, place: _Place) -> tuple[Server, Handler]:
        key, _ = place
        return self._server, lambda _: self._answer(key)

    def _answer(self, key: Key) -> Answer:
        return load_balancer(*key, endpoints=self._endpoints.get(key, 0), healthy=self._healthy())


def health_check_hosts(
    node: Node, config: ProxyConfig, services: Mapping[Key, Collection[Family]]
) -> dict[Key, tuple[str, ...]]:
    """Where each Service is asked for, given its families: on nodePortAddresses, or everywhere.

    As in kube-proxy, a family without nodePortAddresses has all of them. None of the node's
    addresses may match; then there is nowhere to listen.
    """
    contexts = {family: make_context(node, config, family) for family in Family}
    return {
        key: _hosts([contexts[family] for family in families]) for key, families in services.items()
    }


def _hosts(contexts: Collection[Context]) -> tuple[str, ...]:
    if contexts and all(context.all_addresses for context in contexts):
        return ("",)
    return tuple(host for context in contexts for host in _hosts_of_family(context))


def _hosts_of_family(context: Context) -> list[str]:
    if context.all_addresses:
        return [_EVERYWHERE[context.family]]
    # Loopback addresses too, also where the rules of node ports leave them out.
    return [
        address
        for address in sorted(context.interface_addresses)
        if any(network_contains(network, address) for network in context.node_port_networks)
    ]
