"""The table of habits: every way in which versions of kube-proxy make different rules.

A habit is something that the newest kube-proxy does and older ones did not, or that only old ones
did. The code that makes rules asks for a habit by its name and never for a version. Whoever adds
a version adds its habits here, and recordings of what it makes; docs/versions.md is made from
this table.
"""

from __future__ import annotations

from collections.abc import Mapping

from nptables.immutable import frozen
from nptables.model.kubeproxy import gates
from nptables.model.kubeproxy.gates import Gate
from nptables.model.kubeproxy.versions import Version


@frozen
class Habit:
    """One way in which versions differ.

    `since` is the first version that has it (None: the oldest has it), `until` the last (None: the
    newest has it). Where a `gate` decides, both tell what happens unless a configuration sets it.
    `changes` says what the rules are with it and without it, `means` what packets notice, `source`
    where else it is written (a file of Kubernetes, a KEP, a pull request), `recorded` in which
    recorded scenarios it shows.
    """

    name: str
    changes: str
    means: str
    source: str
    recorded: tuple[str, ...] = ()
    since: Version | None = None
    until: Version | None = None
    gate: Gate | None = None

    def by_default(self, version: Version) -> bool:
        """Whether a version has the habit when nothing is configured."""
        return (self.since is None or version >= self.since) and (
            self.until is None or version <= self.until
        )

    def __str__(self) -> str:
        return self.name


