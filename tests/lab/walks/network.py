"""Three namespaces: the node, and one that takes what leaves it by each of its interfaces.

Everything that is done inside one is done by a thread that has entered it: it opens the sockets,
and the programs that it starts are inside too.
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from nptables import Cluster
from nptables.family import Family
from nptables.kernel.node.facts import interfaces_of
from nptables.tracing import read_sets
from tests.lab.walks.places import PLACES, UNREACHABLE_ROUTES
from tests.support.entering import enter
from tests.support.netns import remove_namespace, unique_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nptables.model import Node
    from nptables.tracing.sets import Sets
    from tests.support.netns import Backend

T = TypeVar("T")

_PROGRAMS = {Family.IPV4: "iptables", Family.IPV6: "ip6tables"}
_BEYOND = {"eth0": "client", "eth1": "server"}
_SYSCTLS = {
    "net.ipv4.ip_forward": 1,
    # As kube-proxy sets it; without it no rule can lead to a loopback address, or from one.
    "net.ipv4.conf.all.route_localnet": 1,
    "net.ipv4.conf.all.rp_filter": 0,
    "net.ipv4.conf.default.rp_filter": 0,
    "net.ipv4.conf.all.log_martians": 0,
    "net.ipv6.conf.all.disable_ipv6": 0,
    "net.ipv6.conf.default.disable_ipv6": 0,
    "net.ipv6.conf.all.accept_dad": 0,
    "net.ipv6.conf.default.accept_dad": 0,
    "net.ipv6.conf.all.forwarding": 1,
}
# The kernel's own answers (a reset, an ICMP error, neighbour discovery) would count in the rules:
# they come from sockets that no process has opened.
_GUARD = """
table inet guard {
  chain answers {
    type filter hook output priority -500
    meta skuid 0 accept
    drop
  }
}
"""


class Inside:
    """A namespace, and a thread in it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._thread = ThreadPoolExecutor(1, initializer=enter, initargs=(name,))

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function inside."""
        return self._thread.submit(function, *arguments).result(timeout=120)

    def run(self, *argv: str, text: str = "") -> str:
        """Run a program inside, and return what it writes."""
        return self.call(_run, argv, text)

    def socket(self, family: int, kind: int, protocol: int) -> socket.socket:
        """Open a socket inside; it does not block."""
        opened = self.call(socket.socket, family, kind, protocol)
        opened.settimeout(0)
        return opened

    def close(self) -> None:
        """End the thread, and remove the namespace."""
        self._thread.shutdown()
        remove_namespace(self.name)


def _run(argv: tuple[str, ...], text: str) -> str:
    done = subprocess.run(
        argv, input=text, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, f"{' '.join(argv)}: {done.stderr}"
    return done.stdout


class Net:
    """The node and its surroundings."""

    def __init__(self, backend: Backend, hosts: dict[str, Inside]) -> None:
        self.backend = backend
        self.node = hosts["node"]
        self.beyond = {device: hosts[name] for device, name in _BEYOND.items()}
        self._hosts = hosts

    def build(self) -> None:
        """Make the links, addresses, routes and neighbours."""
        names = {name: inside.name for name, inside in self._hosts.items()}
        batch = [
            f"link add name {device} netns {names['node']} type veth peer name {device} "
            f"netns {names[name]}"
            for device, name in _BEYOND.items()
        ]
        self.node.run("ip", "-batch", "-", text="\n".join(batch))
        for inside in self._hosts.values():
            inside.run("sysctl", "-q", "-w", *(f"{k}={v}" for k, v in _SYSCTLS.items()))
        for inside in self.beyond.values():
            inside.run("nft", "-f", "-", text=_GUARD)
        self.node.run("nft", "-f", "-", text=_GUARD)
        for device, inside in self.beyond.items():
            inside.run("ip", "link", "set", device, "up")
        self.node.run("ip", "-batch", "-", text="\n".join(self._configuration()))

    def _configuration(self) -> Iterator[str]:
        yield "link set lo up"
        yield "link add cni0 type bridge"
        for device in ("eth0", "eth1", "cni0"):
            yield f"link set {device} up"
        for family, places in PLACES.items():
            nodad = " nodad" if family is Family.IPV6 else ""
            for address in places.node:
                yield f"address add {address}/{places.length} dev eth0{nodad}"
            yield f"address add {places.bridge}/{places.length} dev eth1{nodad}"
            yield f"address add {places.inner}/{places.length} dev cni0{nodad}"
            for address in (places.gateway, places.on_link):
                yield f"neighbor add {address} lladdr {self.mac('eth0')} dev eth0"
            for address in (*places.pods, f"{places.pods[0]}0"):
                yield f"neighbor add {address} lladdr {self.mac('eth1')} dev eth1"
            anywhere = "0.0.0.0/0" if family is Family.IPV4 else "::/0"
            yield f"route add {anywhere} via {places.gateway}"
            yield f"route add blackhole {UNREACHABLE_ROUTES[family]}"

    def mac(self, device: str) -> str:
        """The hardware address beyond an interface of the node."""
        (link,) = json.loads(self.beyond[device].run("ip", "-j", "link", "show", device))
        address: str = link["address"]
        return address

    def own_mac(self, device: str) -> bytes:
        """The hardware address of an interface of the node."""
        (link,) = json.loads(self.node.run("ip", "-j", "link", "show", device))
        return bytes.fromhex(link["address"].replace(":", ""))

    def facts(self) -> Node:
        """The node as its facts describe it."""
        return Cluster().node("node", self.raw_facts())

    def raw_facts(self) -> dict[str, Any]:
        """The facts as `nptables facts` writes them."""
        addresses = json.loads(self.node.run("ip", "-j", "addr"))
        routes = [json.loads(self.node.run("ip", "-j", option, "route")) for option in ("-4", "-6")]
        return {"interfaces": interfaces_of(addresses), "routes": [*routes[0], *routes[1]]}

    def forget_connections(self) -> None:
        """Let connection tracking forget what it has seen."""
        self.node.run("conntrack", "-F")

    def restore(self, family: Family, text: str) -> None:
        """Load rules in place of those that are there."""
        self.node.run(f"{_PROGRAMS[family]}-{self.backend}-restore", "-w", "60", text=text)

    def save(self, family: Family) -> str:
        """The rules with their counters."""
        return self.node.run(f"{_PROGRAMS[family]}-{self.backend}-save", "-c")


@contextlib.contextmanager
def net(backend: Backend) -> Iterator[Net]:
    """Build the network, and take it down again."""
    hosts: dict[str, Inside] = {}
    try:
        for name in ("node", "client", "server"):
            full = unique_name(name)
            subprocess.run(["ip", "netns", "add", full], check=True, timeout=60)
            hosts[name] = Inside(full)
        made = Net(backend, hosts)
        made.build()
        yield made
    finally:
        for inside in hosts.values():
            inside.close()


def fill_sets(network: Net, family: Family) -> Sets:
    """Make the sets that rules match on, and return what they hold."""
    places, suffix = PLACES[family], family.value[-1]
    option = f"family inet{'6' if family is Family.IPV6 else ''}"
    made = [
        f"create hosts{suffix} hash:ip {option}",
        f"create nets{suffix} hash:net {option}",
        f"create services{suffix} hash:ip,port {option}",
        *(f"add hosts{suffix} {a}" for a in (places.pods[0], places.clients[0], places.node[0])),
        *(f"add nets{suffix} {n}" for n in (places.networks[3], places.networks[5])),
        *(f"add services{suffix} {a},tcp:80" for a in (places.pods[0], places.node[0])),
        f"add services{suffix} {places.pods[1]},udp:443",
    ]
    network.node.run("ipset", "-exist", "restore", text="\n".join([*made, ""]))
    return read_sets(network.node.run("ipset", "save"))
