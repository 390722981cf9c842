"""The addresses of the node whose rules are walked, and of those around it.

The node has two interfaces: `eth0` towards clients and everything else, `eth1` towards its pods.
At the other end of each stands a namespace that takes whatever comes, and never answers.
"""

from __future__ import annotations

from dataclasses import dataclass

from nptables.family import Family


@dataclass(frozen=True)
class Places:
    """The addresses of one family.

    `shared` are broadcast addresses, and in IPv6 those of all routers of a network; `group` is the
    multicast address of all nodes.
    """

    gateway: str
    node: tuple[str, ...]
    bridge: str
    inner: str
    loopback: str
    pods: tuple[str, ...]
    on_link: str
    clients: tuple[str, ...]
    unreachable: str
    shared: tuple[str, ...]
    group: str
    networks: tuple[str, ...]
    length: int

    @property
    def own(self) -> tuple[str, ...]:
        """The node's own addresses, loopback last."""
        return (*self.node, self.bridge, self.inner, self.loopback)

    @property
    def outside(self) -> tuple[str, ...]:
        """The clients' addresses."""
        return (self.on_link, *self.clients)


PLACES = {
    Family.IPV4: Places(
        gateway="192.0.2.1",
        node=("192.0.2.2", "192.0.2.3"),
        bridge="10.244.1.1",
        inner="172.16.0.1",
        loopback="127.0.0.1",
        pods=("10.244.1.5", "10.244.1.6"),
        on_link="192.0.2.77",
        clients=("203.0.113.9", "203.0.113.200", "198.51.100.7"),
        unreachable="198.18.0.9",
        shared=("192.0.2.255", "255.255.255.255"),
        group="224.0.0.1",
        networks=(
            "0.0.0.0/1", "192.0.2.0/24", "192.0.0.0/16", "10.244.1.0/24", "10.0.0.0/8",
            "203.0.113.0/24", "203.0.113.128/25", "127.0.0.0/8", "172.16.0.0/12",
            "10.0.1.5/255.0.255.255",
        ),
        length=24,
    ),
    Family.IPV6: Places(
        gateway="2001:db8:1::1",
        node=("2001:db8:1::2", "2001:db8:1::3"),
        bridge="fd00:244:1::1",
        inner="fd00:16::1",
        loopback="::1",
        pods=("fd00:244:1::5", "fd00:244:1::6"),
        on_link="2001:db8:1::77",
        clients=("2001:db8:9::9", "2001:db8:9::200", "fd00:51::7"),
        unreachable="2001:db8:18::9",
        shared=("2001:db8:1::", "fd00:244:1::"),
        group="ff02::1",
        networks=(
            "::/1", "2001:db8:1::/64", "2001:db8::/32", "fd00:244:1::/64", "fd00::/8",
            "2001:db8:9::/64", "2001:db8:9::200/120", "::1/128", "fd00:16::/32",
            "fd00::5/ff00::ffff",
        ),
        length=64,
    ),
}  # fmt: skip
UNREACHABLE_ROUTES = {Family.IPV4: "198.18.0.0/24", Family.IPV6: "2001:db8:18::/64"}
INTERFACES = ("eth0", "eth1", "lo", "eth+", "cni0", "nope")
PORTS = (80, 443, 8080, 31080)
