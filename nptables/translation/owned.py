"""Which chains and rules on a node belong to kube-proxy, and so to nptables."""

from __future__ import annotations

import attrs

from nptables.iptables.ownership import Ownership
from nptables.iptables.ruleset import Ruleset
from nptables.translation import chains
from nptables.translation.context import Context
from nptables.translation.fixed import JUMPS, firewall_lines

_NAT = frozenset({chains.SERVICES, chains.NODEPORTS, chains.POSTROUTING, chains.MARK_MASQ})
_FILTER = frozenset(
    {
        chains.SERVICES,
        chains.EXTERNAL_SERVICES,
        chains.NODEPORTS,
        chains.PROXY_FIREWALL,
        chains.FORWARD,
    }
)


def ownership(context: Context | None = None) -> Ownership:
    """What kube-proxy owns on a node.

    KUBE-FIREWALL also belongs to the kubelet: it is ours alone only where kube-proxy writes
    its rule (IPv4 with node ports on localhost), and only has to exist elsewhere. Rules that
    the kubelet adds there stay. Without a context the chain is left to the kubelet.
    """
    writes_firewall = context is not None and bool(firewall_lines(context))
    firewall = frozenset({chains.FIREWALL})
    return Ownership(
        chains={"nat": _NAT, "filter": _FILTER | firewall if writes_firewall else _FILTER},
        patterns={"nat": chains.HASHED},
        ensured={} if writes_firewall else {"filter": firewall},
        joint={"filter": firewall},
        jumps=JUMPS,
        # kube-proxy writes these in the order of a Go map, another one at each sync. In
        # KUBE-FORWARD the order counts: what is INVALID must be dropped before anything accepts it.
        unordered={
            "nat": frozenset({chains.SERVICES, chains.NODEPORTS}),
            "filter": _FILTER - {chains.FORWARD},
        },
    )


def is_of_service_port(chain: str) -> bool:
    """Whether a chain has a name that kube-proxy gives to those of service ports and endpoints."""
    return chains.HASHED.fullmatch(chain) is not None


def holds_service_chains(ruleset: Ruleset) -> bool:
    """Whether a ruleset has chains of service ports."""
    table = ruleset.tables.get("nat")
    return table is not None and any(map(is_of_service_port, (*table.chains, *table.unread)))


def cleanup_ownership() -> Ownership:
    """What cleanup removes: everything of kube-proxy's, canaries too.

    KUBE-FIREWALL stays, with its rules and the jumps to it: the kubelet keeps it as well.
    KUBE-MARK-MASQ stays while somebody else uses it.
    """
    # kube-proxy and the kubelet keep empty chains of these kinds to notice that somebody flushed
    # the tables (`Monitor` in pkg/util/iptables/iptables.go). Only kube-proxy's is removed.
    canary = frozenset({chains.CANARY})
    own = ownership()
    return attrs.evolve(
        own,
        chains={"nat": _NAT | canary, "filter": _FILTER | canary, "mangle": canary},
        ensured={},
        jumps={
            table: tuple(line for line in lines if not line.endswith(f" -j {chains.FIREWALL}"))
            for table, lines in JUMPS.items()
        },
        # The portmap plugin of CNI jumps there if told so (`externalSetMarkChain`), and
        # kube-proxy's own `CleanupLeftovers` does not remove it either.
        lent={"nat": frozenset({chains.MARK_MASQ})},
    )


def ever_owned() -> Ownership:
    """Every chain that may belong to kube-proxy or nptables: what has to be read on a node."""
    own = ownership()
    return attrs.evolve(cleanup_ownership(), jumps=own.jumps, ensured=own.ensured)
