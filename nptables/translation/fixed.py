"""The rules that are there whatever Services there are: jumps and fixed chains."""

from __future__ import annotations

from collections.abc import Mapping

from nptables.family import Family
from nptables.translation import chains
from nptables.translation.context import LOOPBACK_NETWORK, Context

INVALID_DROPPED = "ct_state_invalid_dropped_pkts"

_NEW = "-m conntrack --ctstate NEW "
_PORTALS = '-m comment --comment "kubernetes service portals"'
_BALANCER = '-m comment --comment "kubernetes load balancer firewall"'
_POSTROUTING = '-m comment --comment "kubernetes postrouting rules"'
_HEALTH_CHECKS = '-m comment --comment "kubernetes health check service ports"'
_FORWARDING = '-m comment --comment "kubernetes forwarding rules"'
_EXTERNAL = '-m comment --comment "kubernetes externally-visible service portals"'

# Jumps by table, each table's in the order in which they stand at the top of their chains.
# kube-proxy prepends them one after the other, so they stand in the reverse order of
# `iptablesJumpChains` in proxier.go, below those to KUBE-FIREWALL, which it makes last. Chains that
# only refuse are for NEW packets: once a connection stands, its packets need not walk through all
# Services. The chain of the health check ports accepts, so all their packets have to meet it.
# At each hook a packet meets these before nat and filter, where our jumps are (NF_IP_PRI_* of
# linux/netfilter_ipv4.h).
TABLES_BEFORE_OURS = ("raw", "mangle")
JUMPS: Mapping[str, tuple[str, ...]] = {
    "nat": (
        f"-A PREROUTING {_PORTALS} -j {chains.SERVICES}",
        f"-A OUTPUT {_PORTALS} -j {chains.SERVICES}",
        f"-A POSTROUTING {_POSTROUTING} -j {chains.POSTROUTING}",
    ),
    "filter": (
        f"-A INPUT -j {chains.FIREWALL}",
        f"-A INPUT {_NEW}{_BALANCER} -j {chains.PROXY_FIREWALL}",
        f"-A INPUT {_HEALTH_CHECKS} -j {chains.NODEPORTS}",
        f"-A INPUT {_NEW}{_EXTERNAL} -j {chains.EXTERNAL_SERVICES}",
        f"-A FORWARD {_NEW}{_BALANCER} -j {chains.PROXY_FIREWALL}",
        f"-A FORWARD {_FORWARDING} -j {chains.FORWARD}",
        f"-A FORWARD {_NEW}{_PORTALS} -j {chains.SERVICES}",
        f"-A FORWARD {_NEW}{_EXTERNAL} -j {chains.EXTERNAL_SERVICES}",
        f"-A OUTPUT -j {chains.FIREWALL}",
        f"-A OUTPUT {_NEW}{_BALANCER} -j {chains.PROXY_FIREWALL}",
        f"-A OUTPUT {_NEW}{_PORTALS} -j {chains.SERVICES}",
    ),
}

_NODE_PORTS_LAST = (
    '-m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in '
    'this chain"'
)


def nat_chains(context: Context) -> dict[str, tuple[str, ...]]:
    """The fixed chains of the nat table; shared chains have no line here."""
    mark = context.masquerade_mark
    fully = " --random-fully" if context.random_fully else ""
    # A chain of its own, as the mark may change, and as others jump there too. iptables stores
    # --or-mark X as --set-xmark X/X, and --xor-mark X as X/0x0; it prints the latter forms.
    return {
        chains.MARK_MASQ: (f"-A {chains.MARK_MASQ} -j MARK --set-xmark {mark}/{mark}",),
        chains.POSTROUTING: (
            f"-A {chains.POSTROUTING} -m mark ! --mark {mark}/{mark} -j RETURN",
            # The bit is set here, so flipping it clears it: a packet that passes the network stack
            # once more, as inside a tunnel, is not masqueraded again (`syncProxyRules`).
            f"-A {chains.POSTROUTING} -j MARK --set-xmark {mark}/0x0",
            (
                f"-A {chains.POSTROUTING} -m comment "
                f'--comment "kubernetes service traffic requiring SNAT" -j MASQUERADE{fully}'
            ),
        ),
        chains.SERVICES: (),
        chains.NODEPORTS: (),
    }


def filter_chains(context: Context) -> dict[str, tuple[str, ...]]:
    """The fixed chains of the filter table; shared chains have no line here."""
    mark, start = context.masquerade_mark, f"-A {chains.FORWARD}"
    # Node ports and load-balancer IPs work where the policy of FORWARD is DROP: marked packets are
    # accepted, and then the rest of their connections, which carries no mark.
    forward = [
        (f"{start} {_FORWARDING} -m mark --mark {mark}/{mark} -j ACCEPT"),
        (
            f'{start} -m comment --comment "kubernetes forwarding conntrack rule" '
            "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
        ),
    ]
    if context.drop_invalid:
        # Two spaces, as iptables-save prints it: see the remark in extensions/libxt_nfacct.t.
        count = f"-m nfacct --nfacct-name  {INVALID_DROPPED} " if context.count_packets else ""
        # First, before anything accepts: an answer that conntrack does not recognise is not
        # translated back, and the client resets the connection (kubernetes issue #74839).
        forward.insert(0, f"{start} -m conntrack --ctstate INVALID {count}-j DROP")
    return {
        chains.FORWARD: tuple(forward),
        chains.FIREWALL: firewall_lines(context),
        chains.SERVICES: (),
        chains.EXTERNAL_SERVICES: (),
        chains.NODEPORTS: (),
        chains.PROXY_FIREWALL: (),
    }


def firewall_lines(context: Context) -> tuple[str, ...]:
    """The rule that closes the hole which node ports on localhost open.

    `route_localnet` lets outsiders send packets to 127.0.0.0/8. Empty where kube-proxy leaves
    the chain to the kubelet.
    """
    if not context.localhost_node_ports:
        return ()
    return (
        (
            f"-A {chains.FIREWALL} ! -s {LOOPBACK_NETWORK} -d {LOOPBACK_NETWORK} "
            # CVE-2020-8558 (kubernetes issue #90259). The kubelet writes the same rule, so the two
            # must stay equal. DNAT: what the rules here send to localhost themselves.
            '-m comment --comment "block incoming localnet connections" '
            "-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP"
        ),
    )


def node_port_jumps(context: Context) -> tuple[str, ...]:
    """The last lines of KUBE-SERVICES: which addresses of the node answer on node ports."""
    start, jump = f"-A {chains.SERVICES}", f"-j {chains.NODEPORTS}"
    if context.all_addresses:
        # A packet from ::1, or from 127.0.0.0/8 without `route_localnet`, cannot leave the node.
        # With a jump here such connections would hang; without, they are refused at once.
        if context.family is Family.IPV6:
            start += " ! -d ::1/128"
        elif not context.localhost_node_ports:
            start += f" ! -d {LOOPBACK_NETWORK}"
        return (f"{start} {_NODE_PORTS_LAST} -m addrtype --dst-type LOCAL {jump}",)
    prefix = context.family.host_prefix
    return tuple(
        f"{start} -d {address}/{prefix} {_NODE_PORTS_LAST} {jump}"
        for address in context.node_port_addresses
    )
