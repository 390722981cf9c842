"""What one node and its configuration bring to the rules of every service port."""

from __future__ import annotations

import attrs

from nptables.family import Family
from nptables.model import Node, ProxyConfig
from nptables.model.addresses import is_loopback, network_contains
from nptables.model.config import PRIMARY, matches_all

LOOPBACK_NETWORK = "127.0.0.0/8"


@attrs.frozen
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


@attrs.frozen
class Context:
    """Everything besides Services and endpoints that the rules of a family depend on."""

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
    interface_addresses: tuple[str, ...]
    count_packets: bool
    drop_invalid: bool

    @property
    def all_addresses(self) -> bool:
        """Whether node ports answer on every address of the node."""
        return matches_all(self.node_port_networks)

    @property
    def node_port_addresses(self) -> tuple[str, ...]:
        """The node's addresses that node ports answer on, where these are not all, sorted.

        Loopback addresses are left out where the kernel cannot serve node ports on them: on
        IPv6, and without `route_localnet` on IPv4.
        """
        return tuple(
            address
            for address in sorted(self.interface_addresses)
            if any(network_contains(network, address) for network in self.node_port_networks)
            and (self.localhost_node_ports or not is_loopback(address))
        )


def make_context(node: Node, config: ProxyConfig, family: Family) -> Context:
    """The context of a node under a configuration."""
    networks = _node_port_networks(node, config, family)
    return Context(
        family=family,
        node_name=node.name,
        zone=node.zone,
        node_address=node.address(family, config.bind_address),
        detector=_detector(node, config, family),
        masquerade_all=config.masquerade_all,
        masquerade_mark=config.masquerade_mark,
        random_fully=node.facts.random_fully,
        allow_external_ips=config.allow_service_external_ips,
        localhost_node_ports=(
            config.localhost_node_ports and family is Family.IPV4 and _has_loopback(networks)
        ),
        node_port_networks=networks,
        interface_addresses=node.interface_addresses(family),
        count_packets=node.facts.nfacct,
        drop_invalid=not (config.conntrack.tcp_be_liberal or node.facts.tcp_be_liberal),
    )


def _detector(node: Node, config: ProxyConfig, family: Family) -> LocalDetector:
    if config.detect_local_mode == "BridgeInterface":
        return LocalDetector(interface=f"-i {config.bridge_interface}")
    if config.detect_local_mode == "InterfaceNamePrefix":
        return LocalDetector(interface=f"-i {config.interface_name_prefix}+")
    if config.detect_local_mode == "NodeCIDR":
        network = node.pod_cidr(family)
    else:
        network = next((c for c in config.cluster_cidrs if Family.of(c) is family), None)
    return LocalDetector(source=f"-s {network}") if network else LocalDetector()


def _node_port_networks(node: Node, config: ProxyConfig, family: Family) -> tuple[str, ...]:
    """The nodePortAddresses of a family; none of them means all addresses."""
    if config.node_port_addresses == (PRIMARY,):
        address = node.address(family, config.bind_address)
        if address in ("127.0.0.1", "::1"):
            return ()
        return (f"{address}/{family.host_prefix}",)
    return tuple(c for c in config.node_port_addresses if Family.of(c) is family)


def _has_loopback(networks: tuple[str, ...]) -> bool:
    """Whether node ports may answer on 127.0.0.0/8: as kube-proxy looks, network by network."""
    return matches_all(networks) or any(
        network.startswith("127.") or network_contains(network, "127.0.0.0") for network in networks
    )
