"""What probes and load balancers read, as kube-proxy writes it.

Only the times of the probes are in RFC 3339, where kube-proxy prints them as Go does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import attrs

_JSON = {"Content-Type": "application/json", "X-Content-Type-Options": "nosniff"}


@attrs.frozen
class Answer:
    """An HTTP answer."""

    status: int
    body: bytes
    headers: Mapping[str, str] = attrs.field(factory=dict)


NOT_FOUND = Answer(404, b"404 page not found\n", {"Content-Type": "text/plain; charset=utf-8"})


def healthz(*, healthy: bool, eligible: bool, updated: str, now: str) -> Answer:
    """The answer to /healthz; times are RFC 3339 text, `updated` is that of the last sync."""
    good = healthy and eligible
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
