"""The ports of probes and metrics, which move where the configuration says."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nptables.agent.serving.http import Handler, Listener, Server

# Is told what is not served, at which address, and why.
Refused = Callable[[str, str, str], None]


class Ports:
    """Listens for each of the named handlers; `refused` is told of a port that is not to be had."""

    def __init__(self, server: Server, handlers: Mapping[str, Handler], refused: Refused) -> None:
        self._server = server
        self._handlers = handlers
        self._refused = refused
        self._open: dict[str, tuple[str, Listener]] = {}

    def listen(self, addresses: Mapping[str, str]) -> None:
        """Listen for each name on its `host:port`, and no longer where it listened before."""
        for name, address in addresses.items():
            known = self._open.get(name)
            if known is not None and known[0] == address:
                continue
            if known is not None:
                self._server.close(self._open.pop(name)[1])
            host, _, port = address.rpartition(":")
            host = host.removeprefix("[").removesuffix("]")
            try:
                listener = self._server.listen(_everywhere(host), int(port), self._handlers[name])
            except OSError as error:
                self._refused(name, address, error.strerror or str(error))
            else:
                self._open[name] = (address, listener)


def _everywhere(host: str) -> str:
    return "" if host in ("0.0.0.0", "::") else host  # noqa: S104 - compared with
