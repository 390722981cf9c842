"""Who is who in the laboratory, and where: data only.

    client --- router --- node1 --- cni0 --- pod1a .. pod1e
                     \\--- node2 --- cni0 --- pod2a .. pod2e

The client reaches the nodes over the router only, and knows no pod. Each node routes the other
one's pods to the other node. The router sends cluster IPs to node1, and external addresses to
the node that their half of the network belongs to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

Family = Literal["IPV4", "IPV6"]
FAMILIES: tuple[Family, ...] = ("IPV4", "IPV6")
# Where the servers in pods and on nodes listen, with every protocol.
SERVED = 8080


@dataclass(frozen=True)
class Dual:
    """One address of each family."""

    ipv4: str
    ipv6: str

    def of(self, family: Family) -> str:
        """Return the address of a family."""
        return self.ipv4 if family == "IPV4" else self.ipv6

    def __iter__(self) -> Iterator[str]:
        return iter((self.ipv4, self.ipv6))


@dataclass(frozen=True)
class Host:
    """Something with a network namespace of its own."""

    name: str
    address: Dual


@dataclass(frozen=True)
class Pod(Host):
    """A pod, behind the bridge of its node."""

    node: str


@dataclass(frozen=True)
class Node(Host):
    """A node. Its bridge has an address too, which local pods see when it masquerades."""

    bridge: Dual
    pod_networks: Dual
    pods: tuple[Pod, ...]


def _node(number: int) -> Node:
    name, subnet = f"node{number}", 63 + number
    return Node(
        name=name,
        address=Dual(f"192.168.0.1{number}", f"fd00:192:168::1{number}"),
        bridge=Dual(f"10.233.{subnet}.1", f"fd00:10:233:{subnet}::1"),
        pod_networks=Dual(f"10.233.{subnet}.0/24", f"fd00:10:233:{subnet}::/64"),
        pods=tuple(
            Pod(
                name=f"pod{number}{letter}",
                address=Dual(f"10.233.{subnet}.{last}", f"fd00:10:233:{subnet}::{last}"),
                node=name,
            )
            for last, letter in enumerate("abcde", 5)
        ),
    )


NODE1, NODE2 = NODES = _node(1), _node(2)
PODS = (*NODE1.pods, *NODE2.pods)
CLIENT = Host("client", Dual("203.0.113.10", "2001:db8:203::10"))
ROUTER = Host("router", Dual("203.0.113.1", "2001:db8:203::1"))
HOSTS: dict[str, Host] = {host.name: host for host in (CLIENT, ROUTER, *NODES, *PODS)}

# Further addresses of the client, and its network.
OTHER_CLIENTS = tuple(Dual(f"203.0.113.{n}", f"2001:db8:203::{n}") for n in range(20, 24))
CLIENT_NETWORK = Dual("203.0.113.0/24", "2001:db8:203::/64")
NODE_NETWORK = Dual("192.168.0.0/24", "fd00:192:168::/64")
NODE_GATEWAY = Dual("192.168.0.1", "fd00:192:168::1")
POD_NETWORK = Dual("10.233.64.0/18", "fd00:10:233::/48")
CLUSTER_IPS = Dual("10.233.0.0/18", "fd00:10:96::/112")
LOCALHOST = Dual("127.0.0.1", "::1")
# External networks by the node that the router sends them to.
EXTERNAL = {
    "node1": Dual("198.51.100.0/25", "2001:db8:198:1::/64"),
    "node2": Dual("198.51.100.128/25", "2001:db8:198:2::/64"),
}


def host(name: str) -> Host:
    """Return the host of that name."""
    return HOSTS[name]


def node(name: str) -> Node:
    """Return the node of that name."""
    return next(node for node in NODES if node.name == name)


def cluster_ip(number: int) -> Dual:
    """Return a cluster IP; numbers are 1 to 250."""
    return Dual(f"10.233.39.{number}", f"fd00:10:96::{number}")


def external_ip(number: int, *, by: str = "node1") -> Dual:
    """Return an address outside the cluster that leads to a node; numbers are 1 to 99."""
    first = {"node1": 0, "node2": 128}[by]
    return Dual(f"198.51.100.{first + number}", f"2001:db8:198:{by[-1]}::{number}")