BIND_ADDRESS_ALONE = Habit(
    "bind-address-is-node-address",
    until=Version(1, 27),
    changes="loadBalancerSourceRanges are compared with bindAddress alone to tell whether they "
    "contain the node. Later versions compare the addresses of the Node object as well.",
    means="Without a bindAddress, a node inside loadBalancerSourceRanges does not reach the "
    "load-balancer IP from itself up to 1.27; later it does.",
    recorded=("source-ranges-node-inside",),
    source="cmd/kube-proxy/app/server_others.go",
)
ODD_ZERO_IGNORED = Habit(
    "odd-zero-node-ports-ignored",
    until=Version(1, 27),
    changes="An entry of nodePortAddresses that holds every address but is not written 0.0.0.0/0 "
    "or ::/0 gives no jump to KUBE-NODEPORTS.",
    means="With such an entry alone, node ports answer nowhere up to 1.27.",
    recorded=("node-port-addresses-zero-mask-odd",),
    source="pkg/proxy/util/nodeport_addresses.go",
)
TERMINATING_FALLBACK = Habit(
    "terminating-fallback",
    gate=gates.TERMINATING,
    changes="Where no endpoint is ready, terminating ones that still serve are used. Up to 1.27 "
    "the gate ProxyTerminatingEndpoints switches that off.",
    means="Connections to a Service whose Pods are all ending still arrive, instead of being "
    "refused.",
    recorded=("gate-ProxyTerminatingEndpoints-off",),
    source="KEP-1669",
)
ZONE_HINTS = Habit(
    "zone-hints",
    gate=gates.TOPOLOGY_HINTS,
    changes="Zone hints of endpoints narrow the choice. Up to 1.32 the gate TopologyAwareHints "
    "switches that off.",
    means="Packets stay in the node's zone where every ready endpoint has a hint.",
    recorded=("gate-TopologyAwareHints-off",),
    source="KEP-2433",
)
TCP_BE_LIBERAL = Habit(
    "tcp-be-liberal",
    since=Version(1, 29),
    changes="The rule in KUBE-FORWARD that drops packets of conntrack state INVALID is left out "
    "where nf_conntrack_tcp_be_liberal is on, which conntrack.tcpBeLiberal turns on. Before, the "
    "rule is always there and the setting is unknown.",
    means="With the sysctl on, forwarded packets that conntrack takes for INVALID pass from 1.29 "
    "on; before, they are dropped.",
    recorded=("be-liberal-config", "be-liberal-sysctl"),
    source="pull request #120354",
)
EXTERNAL_IPS_LOCAL = Habit(
    "local-policy-of-external-ips",
    since=Version(1, 29),
    changes="externalTrafficPolicy Local counts for the externalIPs of a Service of type "
    "ClusterIP. Before, the policy of such a Service counts as Cluster.",
    means="Packets from outside to such an external IP keep their source and go to endpoints of "
    "this node alone, or are dropped, from 1.29 on; before, they are masqueraded and go anywhere.",
    source="pkg/api/v1/service/util.go",
)
NODE_ADDRESS_PER_FAMILY = Habit(
    "node-address-of-each-family",
    since=Version(1, 29),
    changes="loadBalancerSourceRanges are compared with the node's address of their own family. "
    "In 1.28 the node has one address: bindAddress, or its first one, of whichever family.",
    means="A node inside loadBalancerSourceRanges of its second family reaches the load-balancer "
    "IP from itself from 1.29 on.",
    recorded=("source-ranges-node-inside",),
    source="cmd/kube-proxy/app/server.go",
)
IP_MODE = Habit(
    "ip-mode",
    since=Version(1, 30),
    gate=gates.BALANCER_IP_MODE,
    changes="A load-balancer IP with ipMode Proxy gets no rules. Before (in 1.29 unless the gate "
    "LoadBalancerIPMode is on) it gets them like any other.",
    means="Packets from this node and its Pods to such an IP go to the load balancer from 1.30 "
    "on; before, they go straight to an endpoint.",
    recorded=("lb-ipmode", "gate-LoadBalancerIPMode-on"),
    source="KEP-1860",
)
DECIMAL_ADDRESSES = Habit(
    "decimal-addresses",
    since=Version(1, 30),
    changes="externalIPs, load-balancer IPs and loadBalancerSourceRanges with leading zeros are "
    "read as decimal. Before, iptables gets them as they are written and reads octal.",
    means="198.051.100.020 is 198.51.100.20 from 1.30 on; before, packets to 198.41.100.16 are "
    "taken instead.",
    recorded=("sloppy-external-ip", "sloppy-source-range"),
    source="pkg/proxy/serviceport.go",
)
HINTS_WITHOUT_ANNOTATION = Habit(
    "hints-without-annotation",
    since=Version(1, 31),
    gate=gates.DISTRIBUTION,
    changes="Zone hints count whatever annotations the Service has, so trafficDistribution "
    "works. Before (in 1.30 unless the gate ServiceTrafficDistribution is on) they count only "
    "with the annotation service.kubernetes.io/topology-aware-hints, or else topology-mode, and "
    "not if it is Disabled.",
    means="Packets stay in the node's zone wherever the hints allow it from 1.31 on; before, they "
    "spread over all zones unless the Service is annotated.",
    recorded=("hints-no-annotation", "hints-annotation-Disabled-up"),
    source="KEP-4444",
)
PACKET_COUNTERS = Habit(
    "packet-counters",
    since=Version(1, 31),
    changes="Where the kernel has nfacct, the rule for INVALID packets and a rule of its own for "
    "node ports on 127.0.0.0/8 count packets.",
    means="Nothing: packets are counted, and go where they went before.",
    recorded=("nfacct-localhost-on", "nfacct-localhost-off"),
    source="pkg/proxy/iptables/proxier.go",
)
USUAL_ENDPOINTS = Habit(
    "usual-endpoint-spelling",
    since=Version(1, 31),
    changes="Chain names, comments and the order of endpoints use the usual spelling of "
    "addresses. Before, the spelling in the slice; leading zeros or an IPv4-mapped "
    "address then make iptables-restore refuse all rules.",
    means="Every endpoint has the same share as before; one with leading zeros or a mapped "
    "address, with which older versions program no rule for Services, is used from 1.31 on.",
    recorded=("slice-upper-case-ipv6", "sloppy-endpoint", "mapped-endpoint"),
    source="pkg/proxy/endpointslicecache.go",
)
PRIMARY_ADDRESSES = Habit(
    "node-ports-primary",
    since=Version(1, 31),
    changes="nodePortAddresses: [primary] is accepted. Before, kube-proxy does not start with it.",
    means="Node ports answer on the primary addresses of the node alone.",
    recorded=("nodeport-addresses-primary",),
    source="pkg/proxy/apis/config/validation/validation.go",
)
EMPTY_ZONE = Habit(
    "empty-zone",
    since=Version(1, 33),
    changes="A zone hint with an empty name fits a node without a zone label. Before, a node "
    "without one never narrows its choice.",
    means="On a node without a zone, packets go to the endpoints with that empty hint alone from "
    "1.33 on; no controller writes such a hint.",
    recorded=("hints-auto-empty-zone-name-node-without-zone",),
    source="pkg/proxy/topology.go",
)
WRONG_FAMILY_BREAKS = Habit(
    "wrong-family-breaks",
    since=Version(1, 33),
    changes="An endpoint whose address is not of its slice's addressType is handed to "
    "iptables-restore, which refuses all rules of the family. Before, it is skipped. nptables "
    "skips it for every version.",
    means="A kube-proxy from 1.33 on stops updating rules until such a slice is gone; no API "
    "server stores one.",
    recorded=("slice-ipv6-address-in-ipv4-slice",),
    source="pkg/proxy/endpointslicecache.go",
)
NODE_HINTS = Habit(
    "node-hints",
    since=Version(1, 34),
    gate=gates.SAME_NODE,
    changes="Where every ready endpoint has a node hint and one names this node, only those are "
    "used (trafficDistribution PreferSameNode). Before (in 1.33 unless the gate "
    "PreferSameTrafficDistribution is on) node hints are not looked at.",
    means="Packets stay on the node where the hints allow it from 1.34 on; before, zone hints "
    "decide, or they spread over all endpoints.",
    recorded=("node-hints-only-auto", "node-and-zone-hints-auto"),
    source="KEP-3015",
)
OPEN_RANGES = Habit(
    "open-source-ranges",
    since=Version(1, 34),
    changes="A loadBalancerSourceRanges entry that holds everything empties the list of its "
    "family. Before, a KUBE-FW chain lets everybody through, and the rule in KUBE-PROXY-FIREWALL "
    "that drops all others never matches.",
    means="Nothing: everybody is let through, before as well.",
    recorded=("source-ranges-zero", "source-ranges-zero-mask-odd"),
    source="pkg/proxy/serviceport.go",
)
ODD_ZERO_NODE_PORTS = Habit(
    "odd-zero-node-ports",
    since=Version(1, 34),
    changes="An entry of nodePortAddresses that holds every address, such as 1.2.3.4/0, is the "
    "same as 0.0.0.0/0. From 1.28 to 1.33 it gives one jump for each address of the node.",
    means="Node ports answer on addresses that the node gets later as well from 1.34 on.",
    recorded=("node-port-addresses-zero-mask-odd",),
    source="pkg/proxy/util/nodeport_addresses.go",
)
LABELS_BY_KIND = Habit(
    "labels-by-kind",
    since=Version(1, 36),
    changes="Only the label service.kubernetes.io/service-proxy-name excludes a Service, and "
    "only service.kubernetes.io/headless a slice. Before, either label excludes either.",
    means="A Service with the headless label, or whose slices have the proxy-name label, is served "
    "from 1.36 on; before, its packets pass untouched, or are refused for want of endpoints.",
    recorded=("service-label-headless", "slice-label-proxy-name"),
    source="cmd/kube-proxy/app/server.go",
)
EXTERNAL_IPS_GATE = Habit(
    "external-ips-gate",
    since=Version(1, 36),
    changes="The gate AllowServiceExternalIPs, when off, leaves externalIPs without rules. "
    "Before, there is no such gate.",
    means="With the gate off, packets to external IPs are not taken from 1.36 on.",
    recorded=("external-ips-gate-off",),
    source="pkg/features/kube_features.go",
)
TERMINATING_NEVER_REPLACES = Habit(
    "terminating-never-replaces",
    since=Version(1, 36),
    changes="Where an endpoint is in slices several times, the last entry that is not "
    "terminating counts. Before, the first, or the last one on this node.",
    means="While an endpoint moves between slices, packets go by its entry that is not "
    "terminating from 1.36 on.",
    source="pkg/proxy/endpointslicecache.go",
)

