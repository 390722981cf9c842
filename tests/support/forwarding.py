"""A node between a client and two pods, each in a network namespace: what packets really do.

The node has the tables of both backends at every hook, those of one made after those of the other.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nptables import Family
from nptables.iptables.ruleset import BUILT_IN_CHAINS
from nptables.model import Cluster, Node, NodeFacts
from tests.support.netns import LOCK_WAIT, Namespace, network_namespace

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.support.netns import Backend

TABLES = ("raw", "mangle", "nat", "filter")
PORTS = (*range(1000, 1008), 31080)
# Client, node (towards the client, and its second address there), and the pods.
ADDRESSES = {
    Family.IPV4: ("192.0.2.9", "192.0.2.1", "192.0.2.2", "10.244.1.5", "10.244.1.6"),
    Family.IPV6: ("2001:db8::9", "2001:db8::1", "2001:db8::2", "2001:db8:1::5", "2001:db8:1::6"),
}
GATEWAYS = {Family.IPV4: "10.244.1.1", Family.IPV6: "2001:db8:1::1"}
_LENGTH = {Family.IPV4: "24", Family.IPV6: "64"}
_PROGRAM = {Family.IPV4: "iptables", Family.IPV6: "ip6tables"}

_SETTINGS = ("net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
# Whoever is refused shall hear of it, however many there are: without the kinds of ICMP errors
# that are limited, the limit of the whole machine does not hold for them either.
_UNLIMITED = (
    "net.ipv4.icmp_ratelimit=0",
    "net.ipv4.icmp_ratemask=0",
    "net.ipv6.icmp.ratelimit=0",
    "net.ipv6.icmp.ratemask=0",
    # Else a link is not used before it is sure that its own address is on it alone.
    "net.ipv6.conf.default.accept_dad=0",
)

_ECHO = """
import selectors, socket, sys
waiting = selectors.DefaultSelector()
for address in sys.argv[2:]:
    for port in map(int, sys.argv[1].split(",")):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        server = socket.socket(family, socket.SOCK_DGRAM)
        server.bind((address, port))
        waiting.register(server, selectors.EVENT_READ, address)
print("ready", flush=True)
while True:
    for key, _ in waiting.select():
        _, peer = key.fileobj.recvfrom(100)
        key.fileobj.sendto(f"{key.data} {peer[0]}".encode(), peer)
"""

_ASK = """
import json, selectors, socket, sys
for line in sys.stdin:
    found, waiting = {}, selectors.DefaultSelector()
    packets, awaited = json.loads(line)
    for number, (source, source_port, address, port) in enumerate(packets):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        asking = socket.socket(family, socket.SOCK_DGRAM)
        asking.bind((source, source_port))
        asking.connect((address, port))
        asking.send(b"?")
        waiting.register(asking, selectors.EVENT_READ, number)
    while waiting.get_map():
        # What is to come may take a busy machine long; then it is seen that nothing else does.
        heard = waiting.select(0.2 if set(awaited) <= set(found) else 30)
        if not heard:
            break
        for key, _ in heard:
            try:
                found[key.data] = key.fileobj.recv(100).decode()
            except ConnectionRefusedError:
                found[key.data] = "refused"
            waiting.unregister(key.fileobj)
            key.fileobj.close()
    for key in list(waiting.get_map().values()):
        found[key.data] = "silence"
        key.fileobj.close()
    print(json.dumps([found[n] for n in sorted(found)]), flush=True)
