"""`nptables check --live` and its like, with what they find really in the kernel."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from nptables import ProxyConfig, load, translate
from nptables.errors import BackendUnavailable
from nptables.evidence import Bridge
from nptables.family import Family
from nptables.kernel.node import conntrack
from nptables.kernel.node.interfaces import find_bridges
from nptables.kernel.programs import Completed
from nptables.translation.flows import Flow
from tests.support.requirements import requires
from tests.support.scenarios import FIXTURES

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence
    from pathlib import Path

    from tests.support.netns import Namespace

TUTORIAL = "fixtures/tutorial/two-nodes.yaml"
DNS = "fixtures/cases/udp-stale/cluster.yaml"
KUBE_FIREWALL = "KUBE-FIREWALL"
LOAD_BALANCERS = (
    "-m", "conntrack", "--ctstate", "NEW",
    "-m", "comment", "--comment", "kubernetes load balancer firewall", "-j", "KUBE-PROXY-FIREWALL",
)  # fmt: skip
LOST_ITS_MARK = (
    "-A", KUBE_FIREWALL, "-m", "comment", "--comment",
    "kubernetes firewall for dropping marked packets", "-j", "DROP",
)  # fmt: skip


def rules(path: str, name: str, family: Family) -> str:
    """The rules of a node as kube-proxy's defaults make them."""
    cluster = load(path).cluster
    return translate(cluster, cluster.node(name), ProxyConfig(), family).to_save()


def nptables(netns: Namespace, *arguments: str) -> subprocess.CompletedProcess[str]:
    return netns.run([sys.executable, "-m", "nptables", *arguments], check=False)


def found(netns: Namespace, *arguments: str) -> dict[str, list[str]]:
    """By code what is found with --live."""
    done = nptables(netns, "check", "--live", "-o", "json", *arguments)
    messages: dict[str, list[str]] = {}
    for finding in json.loads(done.stdout)["findings"]:
        messages.setdefault(finding["code"], []).append(finding["message"])
    return messages


@pytest.fixture
def node1(netns: Namespace) -> Namespace:
    """A namespace with the rules of node1 in both families, and two bridges."""
    requires("ip", "bridge")
    netns.restore(rules(TUTORIAL, "node1", Family.IPV4), "IPV4")
    netns.restore(rules(TUTORIAL, "node1", Family.IPV6), "IPV6")
    for name, address in (("cni0", "10.233.64.1/24"), ("docker0", "172.17.0.1/16")):
        netns.run(["ip", "link", "add", name, "type", "bridge"])
        netns.run(["ip", "address", "add", address, "dev", name])
        netns.run(
            ["ip", "link", "add", f"veth-{name}", "type", "veth", "peer", "name", f"p-{name}"]
        )
        netns.run(["ip", "link", "set", f"veth-{name}", "master", name])
    return netns


@pytest.mark.kernel
def test_what_is_wrong_on_a_node_is_found_and_nothing_else(
    node1: Namespace, tmp_path: Path
) -> None:
    config = tmp_path / "kube-proxy.yaml"
    config.write_text(
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"
        "nodePortAddresses: [192.168.0.0/24]\n"
    )
    # A new namespace forwards neither family; the Services of the tutorial are IPv4 alone.
    node1.run(["sysctl", "-q", "-w", "net.netfilter.nf_conntrack_tcp_be_liberal=0"])
    node1.run(["sysctl", "-q", "-w", "net.ipv4.ip_forward=0", "net.ipv6.conf.all.forwarding=0"])
    node1.iptables("IPV4", *LOST_ITS_MARK)
    node1.iptables("IPV4", "-D", "FORWARD", *LOAD_BALANCERS)

    wrong = found(node1, TUTORIAL, "--node", "node1", "--config", str(config))

    (dropping,) = wrong["NPT513"]
    assert dropping.startswith("IPv4 filter KUBE-FIREWALL: it drops every packet: -A ")
    assert wrong["NPT505"] == ["net.ipv4.ip_forward is 0"]
    # The interfaces of the namespace have no address of the Node object.
    assert wrong["NPT403"] == [
        "none of its IPv4 addresses is in nodePortAddresses (192.168.0.0/24)"
    ]
    # The setting is that of both families.
    assert wrong["NPT508"] == ["net.netfilter.nf_conntrack_tcp_be_liberal is 0"]
    assert [text.partition(": ")[0] for text in wrong["NPT509"]] == ["IPv4 filter lacks"]
    # 10.233.64.5 of the tutorial is behind cni0; hairpin mode is off unless somebody sets it.
    assert wrong["NPT515"] == ["hairpin mode is off on veth-cni0 of the bridge cni0"]

    node1.iptables("IPV4", "-D", KUBE_FIREWALL, *LOST_ITS_MARK[2:])
    node1.run(["sysctl", "-q", "-w", "net.ipv4.ip_forward=1"])
    node1.iptables("IPV4", "-D", "INPUT", *LOAD_BALANCERS)
    node1.iptables("IPV4", "-D", "OUTPUT", *LOAD_BALANCERS)
    node1.iptables("IPV4", "-X", "KUBE-PROXY-FIREWALL")
    node1.run(["bridge", "link", "set", "dev", "veth-cni0", "hairpin", "on"])

    left = found(node1, TUTORIAL, "--node", "node1")

    # Now it is like a node of an older kube-proxy, which has no such chain and no jump to it.
    assert left.keys() & {"NPT505", "NPT509", "NPT513", "NPT515"} == set()
    noticed = "packets notice nothing, 2 frontends have rules that are only written differently"
    assert left["NPT511"] == [f"IPv4 filter differs in KUBE-PROXY-FIREWALL: {noticed}"]


