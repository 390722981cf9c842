"""Listening on the configured addresses, and trying again where that was refused."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping
from typing import Generic, TypeVar

from nptables.agent.serving.http import Handler, Listener, Server

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
