"""Feature gates that decide rules, and from which version on each can be set.

Source: pkg/features/kube_features.go of each release, and for the last that knows a gate the pages
of the gates in the documentation of Kubernetes.
"""

from __future__ import annotations

from nptables.immutable import frozen
from nptables.model.kubeproxy.versions import Version


@frozen
class Gate:
    """A feature gate of kube-proxy.

    `known` is the first version that has it (None: all of them have), `on` the first where it is on
    unless switched off, `locked` the first where it cannot be switched off, `last` the last that
    knows it (None: the newest does); what the gate was for stays. A `deprecated` gate was never
    alpha or beta.
    """

    name: str
    known: Version | None = None
    on: Version | None = None
    locked: Version | None = None
    last: Version | None = None
    deprecated: bool = False

    def exists(self, version: Version) -> bool:
        """Whether a version knows the gate."""
        return self.known is None or version >= self.known

    def is_gone(self, version: Version) -> bool:
        """Whether a version knows the gate no longer, and does always what it was for."""
        return self.last is not None and version > self.last

    def is_locked(self, version: Version) -> bool:
        """Whether it cannot be switched off in a version."""
        return self.locked is not None and version >= self.locked

    def default(self, version: Version) -> bool:
        """What a version does where its configuration does not name the gate."""
        return self.exists(version) and (self.on is None or version >= self.on)

    def is_alpha(self, version: Version) -> bool:
        """Whether AllAlpha sets it in a version."""
        # Each of these gates was off as alpha and on as beta, and locked from its release on.
        return self.exists(version) and not self.default(version)

    def is_beta(self, version: Version) -> bool:
        """Whether AllBeta sets it in a version."""
        return self.default(version) and not self.is_locked(version) and not self.deprecated


EXTERNAL_IPS = Gate("AllowServiceExternalIPs", known=Version(1, 36), deprecated=True)
SAME_NODE = Gate("PreferSameTrafficDistribution", Version(1, 33), Version(1, 34), Version(1, 35))
DISTRIBUTION = Gate("ServiceTrafficDistribution", Version(1, 30), Version(1, 31), Version(1, 33))
BALANCER_IP_MODE = Gate(
    "LoadBalancerIPMode", Version(1, 29), Version(1, 30), Version(1, 32), last=Version(1, 34)
)
TOPOLOGY_HINTS = Gate("TopologyAwareHints", locked=Version(1, 33))
TERMINATING = Gate("ProxyTerminatingEndpoints", locked=Version(1, 28), last=Version(1, 29))

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
        Gate("EndpointSliceProxying", locked=Version(1, 22), last=Version(1, 24)),
        Gate("ServiceInternalTrafficPolicy", locked=Version(1, 26), last=Version(1, 27)),
    )
}


def set_for_all(name: str, version: Version) -> tuple[str, ...]:
    """The gates that AllAlpha or AllBeta sets, unless they are named; none for another name.

    Source: `setUnsetAlphaGates` and `setUnsetBetaGates` in
    staging/src/k8s.io/component-base/featuregate/feature_gate.go.
    """
    if name == "AllAlpha":
        return tuple(gate.name for gate in GATES.values() if gate.is_alpha(version))
    if name == "AllBeta":
        return tuple(gate.name for gate in GATES.values() if gate.is_beta(version))
    return ()