# In the order of versions, so that an upgrade reads from the oldest to the newest.
HABITS: tuple[Habit, ...] = (
    TERMINATING_FALLBACK,
    ZONE_HINTS,
    BIND_ADDRESS_ALONE,
    ODD_ZERO_IGNORED,
    TCP_BE_LIBERAL,
    EXTERNAL_IPS_LOCAL,
    NODE_ADDRESS_PER_FAMILY,
    IP_MODE,
    DECIMAL_ADDRESSES,
    HINTS_WITHOUT_ANNOTATION,
    PACKET_COUNTERS,
    USUAL_ENDPOINTS,
    PRIMARY_ADDRESSES,
    EMPTY_ZONE,
    WRONG_FAMILY_BREAKS,
    NODE_HINTS,
    OPEN_RANGES,
    ODD_ZERO_NODE_PORTS,
    LABELS_BY_KIND,
    EXTERNAL_IPS_GATE,
    TERMINATING_NEVER_REPLACES,
)


def in_force(version: Version, gates_set: Mapping[str, bool] | None = None) -> frozenset[str]:
    """The names of a version's habits; its configuration may set gates."""
    set_there = gates_set or {}
    return frozenset(
        habit.name
        for habit in HABITS
        if (
            habit.by_default(version)
            if habit.gate is None
            else set_there.get(habit.gate.name, habit.gate.default(version))
        )
    )
