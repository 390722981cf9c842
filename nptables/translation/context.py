"""What one node and its configuration bring to the rules of every service port."""

from __future__ import annotations

import attrs

from nptables.family import Family
from nptables.immutable import frozen
from nptables.model import Node, ProxyConfig
from nptables.model.addresses import is_loopback, network_contains
from nptables.model.config import PRIMARY, matches_all
from nptables.model.kubeproxy import habits as known
from nptables.model.kubeproxy.habits import Habit
from nptables.model.kubeproxy.versions import Version
from nptables.model.node import UNSPECIFIED
from nptables.model.service import Service, zero_network

LOOPBACK_NETWORK = "127.0.0.0/8"
# What to say where nodePortAddresses are given and a version of kube-proxy heeds none of them.
NO_NETWORKS = "none that this version of kube-proxy reads"


@frozen
class LocalDetector:
    """How traffic of the node's own pods is told: by source network, by interface, or not.

    `source` and `interface` are words of a rule such as `-s 10.0.0.0/8` and `-i cni0`; at most
    one is set.
    """

    source: str = ""
    interface: str = ""

    @property
    def implemented(self) -> bool:
        """Whether there is a way to tell at all."""
        return bool(self.source or self.interface)

    @property
    def if_local(self) -> str:
        """The match on traffic of local pods."""
        return self.source or self.interface


@frozen
class Context:
    """Everything besides Services and endpoints that the rules of a family depend on.

    `habits` are the names of what this version of kube-proxy does. `all_addresses` tells whether
    node ports answer on every address of the node, else they do on those in `node_port_networks`.
    `remarks` are what is odd about the configuration, and decide nothing.
    """

    family: Family
    node_name: str
    zone: str
    node_address: str
    detector: LocalDetector
    masquerade_all: bool
    masquerade_mark: str
    random_fully: bool
    allow_external_ips: bool
    localhost_node_ports: bool
    node_port_networks: tuple[str, ...]
    all_addresses: bool
    interface_addresses: tuple[str, ...]
    count_packets: bool
    drop_invalid: bool
    habits: frozenset[str]
    version: Version = attrs.field(eq=False)
    remarks: tuple[str, ...] = attrs.field(default=(), eq=False)

    def has(self, habit: Habit) -> bool:
        """Whether this kube-proxy has a habit."""
        return habit.name in self.habits

    def zone_for(self, service: Service) -> str | None:
        """The zone that hints of a Service are compared with; None where they do not count."""
        if not self.has(known.ZONE_HINTS):
            return None
        # No zone is not the same as a zone without a name: None fits no hint, "" fits an empty one.
        if not (self.zone or self.has(known.EMPTY_ZONE)):
            return None
        if self.has(known.HINTS_WITHOUT_ANNOTATION):
            return self.zone
        heeded = service.topology_mode not in ("", "Disabled", "disabled")
        return self.zone if heeded else None

    def names_node_port_address(self, address: str) -> bool:
        """Whether `node_port_networks` have an address; other ones count if `all_addresses` do."""
        return any(network_contains(network, address) for network in self.node_port_networks)

    @property
    def node_port_addresses(self) -> tuple[str, ...]:
        """The node's addresses that node ports answer on, where these are not all, sorted.

        Loopback addresses are left out where the kernel cannot serve node ports on them: on
        IPv6, and without `route_localnet` on IPv4.
        """
        return tuple(
            address
            for address in sorted(self.interface_addresses)
            if self.names_node_port_address(address)
            and (self.localhost_node_ports or not is_loopback(address))
        )


