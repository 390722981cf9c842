"""All that the agent answers on the network, where its configuration says."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from nptables.agent.core.health import Health
from nptables.agent.core.store import Store
from nptables.agent.metrics import CONTENT_TYPE, Metrics
from nptables.agent.process import Log
from nptables.agent.serving.http import Handler, Server, by_path
from nptables.agent.serving.listeners import HealthPorts, Ports, health_check_hosts
from nptables.agent.serving.responses import Answer, Probes, configz
from nptables.errors import KernelError
from nptables.model import ProxyConfig

_PLAIN = {"Content-Type": "text/plain; charset=utf-8"}


class Servers:
    """Probes, metrics and health-check node ports, until `closing` closes.

    `oldest` gives since when the oldest event waits that the loop has not taken yet, or None.
    `broken` is told of a server that ended and should not have.
    """

    def __init__(
        self,
        health: Health,
        metrics: Metrics,
        log: Log,
        *,
        oldest: Callable[[], float | None],
        broken: Callable[[Exception], None],
        closing: contextlib.ExitStack,
    ) -> None:
        self._metrics = metrics
        self._log = log
        self._broken = broken
        self._config = ProxyConfig()
        self.probes = Probes(
            health, oldest=oldest, count=metrics.probed, clock=time.monotonic, wall=time.time
        )
        probing = self._start("probes", closing)
        # Reading counters may take the kernel a while, and no probe may wait for that.
        counting = self._start("metrics", closing)
        self._ports = Ports(
            {
                "healthz": (probing, self._answers_to_probes()),
                "metrics": (counting, self._answers_to_monitoring()),
            },
            refused=self._refused,
            clock=time.monotonic,
        )
        self._health_ports = HealthPorts(
            probing, healthy=self.probes.healthy, complain=self._complain, clock=time.monotonic
        )

    def start(self, config: ProxyConfig) -> None:
        """Listen; raises KernelError where an address is refused that must not be."""
        self.listen(config)
        # Elsewhere a port that is taken is no reason to end: rules matter more than probes.
        if config.bind_address_hard_fail:
            for address, reason in self._ports.refused.items():
                raise KernelError(f"{address} cannot be listened on: {reason}")

    def listen(self, config: ProxyConfig) -> None:
        """Listen for probes and monitoring where a configuration says."""
        self._config = config
        self._ports.listen(
            {"healthz": config.healthz_bind_address, "metrics": config.metrics_bind_address}
        )

    def follow(self, store: Store, config: ProxyConfig) -> None:
        """Serve the health-check node ports of the Services that there are."""
        ports = store.health_ports
        families = {key: store.services[key].cluster_ips for key in ports}
        # After every sync, so where no Service has such a port nothing is to be worked out.
        hosts = health_check_hosts(store.node_with_facts(), config, families) if ports else {}
        self._health_ports.update(ports, store.local_endpoints(), hosts)

    def retry(self) -> float:
        """Try what was refused again where it is time; returns the seconds until it is."""
        return min(self._ports.retry(), self._health_ports.retry())

    def _start(self, name: str, closing: contextlib.ExitStack) -> Server:
        server = Server(
            name,
            broken=self._broken,
            trouble=lambda reason: self._log.repeating(
                "trouble with connections", about=name, server=name, reason=reason
            ),
        )
        closing.callback(server.stop)
        return server

    def _answers_to_probes(self) -> Handler:
        return by_path(
            {
                "/healthz": self.probes.healthz,
                "/livez": self.probes.livez,
                "/readyz": self.probes.readyz,
            }
        )

    def _answers_to_monitoring(self) -> Handler:
        return by_path(
            {
                "/metrics": lambda: Answer(
                    200, self._metrics.render(), {"Content-Type": CONTENT_TYPE}
                ),
                "/proxyMode": lambda: Answer(200, b"iptables", _PLAIN),
                "/configz": lambda: configz(self._config),
                "/healthz": lambda: Answer(200, b"ok", _PLAIN),
            }
        )

    def _refused(self, name: str, address: str, reason: str) -> None:
        self._log.repeating(
            f"{name} is not served there, and is tried again",
            about=f"{name} {address}",
            address=address,
            reason=reason,
        )

    def _complain(self, key: tuple[str, str], host: str, port: int, reason: str) -> None:
        self._log.repeating(
            "a health-check node port cannot be served there, and is tried again",
            about=f"health port {host} {port}",
            service="/".join(key),
            address=host or "every address",
            port=port,
            reason=reason,
        )
