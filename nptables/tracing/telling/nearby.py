"""Node ports close to one that no Service has: mostly somebody mistyped it."""

from __future__ import annotations

from collections.abc import Iterator

from nptables.tracing.services import Services
from nptables.tracing.telling.result import Outcome
from nptables.translation import Reason

# The ports that Kubernetes gives out unless it is told otherwise (--service-node-port-range).
_USUAL = range(30000, 32768)
_CLOSE = 100
_NAMED = 3


def no_node_port(outcome: Outcome, services: Services) -> Iterator[Reason]:
    """That no Service has a node port, with those that come close, where it looks like one."""
    wanted = outcome.port or 0
    known = sorted(services.node_ports(), key=lambda found: (abs(found[0] - wanted), found))
    if wanted not in _USUAL and not (known and abs(known[0][0] - wanted) <= _CLOSE):
        return
    near = ", ".join(f"{port}/{protocol} ({name})" for port, protocol, name in known[:_NAMED])
    yield Reason(
        "no-such-node-port",
        f"no Service of the cluster has node port {wanted}; "
        + (f"the nearest: {near}" if near else "none has a node port"),
    )
