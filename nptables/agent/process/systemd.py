"""Telling systemd how it goes (sd_notify): ready, still alive, reloading, stopping."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping


class ServiceManager:
    """The socket that NOTIFY_SOCKET names; without one, everything here does nothing."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        environment = os.environ if environment is None else environment
        path = environment.get("NOTIFY_SOCKET", "")
        # An @ stands for the NUL that an abstract socket begins with (sd_notify(3), unix(7)).
        self._address = "\0" + path[1:] if path.startswith("@") else path
        self.watchdog = _watchdog(environment)

    def ready(self, status: str) -> None:
        """The first sync is done."""
        self._send(f"READY=1\nSTATUS={status}")

    def status(self, text: str) -> None:
        """What the agent is doing, on one line."""
        self._send(f"STATUS={text}")

    def alive(self) -> None:
        """The loop turns; to be said more often than every `watchdog` seconds."""
        self._send("WATCHDOG=1")

    def reloading(self) -> None:
        """The configuration is read again; `ready` ends it."""
        # Type=notify-reload wants to know when the reload began, by this very clock (sd_notify(3)).
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send(f"RELOADING=1\nMONOTONIC_USEC={now}")

    def stopping(self) -> None:
        """The agent is about to end."""
        self._send("STOPPING=1")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
                link.settimeout(1)
                link.sendto(text.encode(), self._address)
        except OSError:
            # The manager went away; keeping rules matters more than telling it.
            return


def _watchdog(environment: Mapping[str, str]) -> float | None:
    """Half of the time that systemd allows between two signs of life, in seconds."""
    # Meant for another process if the number is another: we may have inherited it. Half of the time
    # is what sd_watchdog_enabled(3) advises.
    text, pid = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if not text.isdigit() or (pid and pid != str(os.getpid())):
        return None
    return int(text) / 2_000_000
