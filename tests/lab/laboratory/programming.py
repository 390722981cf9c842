"""Gets rules into the kernel of a node, and out again. This is the one place that does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nptables import Cluster, ProxyConfig, translate
from nptables import Family as NpFamily
from tests.lab.laboratory.addresses import FAMILIES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.support.netns import Namespace

_COUNTERS = ("localhost_nps_accepted_pkts", "ct_state_invalid_dropped_pkts")
API = {
    "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
    "kind": "KubeProxyConfiguration",
    "mode": "iptables",
}


def apply(
    namespace: Namespace,
    node: str,
    objects: Sequence[Mapping[str, Any]],
    config: Mapping[str, Any],
) -> None:
    """Have a node serve the objects under a configuration."""
    for counter in _COUNTERS:
        namespace.run(["nfacct", "add", counter], check=False)
    cluster = Cluster.from_objects(objects)
    proxy = ProxyConfig.from_kube_proxy({**API, **config})
    for family in FAMILIES:
        facts = {"nfacct": True}
        rules = translate(cluster, cluster.node(node, facts), proxy, NpFamily[family])
        namespace.restore(rules.to_save(), family)
    localhost = config.get("iptables", {}).get("localhostNodePorts", True)
    namespace.run(["sysctl", "-q", "-w", f"net.ipv4.conf.all.route_localnet={int(localhost)}"])


_EMPTY = """\
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
COMMIT
"""


def clear(namespace: Namespace) -> None:
    """Make a node as it was before any rule, connection and setting."""
    for family in FAMILIES:
        namespace.restore(_EMPTY, family)
    namespace.run(["sysctl", "-q", "-w", "net.ipv4.conf.all.route_localnet=0"])
    namespace.run(["conntrack", "-F"])
    namespace.run(["nfacct", "flush"])
