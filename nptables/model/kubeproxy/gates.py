"""Feature gates that decide rules, and from which version on each can be set.

Source: pkg/features/kube_features.go of each release.
"""

from __future__ import annotations

from nptables.immutable import frozen
from nptables.model.kubeproxy.versions import Version


@frozen
class Gate:
    """A feature gate of kube-proxy.

    `known` is the first version that has it (None: all of them have), `on` the first where it is on
    unless switched off, `locked` the first where it cannot be switched off.
    """

    name: str
    known: Version | None = None
    on: Version | None = None
    locked: Version | None = None

    def exists(self, version: Version) -> bool:
        """Whether a version knows the gate."""
        return self.known is None or version >= self.known

    def is_locked(self, version: Version) -> bool:
        """Whether it cannot be switched off in a version."""
        return self.locked is not None and version >= self.locked

    def default(self, version: Version) -> bool:
        """What a version does where its configuration does not name the gate."""
        return self.exists(version) and (self.on is None or version >= self.on)


EXTERNAL_IPS = Gate("AllowServiceExternalIPs", known=Version(1, 36))
SAME_NODE = Gate("PreferSameTrafficDistribution", Version(1, 33), Version(1, 34), Version(1, 35))
DISTRIBUTION = Gate("ServiceTrafficDistribution", Version(1, 30), Version(1, 31), Version(1, 33))
BALANCER_IP_MODE = Gate("LoadBalancerIPMode", Version(1, 29), Version(1, 30), Version(1, 32))
TOPOLOGY_HINTS = Gate("TopologyAwareHints", locked=Version(1, 33))
TERMINATING = Gate("ProxyTerminatingEndpoints", locked=Version(1, 28))

GATES = {
    gate.name: gate
    for gate in (
        EXTERNAL_IPS,
        SAME_NODE,
        DISTRIBUTION,
        BALANCER_IP_MODE,
        TOPOLOGY_HINTS,
        TERMINATING,
        # These two were locked on before the oldest version that is known here.
        Gate("EndpointSliceProxying", locked=Version(1, 22)),
        Gate("ServiceInternalTrafficPolicy", locked=Version(1, 26)),
    )
}
