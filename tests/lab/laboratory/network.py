"""Builds the namespaces of the laboratory with `ip`, and removes them."""

from __future__ import annotations

import contextlib
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from tests.lab.laboratory.addresses import (
    CLIENT,
    CLIENT_NETWORK,
    CLUSTER_IPS,
    EXTERNAL,
    FAMILIES,
    HOSTS,
    NODE_GATEWAY,
    NODE_NETWORK,
    NODES,
    OTHER_CLIENTS,
    ROUTER,
)
from tests.support.netns import Namespace, remove_namespace, unique_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.laboratory.addresses import Dual, Family
    from tests.support.netns import Backend

# As the bridge plugin leaves a node: it forwards, and iptables sees what crosses the bridge
# (without that, a pod's answer to a pod beside it would not be translated back).
_ON_A_NODE = {
    "net.ipv4.ip_forward": 1,
    "net.ipv6.conf.all.forwarding": 1,
    "net.bridge.bridge-nf-call-iptables": 1,
    "net.bridge.bridge-nf-call-ip6tables": 1,
    # What is remembered of a packet without an answer outlives the slowest test.
    "net.netfilter.nf_conntrack_udp_timeout": 600,
}
_ON_THE_ROUTER = {"net.ipv4.ip_forward": 1, "net.ipv6.conf.all.forwarding": 1}
# Duplicate address detection would take seconds, and the limit on the rate of ICMP errors
# (given as the kinds that it holds for) would make silence of most refusals.
_EVERYWHERE = {
    "net.ipv4.icmp_ratemask": 0,
    "net.ipv6.icmp.ratelimit": 0,
    "net.ipv6.icmp.ratemask": "0",
    "net.ipv4.conf.all.rp_filter": 0,
    "net.ipv4.conf.default.rp_filter": 0,
    "net.ipv6.conf.all.accept_dad": 0,
    "net.ipv6.conf.default.accept_dad": 0,
    "net.ipv6.conf.all.disable_ipv6": 0,
    "net.ipv6.conf.default.disable_ipv6": 0,
}


@contextlib.contextmanager
def namespaces(backend: Backend) -> Iterator[dict[str, Namespace]]:
    """Build the whole network, and take it down again; the namespaces are by name of the host."""
    made = {name: Namespace(unique_name(name), backend) for name in HOSTS}
    try:
        for namespace in made.values():
            subprocess.run(["ip", "netns", "add", namespace.name], check=True, timeout=60)
        with ThreadPoolExecutor() as pool:
            list(pool.map(_set_sysctls, made, made.values()))
        _batch([line for name in HOSTS for line in _links(name, made)], made[ROUTER.name])
        for name, namespace in made.items():
            _batch([*_addresses(name), *_routes(name)], namespace)
        yield made
    finally:
        for namespace in made.values():
            remove_namespace(namespace.name)


def _set_sysctls(name: str, namespace: Namespace) -> None:
    values = dict(_EVERYWHERE)
    if name in {node.name for node in NODES}:
        values |= _ON_A_NODE
    elif name == ROUTER.name:
        values |= _ON_THE_ROUTER
    namespace.run(["sysctl", "-q", "-w", *(f"{key}={value}" for key, value in values.items())])


def _batch(lines: list[str], namespace: Namespace) -> None:
    argv = ["ip", "-n", namespace.name, "-batch", "-"]
    text = "".join(f"{line}\n" for line in lines)
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, f"{done.stderr}\n{text}"


def _links(name: str, made: dict[str, Namespace]) -> Iterator[str]:
    """Yield what connects a host to the next one towards the router.

    Every host's own end is eth0; the other end has the host's name.
    """
    if name == ROUTER.name:
        return
    pods = {pod.name: pod.node for node in NODES for pod in node.pods}
    here, there = made[name].name, made[pods.get(name, ROUTER.name)].name
    yield f"link add name eth0 netns {here} type veth peer name {name} netns {there}"


def _addresses(name: str) -> Iterator[str]:
    yield "link set lo up"
    if name == ROUTER.name:
        yield from _bridge("lan0", NODE_GATEWAY, NODE_NETWORK, [node.name for node in NODES])
        yield from _up(CLIENT.name, ROUTER.address, CLIENT_NETWORK)
    elif name == CLIENT.name:
        yield from _up("eth0", CLIENT.address, CLIENT_NETWORK)
        for address in OTHER_CLIENTS:
            # Deprecated: used by those who ask for it only.
            yield from _up("eth0", address, CLIENT_NETWORK, " preferred_lft 0")
    elif node := next((node for node in NODES if node.name == name), None):
        yield from _up("eth0", node.address, NODE_NETWORK)
        pods = [pod.name for pod in node.pods]
        yield from _bridge("cni0", node.bridge, node.pod_networks, pods)
        # A pod that reaches itself over its Service comes back by the port that it left by.
        yield from (f"link set {pod} type bridge_slave hairpin on" for pod in pods)
    else:
        owner = next(node for node in NODES if name in {pod.name for pod in node.pods})
        yield from _up("eth0", HOSTS[name].address, owner.pod_networks)


def _up(device: str, address: Dual, network: Dual, options: str = "") -> Iterator[str]:
    for family in FAMILIES:
        length = network.of(family).partition("/")[2]
        nodad = " nodad" if family == "IPV6" else ""
        yield f"address add {address.of(family)}/{length} dev {device}{nodad}{options}"
    yield f"link set {device} up"


def _bridge(name: str, address: Dual, network: Dual, ports: list[str]) -> Iterator[str]:
    yield f"link add name {name} type bridge forward_delay 0 mcast_snooping 0"
    for port in ports:
        yield f"link set {port} master {name} up"
    yield from _up(name, address, network)


def _routes(name: str) -> Iterator[str]:
    for family in FAMILIES:
        for destination, gateway in _gateways(name, family):
            yield f"route add {destination} via {gateway}"


def _gateways(name: str, family: Family) -> Iterator[tuple[str, str]]:
    anywhere = "0.0.0.0/0" if family == "IPV4" else "::/0"
    if name == ROUTER.name:
        yield CLUSTER_IPS.of(family), NODES[0].address.of(family)
        for node in NODES:
            yield EXTERNAL[node.name].of(family), node.address.of(family)
    elif name == CLIENT.name:
        yield anywhere, ROUTER.address.of(family)
    elif name in {node.name for node in NODES}:
        yield anywhere, NODE_GATEWAY.of(family)
        for other in NODES:
            if other.name != name:
                yield other.pod_networks.of(family), other.address.of(family)
    else:
        owner = next(node for node in NODES if name in {pod.name for pod in node.pods})
        yield anywhere, owner.bridge.of(family)
