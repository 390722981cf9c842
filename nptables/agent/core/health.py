"""What health probes are told, as a function of what happened and the time passed in.

Source: kube-proxy's ProxyHealthServer. `livez` fails while the oldest change that was not synced
is older than twice syncPeriod; `healthz` also fails while the Node is gone, is being deleted or
carries the taint with which the cluster autoscaler marks a node that it will remove. `readyz` is
ours: it fails until the kernel was once brought what the cluster says, in every family.
"""

from __future__ import annotations

import attrs

from nptables.model import Node

AUTOSCALER_TAINT = "ToBeDeletedByClusterAutoscaler"


@attrs.define
class Health:
    """The health of the agent; times are monotonic seconds, but `last_sync` since the epoch.

    The fields are plain values that the loop's thread writes and others read.
    """

    timeout: float
    # Eligible while it starts, until an event of the Node says otherwise (newProxyHealthServer in
    # kubernetes/pkg/proxy/healthcheck/proxy_health.go).
    node_eligible: bool = True
    pending_since: float | None = None
    last_sync: float | None = None
    synced: bool = False

    def healthy(self, now: float) -> bool:
        """Whether no change waits for longer than the timeout."""
        since = self.pending_since
        return since is None or now - since < self.timeout

    def take_node(self, node: Node | None) -> None:
        """What the API server last said of the own Node; None: it is gone."""
        self.node_eligible = (
            node is not None
            and not node.metadata.deletion_timestamp
            and AUTOSCALER_TAINT not in node.taints
        )