"""


@dataclass
class Forwarding:
    """The node, whose tables `last` were made last, and the client that asks."""

    node: Namespace
    client: subprocess.Popen[str]
    last: Backend
    facts: Node
    _source_port: int = field(default=20000)

    def load(
        self, family: Family, rules: Mapping[str, Sequence[str]], drops: Sequence[str]
    ) -> None:
        """Give each backend its rules, such as `nat -A PREROUTING ...`, and nothing else.

        Chains of their own are named KUBE-something.

        `drops` names backends whose policy of filter FORWARD is DROP.
        """
        for backend in ("legacy", "nft"):
            text = ""
            for table in TABLES:
                text += f"*{table}\n"
                for chain in BUILT_IN_CHAINS[table]:
                    drop = (table, chain) == ("filter", "FORWARD") and backend in drops
                    text += f":{chain} {'DROP' if drop else 'ACCEPT'} [0:0]\n-F {chain}\n"
                lines = [line.partition(" ") for line in rules.get(backend, ())]
                found = [rule for where, _, rule in lines if where == table]
                words = dict.fromkeys(word for rule in found for word in rule.split())
                own = [word for word in words if word.startswith("KUBE-")]
                text += "".join(f":{name} - [0:0]\n" for name in own)
                text += "".join(f"{rule}\n" for rule in found)
                text += "COMMIT\n"
            argv = [f"{_PROGRAM[family]}-{backend}-restore", "--noflush", "-w", LOCK_WAIT]
            self.node.run(argv, input=text)

    def save(self, family: Family) -> str:
        """What the save programs of both backends print, one behind the other."""
        program = _PROGRAM[family]
        return "".join(
            self.node.run([f"{program}-{backend}-save"]).stdout for backend in ("legacy", "nft")
        )

    def ask(
        self, packets: Sequence[tuple[str, int]], family: Family, awaited: Sequence[int]
    ) -> list[str]:
        """Send a packet to each address and port: `ADDRESS SOURCE` where somebody answers.

        `awaited` are the positions of those that are to be answered or refused.
        """
        source = ADDRESSES[family][0]
        requests = []
        for address, port in packets:
            # A port of its own, so that connection tracking knows nothing of the packet.
            self._source_port += 1
            requests.append((source, self._source_port, address, port))
        assert self.client.stdin is not None
        assert self.client.stdout is not None
        self.client.stdin.write(json.dumps([requests, list(awaited)]) + "\n")
        self.client.stdin.flush()
        found: list[str] = json.loads(self.client.stdout.readline())
        return found


@contextlib.contextmanager
def forwarding(last: Backend) -> Iterator[Forwarding]:
    """Make the three namespaces, with the tables of `last` made after those of the other."""
    first: Backend = "nft" if last == "legacy" else "legacy"
    with (
        network_namespace(last) as node,
        network_namespace(last) as outside,
        network_namespace(last) as pods,
        contextlib.ExitStack() as running,
    ):
        for namespace in (node, outside, pods):
            namespace.run(["sysctl", "-qw", *_UNLIMITED])
        _connect(node, outside, "uplink", 0)
        _connect(node, pods, "pods", 3)
        node.run(["sysctl", "-qw", *_SETTINGS])
        for family in Family:
            for backend in (first, last):
                _hook_in(node, backend, family)
        servers = [address for family in Family for address in ADDRESSES[family][3:]]
        ports = ",".join(map(str, PORTS))
        echo = running.enter_context(_started(pods, _ECHO, ports, *servers))
        assert echo.stdout is not None
        assert echo.stdout.readline() == "ready\n"
        client = running.enter_context(_started(outside, _ASK))
        yield Forwarding(node, client, last, _facts(node))


def _connect(node: Namespace, other: Namespace, name: str, at: int) -> None:
    """A link between two namespaces, with the addresses from that position on at the far end."""
    node.run(["ip", "link", "set", "lo", "up"])
    node.run(
        ["ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", other.name]
    )
    far = ((family, address) for family in Family for address in _far(family, at))
    near = ((family, address) for family in Family for address in _near(family, at))
    for namespace, device, addresses in ((node, name, near), (other, "eth0", far)):
        for family, address in addresses:
            more = ["nodad"] if family is Family.IPV6 else []
            where = f"{address}/{_LENGTH[family]}"
            namespace.run(["ip", "address", "add", where, "dev", device, *more])
        namespace.run(["ip", "link", "set", device, "up"])
    for family in Family:
        option = "-4" if family is Family.IPV4 else "-6"
        gateway = next(_near(family, at))
        other.run(["ip", option, "route", "add", "default", "via", gateway])


def _far(family: Family, at: int) -> Iterator[str]:
    return iter(ADDRESSES[family][:1] if at == 0 else ADDRESSES[family][3:])


def _near(family: Family, at: int) -> Iterator[str]:
    return iter(ADDRESSES[family][1:3] if at == 0 else [GATEWAYS[family]])


def _hook_in(node: Namespace, backend: Backend, family: Family) -> None:
    """Make every built-in chain of every table."""
    text = "".join(
        f"*{table}\n" + "".join(f":{c} ACCEPT [0:0]\n" for c in BUILT_IN_CHAINS[table]) + "COMMIT\n"
        for table in TABLES
    )
    node.run([f"{_PROGRAM[family]}-{backend}-restore", "-w", LOCK_WAIT], input=text)


@contextlib.contextmanager
def _started(namespace: Namespace, program: str, *words: str) -> Iterator[subprocess.Popen[str]]:
    argv = ["ip", "netns", "exec", namespace.name, sys.executable, "-c", program, *words]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def _facts(node: Namespace) -> Node:
    def listed(*words: str) -> Any:
        return json.loads(node.run(["ip", "-j", *words]).stdout or "[]")

    routes = [*listed("route"), *listed("-6", "route")]
    facts = NodeFacts.from_mapping({"interfaces": listed("addr"), "routes": routes})
    return Cluster().node("node", facts)
