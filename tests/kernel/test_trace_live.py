"""`nptables trace --live` and `nptables check --live` in a namespace of their own."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.requirements import requires

if TYPE_CHECKING:
    import subprocess

    from tests.support.netns import Namespace

pytestmark = pytest.mark.kernel

TUTORIAL = "fixtures/tutorial/two-nodes.yaml"
OTHER = {"legacy": "nft", "nft": "legacy"}


def nptables(netns: Namespace, *arguments: str) -> subprocess.CompletedProcess[str]:
    return netns.run([sys.executable, "-m", "nptables", *arguments], check=False)


@pytest.fixture
def node1(netns: Namespace) -> Namespace:
    """A namespace with the address and the rules of node1."""
    requires("ip", "nft")
    netns.run(["ip", "link", "set", "lo", "up"])
    netns.run(["ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0-peer"])
    netns.run(["ip", "address", "add", "192.168.0.11/24", "dev", "eth0"])
    netns.run(["ip", "link", "set", "eth0-peer", "up"])
    netns.run(["ip", "link", "set", "eth0", "up"])
    netns.run(["sysctl", "-q", "-w", "net.ipv4.ip_forward=1"])
    netns.restore(nptables(netns, "render", TUTORIAL, "--node", "node1").stdout, "IPV4")
    return netns


def trace_live(netns: Namespace, *more: str) -> subprocess.CompletedProcess[str]:
    ends = ("--from", "192.168.0.99", "--to", "192.168.0.11:30080")
    version = ("--kube-proxy-version", "1.36")
    words = ("trace", TUTORIAL, "--node", "node1", "--live", *version, *ends, *more)
    return nptables(netns, *words)


def test_a_live_trace_follows_the_rules_in_the_kernel(node1: Namespace) -> None:
    done = trace_live(node1)

    # 10.233.64.5 has no route here but is in node1's podCIDR; there is no default route, so the
    # kernel of this namespace would refuse to forward it.
    assert done.returncode == 1
    assert "no route to 10.233.64.5" in done.stdout
    node1.run(["ip", "route", "add", "10.233.64.0/24", "dev", "eth0"])

    done = trace_live(node1)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("arrives: default/nodeport-service at 10.233.64.5:80 on node1")


def test_a_live_trace_says_which_rules_it_cannot_see(node1: Namespace) -> None:
    node1.run(["nft", "add table inet fw"])
    node1.run(["nft", "add chain inet fw in { type filter hook input priority 0; }"])

    done = trace_live(node1)

    assert "nft table inet fw has chains of its own at input" in done.stderr


def test_a_live_trace_follows_the_rules_of_both_backends(node1: Namespace) -> None:
    """Also where both hold rules for Services, so that neither can be chosen."""
    other = OTHER[node1.backend]
    requires(other)
    node1.run(["ip", "route", "add", "10.233.64.0/24", "dev", "eth0"])
    rendered = nptables(node1, "render", TUTORIAL, "--node", "node1").stdout
    node1.run([f"iptables-{other}-restore", "-w", "60"], input=rendered)

    arrives = trace_live(node1)
    node1.run([f"iptables-{other}", "-w", "60", "-I", "FORWARD", "-j", "DROP"])
    dropped = trace_live(node1)

    assert (arrives.returncode, arrives.stderr) == (0, "")
    assert (dropped.returncode, dropped.stderr) == (1, "")
    assert dropped.stdout.startswith(
        f"does not arrive: DROP: {other} filter FORWARD on node1 has a rule without conditions: it "
        "ends every packet: -A FORWARD -j DROP\n"
    )


def test_a_live_trace_of_one_backend_leaves_open_what_the_other_does(node1: Namespace) -> None:
    """Who asks for one is told of the other, and gets no answer that it could change."""
    other = OTHER[node1.backend]
    requires(other)
    node1.run(["ip", "route", "add", "10.233.64.0/24", "dev", "eth0"])
    node1.run([f"iptables-{other}", "-w", "60", "-A", "FORWARD", "-j", "DROP"])

    done = trace_live(node1, "--backend", node1.backend)

    assert done.returncode == 1
    assert f"the {other} tables hold rules too: filter FORWARD, which are not" in done.stderr
    assert done.stdout.startswith("depends: it arrives in some cases and not in others")
    assert f"If the {other} tables of node1, which are not followed, do nothing" in done.stdout


def test_a_live_check_finds_what_is_wrong_on_the_node(node1: Namespace) -> None:
    node1.iptables("IPV4", "-P", "FORWARD", "DROP")
    node1.iptables("IPV4", "-t", "nat", "-F", "PREROUTING")
    node1.run(["sysctl", "-q", "-w", "net.ipv4.ip_forward=0"])

    done = nptables(node1, "check", TUTORIAL, "--node", "node1", "--live", "-4")

    assert done.returncode == 1, done.stderr
    assert [code for code in ("NPT501", "NPT505", "NPT509") if code not in done.stdout] == []