@pytest.mark.kernel
def test_diff_warns_of_a_shared_chain_and_still_tells_no_difference(netns: Namespace) -> None:
    netns.restore(rules(TUTORIAL, "node1", Family.IPV4), "IPV4")
    netns.iptables("IPV4", *LOST_ITS_MARK)

    done = nptables(netns, "diff", TUTORIAL, "--node", "node1", "--live", "-4")

    assert (done.returncode, done.stdout) == (0, "")
    assert "warning: IPv4 filter KUBE-FIREWALL: it drops every packet: -A" in done.stderr


@pytest.mark.kernel
def test_a_connection_to_a_dead_endpoint_is_found_live_and_mentioned_by_a_trace(
    netns: Namespace,
) -> None:
    requires("conntrack")
    netns.restore(rules(DNS, "node-a", Family.IPV4), "IPV4")
    # kube-dns has 10.244.2.6 alone.
    for answers, port in (("10.244.2.6", "24110"), ("10.244.1.4", "24111")):
        netns.run(
            ["conntrack", "-I", "-p", "udp", "-t", "600",
             "-s", "10.244.1.9", "-d", "10.96.0.10", "--sport", port, "--dport", "53",
             "--reply-src", answers, "--reply-dst", "10.244.1.9",
             "--reply-port-src", "53", "--reply-port-dst", port]
        )  # fmt: skip

    (only,) = found(netns, DNS, "--node", "node-a", "-4")["NPT514"]
    ends = ("--from", "10.244.1.9", "--to", "10.96.0.10:53/UDP")
    done = nptables(netns, "trace", DNS, "--node", "node-a", "--live", *ends)

    assert only == (
        "UDP from 10.244.1.9:24111 to 10.96.0.10:53 goes to 10.244.1.4:53, which is not an "
        "endpoint any more"
    )
    assert "1 connection to 10.96.0.10:53 that the node remembers (conntrack) goes to" in (
        done.stderr
    )


def test_bridges_are_read_from_sysfs(tmp_path: Path) -> None:
    for bridge, flags in (("cni0", "0x1003"), ("br1", "0x1103")):
        (tmp_path / bridge).mkdir()
        (tmp_path / bridge / "flags").write_text(f"{flags}\n")
    for port, bridge, mode in (("v1", "cni0", "0"), ("v2", "cni0", "1"), ("v3", "br1", "0")):
        folder = tmp_path / port / "brport"
        folder.mkdir(parents=True)
        (folder / "bridge").symlink_to(tmp_path / bridge)
        (folder / "hairpin_mode").write_text(f"{mode}\n")

    def run(_argv: Sequence[str], _text: str, _seconds: float) -> Completed:
        address = {"local": "10.244.1.1", "prefixlen": 24}
        return Completed(0, json.dumps([{"ifname": "cni0", "addr_info": [address]}]), "")

    # 0x100 of the flags is promiscuous mode.
    assert find_bridges(run, tmp_path) == [
        Bridge("br1"),
        Bridge("cni0", ("10.244.1.0/24",), ("v1",)),
    ]
    assert find_bridges(run, tmp_path / "none") == []


def without_pyroute2(monkeypatch: pytest.MonkeyPatch, program: str | None) -> None:
    monkeypatch.setitem(sys.modules, "pyroute2", None)
    monkeypatch.setattr(conntrack, "find_program", lambda _name: program)


def test_without_pyroute2_the_program_conntrack_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    without_pyroute2(monkeypatch, "/sbin/conntrack")
    started: list[Sequence[str]] = []

    def run(argv: Sequence[str], _text: str, _seconds: float) -> Completed:
        started.append(argv)
        return Completed(0, (FIXTURES / "cases/udp-stale/conntrack.txt").read_text(), "")

    assert conntrack.udp_flows(Family.IPV4, run) == [
        Flow(("10.96.0.10", 53), ("10.244.1.4", 53), ("10.244.1.9", 24111))
    ]
    assert started == [["/sbin/conntrack", "-L", "-p", "udp", "-f", "ipv4"]]


@pytest.mark.parametrize(
    ("program", "says"), [(None, "without pyroute2"), ("/sbin/conntrack", "not permitted")]
)
def test_connections_that_cannot_be_read_are_a_sentence(
    program: str | None, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_pyroute2(monkeypatch, program)

    def run(_argv: Sequence[str], _text: str, _seconds: float) -> Completed:
        return Completed(1, "", "Operation not permitted\n")

    with pytest.raises(BackendUnavailable, match=says):
        conntrack.udp_flows(Family.IPV4, run)
