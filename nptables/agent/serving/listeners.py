"""Listening where the configuration and the Services say, and again where that was refused.

`Listeners` does it for any names; `Ports` for the addresses of probes and metrics; `HealthPorts`
for health-check node ports, where load balancers ask whether this node has endpoints.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Hashable, Mapping
from typing import Generic, TypeVar

from nptables.agent.serving.http import Handler, Listener, Server
from nptables.agent.serving.responses import Answer, load_balancer
from nptables.family import Family
from nptables.model import Node, ProxyConfig
from nptables.translation.context import Context, make_context

# Seconds after which what was refused is tried again, as kube-proxy does.
RETRY = 5.0

# A host, empty for all addresses, and a port.
Address = tuple[str, int]
Name = TypeVar("Name", bound=Hashable)


class Listeners(Generic[Name]):
    """Keeps a listener for each name, on the address that was last asked for.

    `serve` gives the server and the handler of a name. `refused` is told each time that an address
    cannot be listened on, and why. `clock` gives seconds.
    """

    def __init__(
        self,
        serve: Callable[[Name], tuple[Server, Handler]],
        *,
        refused: Callable[[Name, Address, str], None],
        clock: Callable[[], float],
    ) -> None:
        self._serve = serve
        self._refused = refused
        self._clock = clock
        self._wanted: Mapping[Name, Address] = {}
        self._open: dict[Name, tuple[Address, Listener]] = {}
        self._again = math.inf
        # Why what is missing was refused the last time.
        self.reasons: Mapping[Name, str] = {}

    def listen(self, wanted: Mapping[Name, Address]) -> None:
        """Listen there and nowhere else.

        A name moves without a gap where it can: the new address is opened before the old one
        is closed, and while the new one is not to be had the old one stays.
        """
        self._wanted = dict(wanted)
        for name in self._open.keys() - wanted.keys():
            self._close(name)
        self._open_missing()

    def retry(self) -> float:
        """Try again what was refused, if it is time; gives the seconds until it is."""
        if self._clock() >= self._again:
            self._open_missing()
        return max(0.0, self._again - self._clock())

    def _open_missing(self) -> None:
        missing = {
            name: address
            for name, address in self._wanted.items()
            if name not in self._open or self._open[name][0] != address
        }
        # The same port on other addresses, or names that change places: here we ourselves stand
        # in the way, so the old ones close first.
        held = {port for (_, port), _ in self._open.values()}
        blocked = {name for name, (_, port) in missing.items() if port in held}
        before = {name: self._open[name][0] for name in blocked & self._open.keys()}
        for name in before:
            self._close(name)
        reasons = {}
        for name in sorted(missing, key=blocked.__contains__):
            reason = self._try(name, missing[name])
            if reason is None:
                continue
            reasons[name] = reason
            # The new address is not to be had, so back to the old one.
            if name in before:
                self._try(name, before[name])
            self._refused(name, missing[name], reason)
        self.reasons = reasons
        self._again = self._clock() + RETRY if reasons else math.inf

    def _try(self, name: Name, address: Address) -> str | None:
        """Open an address instead of that of before; gives the reason if that is refused."""
        server, handler = self._serve(name)
        try:
            listener = server.listen(*address, handler)
        except OSError as error:
            return error.strerror or str(error) or "no answer"
        if name in self._open:
            self._close(name)
        self._open[name] = address, listener
        return None

    def _close(self, name: Name) -> None:
        server, _ = self._serve(name)
        server.close(self._open.pop(name)[1])


# Is told what is not served, at which address, and why.
Refused = Callable[[str, str, str], None]


class Ports:
    """Listens for each of the named handlers on a `host:port`, each on a server of its own.

    `refused` is told each time that a port cannot be listened on. `clock` gives seconds.
    """

    def __init__(
        self,
        served: Mapping[str, tuple[Server, Handler]],
        *,
        refused: Refused,
        clock: Callable[[], float],
    ) -> None:
        self._addresses: Mapping[str, str] = {}
        self._listeners: Listeners[str] = Listeners(
            served.__getitem__,
            refused=lambda name, _, reason: refused(name, self._addresses[name], reason),
            clock=clock,
        )

    def listen(self, addresses: Mapping[str, str]) -> None:
        """Listen for each name there; what is refused stays where it was and is tried again."""
        self._addresses = dict(addresses)
        self._listeners.listen({name: _split(text) for name, text in addresses.items()})

    def retry(self) -> float:
        """Try again what was refused, if it is time; gives the seconds until it is."""
        return self._listeners.retry()

    @property
    def refused(self) -> dict[str, str]:
        """The addresses that are not to be had so far, and why."""
        reasons = self._listeners.reasons
        return {self._addresses[name]: reason for name, reason in reasons.items()}


def _split(address: str) -> Address:
    """Host and port; the addresses that stand for all are an empty host."""
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    return ("" if host in ("0.0.0.0", "::") else host), int(port)  # noqa: S104 - compared with


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
        if context.names_node_port_address(address)
    ]
