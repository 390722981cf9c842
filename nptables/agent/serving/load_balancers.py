"""Health-check node ports: load balancers ask there whether this node has endpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import attrs

from nptables.agent.serving.answers import Answer, load_balancer
from nptables.agent.serving.http import Listener, Server
from nptables.family import Family
from nptables.model import Node, ProxyConfig
from nptables.translation.context import make_context

Key = tuple[str, str]
# Says that a port could not be opened, and why.
Complain = Callable[[Key, int, str], None]


@attrs.define
class _Port:
    port: int
    hosts: tuple[str, ...]
    listeners: list[Listener]


class HealthPorts:
    """Opens and closes health-check node ports as Services come and go.

    `healthy` says whether the agent itself is. A port that cannot be opened is tried again with
    every `update`.
    """

    def __init__(self, server: Server, *, healthy: Callable[[], bool], complain: Complain) -> None:
        self._server = server
        self._healthy = healthy
        self._complain = complain
        self._open: dict[Key, _Port] = {}
        self._endpoints: Mapping[Key, int] = {}

    def update(
        self, ports: Mapping[Key, int], endpoints: Mapping[Key, int], hosts: Sequence[str]
    ) -> None:
        """Serve these ports with these numbers of local endpoints, on these addresses.

        An empty host stands for all addresses.
        """
        self._endpoints = dict(endpoints)
        wanted_hosts = tuple(hosts)
        for key, known in list(self._open.items()):
            if ports.get(key) != known.port or known.hosts != wanted_hosts:
                self._close(key)
        for key, port in ports.items():
            if key not in self._open:
                self._listen(key, port, wanted_hosts)

    def __bool__(self) -> bool:
        """Whether any port is open."""
        return bool(self._open)

    def close(self) -> None:
        """Close all ports."""
        for key in list(self._open):
            self._close(key)

    def _listen(self, key: Key, port: int, hosts: tuple[str, ...]) -> None:
        listeners: list[Listener] = []
        try:
            listeners.extend(
                self._server.listen(host, port, lambda _: self._answer(key)) for host in hosts
            )
        except OSError as error:
            for listener in listeners:
                self._server.close(listener)
            self._complain(key, port, error.strerror or str(error))
            return
        self._open[key] = _Port(port, hosts, listeners)

    def _close(self, key: Key) -> None:
        for listener in self._open.pop(key).listeners:
            self._server.close(listener)

    def _answer(self, key: Key) -> Answer:
        return load_balancer(*key, endpoints=self._endpoints.get(key, 0), healthy=self._healthy())


def health_check_hosts(node: Node, config: ProxyConfig) -> list[str]:
    """The addresses for health-check node ports: those of nodePortAddresses, or all."""
    contexts = [make_context(node, config, family) for family in Family]
    if all(context.all_addresses for context in contexts):
        return [""]
    return [
        address
        for context in contexts
        if not context.all_addresses
        for address in context.node_port_addresses
    ] or [""]
