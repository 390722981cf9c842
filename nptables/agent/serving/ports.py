"""The ports of probes and metrics, which move where the configuration says."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nptables.agent.serving.http import Handler, Server
from nptables.agent.serving.listeners import Address, Listeners

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
