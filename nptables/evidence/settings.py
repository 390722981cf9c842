"""Which settings of the kernel a snapshot has, and what the version of iptables says."""

from __future__ import annotations

import re

# By their paths below /proc/sys, `*` for any interface; deploy/snapshot.sh has the same.
SYSCTLS = (
    "net/ipv4/ip_forward",
    "net/ipv6/conf/all/forwarding",
    "net/ipv4/conf/all/route_localnet",
    "net/ipv4/conf/*/rp_filter",
    "net/ipv4/ip_local_port_range",
    "net/ipv4/ip_local_reserved_ports",
    "net/bridge/bridge-nf-call-iptables",
    "net/bridge/bridge-nf-call-ip6tables",
    "net/netfilter/nf_conntrack_tcp_be_liberal",
    "net/netfilter/nf_conntrack_max",
    "net/netfilter/nf_conntrack_buckets",
    "net/netfilter/nf_conntrack_udp_timeout",
    "net/netfilter/nf_conntrack_udp_timeout_stream",
    "net/netfilter/nf_conntrack_tcp_timeout_established",
    "net/netfilter/nf_conntrack_tcp_timeout_close_wait",
)
_KEPT = re.compile("|".join(re.escape(path).replace(r"\*", "[^/]+") for path in SYSCTLS))
_VERSION = re.compile(r"\bv(\d+)\.(\d+)\.(\d+)")
# The first version of iptables whose MASQUERADE knows --random-fully.
# kube-proxy asks the same (HasRandomFully in kubernetes/pkg/util/iptables/iptables.go).
_RANDOM_FULLY = (1, 6, 2)


def is_kept(path: str) -> bool:
    """Whether a snapshot has a setting."""
    return _KEPT.fullmatch(path) is not None


def knows_random_fully(said: str) -> bool | None:
    """Whether an iptables knows `MASQUERADE --random-fully`, by what it says of its version.

    None where it says none.
    """
    version = _VERSION.search(said)
    return None if version is None else tuple(map(int, version.groups())) >= _RANDOM_FULLY
