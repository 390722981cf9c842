"""What probes, load balancers and /configz are answered, as kube-proxy writes it.

Only the times of the probes are in RFC 3339, where kube-proxy prints them as Go does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from nptables.agent.core.health import Health
from nptables.immutable import frozen
from nptables.model import ProxyConfig
from nptables.model.config import API_VERSION, KIND
from nptables.model.times import rfc3339

_JSON = {"Content-Type": "application/json", "X-Content-Type-Options": "nosniff"}


@frozen
class Answer:
    """An HTTP answer."""

    status: int
    body: bytes
    headers: Mapping[str, str] = attrs.field(factory=dict)


NOT_FOUND = Answer(404, b"404 page not found\n", {"Content-Type": "text/plain; charset=utf-8"})


def healthz(*, healthy: bool, eligible: bool, updated: str, now: str) -> Answer:
    """The answer to /healthz; times are RFC 3339 text, `updated` is that of the last sync."""
    good = healthy and eligible
    # Blank for blank what healthzHandler in kubernetes/pkg/proxy/healthcheck/proxy_health.go
    # prints. Who is healthy gives the present time as lastUpdated there: in older releases that was
    # when the loop last ran, also where nothing had changed.
    body = (
        f'{{"lastUpdated": "{now if good else updated}","currentTime": "{now}", '
        f'"nodeEligible": {str(eligible).lower()}}}'
    )
    return Answer(200 if good else 503, body.encode(), _JSON)


def livez(*, healthy: bool, updated: str, now: str) -> Answer:
    """The answer to /livez, for which the state of the Node does not matter."""
    body = f'{{"lastUpdated": "{now if healthy else updated}","currentTime": "{now}"}}'
    return Answer(200 if healthy else 503, body.encode(), _JSON)


def readyz(*, healthy: bool, synced: bool) -> Answer:
    """The answer to /readyz, which kube-proxy does not have."""
    return Answer(
        200 if healthy and synced else 503, json.dumps({"synced": synced}).encode(), _JSON
    )


def load_balancer(namespace: str, name: str, *, endpoints: int, healthy: bool) -> Answer:
    """The answer on the health-check node port of a Service."""
    body = (
        # As hcHandler in kubernetes/pkg/proxy/healthcheck/service_health.go prints it.
        '{\n\t"service": {\n'
        f'\t\t"namespace": {json.dumps(namespace)},\n\t\t"name": {json.dumps(name)}\n'
        f'\t}},\n\t"localEndpoints": {endpoints},\n'
        f'\t"serviceProxyHealthy": {str(healthy).lower()}\n}}'
    )
    return Answer(
        200 if endpoints and healthy else 503,
        body.encode(),
        {**_JSON, "X-Load-Balancing-Endpoint-Weight": str(endpoints)},
    )


def configz(config: ProxyConfig) -> Answer:
    """The answer to /configz."""
    body = json.dumps({"kubeproxy.config.k8s.io": document(config)})
    return Answer(200, body.encode(), {"Content-Type": "application/json"})


def document(config: ProxyConfig) -> dict[str, Any]:
    """The fields that nptables looks at, defaults filled in."""
    conntrack = config.conntrack
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "mode": "iptables",
        "clusterCIDR": ",".join(config.cluster_cidrs),
        "detectLocalMode": config.detect_local_mode,
        "detectLocal": {
            "bridgeInterface": config.bridge_interface,
            "interfaceNamePrefix": config.interface_name_prefix,
        },
        "nodePortAddresses": list(config.node_port_addresses),
        "bindAddress": config.bind_address,
        "bindAddressHardFail": config.bind_address_hard_fail,
        "hostnameOverride": config.hostname_override,
        "healthzBindAddress": config.healthz_bind_address,
        "metricsBindAddress": config.metrics_bind_address,
        "clientConnection": {"kubeconfig": config.kubeconfig},
        "configSyncPeriod": _duration(config.config_sync_period),
        "featureGates": {"AllowServiceExternalIPs": config.allow_service_external_ips},
        "iptables": {
            "masqueradeAll": config.masquerade_all,
            "masqueradeBit": config.masquerade_bit,
            "localhostNodePorts": config.localhost_node_ports,
            "syncPeriod": _duration(config.sync_period),
            "minSyncPeriod": _duration(config.min_sync_period),
        },
        "conntrack": {
            "maxPerCore": conntrack.max_per_core or 0,
            "min": conntrack.min or 0,
            "tcpEstablishedTimeout": _duration(conntrack.tcp_established_timeout),
            "tcpCloseWaitTimeout": _duration(conntrack.tcp_close_wait_timeout),
            "tcpBeLiberal": conntrack.tcp_be_liberal,
            "udpTimeout": _duration(conntrack.udp_timeout),
            "udpStreamTimeout": _duration(conntrack.udp_stream_timeout),
        },
    }


def _duration(seconds: float | None) -> str:
    return f"{seconds or 0:g}s"


# The zero time of Go, which stands for none there.
_NEVER = "0001-01-01T00:00:00Z"


class Probes:
    """Answers probes.

    `oldest` gives since when the oldest event waits that the loop has not taken yet, in the seconds
    of `clock`, or None. `count` is told the name and the status of every answer. `wall` gives
    seconds since the epoch.
    """

    def __init__(
        self,
        health: Health,
        *,
        oldest: Callable[[], float | None],
        count: Callable[[str, int], None],
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self._health = health
        self._oldest = oldest
        self._count = count
        self._clock = clock
        self._wall = wall

    def healthy(self) -> bool:
        """Whether no change waits for too long, be it for the loop or in it."""
        now = self._clock()
        oldest = self._oldest()
        late = oldest is not None and now - oldest >= self._health.timeout
        return self._health.healthy(now) and not late

    def healthz(self) -> Answer:
        """The answer to /healthz."""
        updated, now = self._times()
        eligible = self._health.node_eligible
        answer = healthz(healthy=self.healthy(), eligible=eligible, updated=updated, now=now)
        self._count("healthz", answer.status)
        return answer

    def livez(self) -> Answer:
        """The answer to /livez."""
        updated, now = self._times()
        answer = livez(healthy=self.healthy(), updated=updated, now=now)
        self._count("livez", answer.status)
        return answer

    def readyz(self) -> Answer:
        """The answer to /readyz."""
        return readyz(healthy=self.healthy(), synced=self._health.synced)

    def _times(self) -> tuple[str, str]:
        last = self._health.last_sync
        return _NEVER if last is None else rfc3339(last), rfc3339(self._wall())