def make_context(node: Node, config: ProxyConfig, family: Family) -> Context:
    """The context of a node under a configuration. Raises TypeError for what is no family."""
    family = Family.checked(family)
    networks = _node_port_networks(node, config, family)
    everywhere, looked_through = _reach(networks, config)
    liberal = config.conntrack.tcp_be_liberal or node.facts.tcp_be_liberal
    return Context(
        family=family,
        node_name=node.name,
        zone=node.zone,
        node_address=_node_address(node, config, family),
        detector=_detector(node, config, family),
        masquerade_all=config.masquerade_all,
        masquerade_mark=config.masquerade_mark,
        random_fully=node.facts.random_fully,
        allow_external_ips=config.serves_external_ips,
        # IPv6 has no `route_localnet`, so kube-proxy turns node ports on localhost off for it
        # (`NewDualStackProxier`), and on IPv4 where nodePortAddresses leave 127.0.0.0/8 out
        # (`NewProxier` in pkg/proxy/iptables/proxier.go).
        localhost_node_ports=(
            config.localhost_node_ports and family is Family.IPV4 and _has_loopback(networks)
        ),
        node_port_networks=looked_through,
        all_addresses=everywhere,
        interface_addresses=node.interface_addresses(family),
        # A rule that names a counter the kernel does not have is refused, and all others with it
        # (`nfacct_mt_checkentry` in net/netfilter/xt_nfacct.c).
        count_packets=node.facts.nfacct and config.has(known.PACKET_COUNTERS),
        drop_invalid=not (liberal and config.has(known.TCP_BE_LIBERAL)),
        habits=config.habits,
        version=config.version,
        remarks=config.remarks,
    )


def _node_address(node: Node, config: ProxyConfig, family: Family) -> str:
    """The address that loadBalancerSourceRanges are compared with; unspecified for none."""
    if config.has(known.NODE_ADDRESS_PER_FAMILY):
        return node.address(family, config.bind_address)
    address = config.bind_address
    # An unspecified bindAddress means "everywhere" and names no node.
    if address in ("", *UNSPECIFIED):
        address = "" if config.has(known.BIND_ADDRESS_ALONE) else node.first_address()
    return address if address and Family.of(address) is family else _UNSPECIFIED[family]


_UNSPECIFIED = dict(zip(Family, UNSPECIFIED, strict=True))


def _reach(networks: tuple[str, ...], config: ProxyConfig) -> tuple[bool, tuple[str, ...]]:
    """Whether node ports answer everywhere, and else the networks whose addresses they answer on.

    Networks that hold everything are everywhere, but for old kube-proxies only where they are
    written as 0.0.0.0/0 or ::/0.
    """
    zero = [network for network in networks if zero_network(network)]
    odd = 0 if config.has(known.ODD_ZERO_NODE_PORTS) else _odd(zero, config)
    if not networks or len(zero) > odd:
        return True, networks
    if config.has(known.ODD_ZERO_IGNORED):
        return False, tuple(network for network in networks if not zero_network(network))
    return False, networks


def _odd(zero: list[str], config: ProxyConfig) -> int:
    return sum(network in zero for network in config.odd_zero_networks)


def _detector(node: Node, config: ProxyConfig, family: Family) -> LocalDetector:
    if config.detect_local_mode == "BridgeInterface":
        return LocalDetector(interface=f"-i {config.bridge_interface}")
    if config.detect_local_mode == "InterfaceNamePrefix":
        # iptables takes a `+` at the end for any name that begins so (iptables(8), --in-interface).
        return LocalDetector(interface=f"-i {config.interface_name_prefix}+")
    if config.detect_local_mode == "NodeCIDR":
        network = node.pod_cidr(family)
    else:
        # Without a network of this family nothing tells the node's pods, and the rules that need to
        # know are left out: `IsImplemented` in pkg/proxy/util/localdetector.go is false.
        network = next((c for c in config.cluster_cidrs if Family.of(c) is family), None)
    return LocalDetector(source=f"-s {network}") if network else LocalDetector()


def _node_port_networks(node: Node, config: ProxyConfig, family: Family) -> tuple[str, ...]:
    """The nodePortAddresses of a family; none of them means all addresses."""
    if config.node_port_addresses == (PRIMARY,):
        address = node.address(family, config.bind_address)
        # The node's address is not known, or bindAddress is one of loopback. kube-proxy then keeps
        # an empty list, and that means all addresses (`newProxyServer` in
        # cmd/kube-proxy/app/server.go).
        if is_loopback(address):
            return ()
        return (f"{address}/{family.host_prefix}",)
    return tuple(c for c in config.node_port_addresses if Family.of(c) is family)


def _has_loopback(networks: tuple[str, ...]) -> bool:
    """Whether node ports may answer on 127.0.0.0/8: as kube-proxy looks, network by network."""
    # Not whether they hold all of it: `NewNodePortAddresses` in
    # pkg/proxy/util/nodeport_addresses.go asks of each network whether it begins in 127.0.0.0/8 or
    # holds that network's first address.
    return matches_all(networks) or any(
        network.startswith("127.") or network_contains(network, "127.0.0.0") for network in networks
    )
