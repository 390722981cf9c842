"""An agent that only observes, beside another proxy: whatever can be written stays as it was."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nptables.family import Family
from tests.agent.conftest import STEADY
from tests.support.agents import AgentProcess, running, wait_for
from tests.support.apiserver import ApiServer
from tests.support.netns import BACKENDS, FAMILIES
from tests.support.objects import endpoint_slice, node, service
from tests.support.requirements import requires

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.netns import Namespace

pytestmark = pytest.mark.kernel

DNS = service("dns", cluster_ip="10.96.0.53", port=53, protocol="UDP")
DNS_SIX = service("dns6", cluster_ip="fd00:10:96::53", port=53, protocol="UDP")
# Where clients of the Services above were sent: pods that are gone, so that an agent that keeps
# the node would delete these connections.
STALE = {
    "IPV4": ("192.0.2.9", "10.96.0.53", "10.244.0.99"),
    "IPV6": ("2001:db8::9", "fd00:10:96::53", "fd00:1::99"),
}
# The settings of the kernel under net that say how much there is of something.
FIGURES = {"net.netfilter.nf_conntrack_count"}


@pytest.fixture
def kube_proxy(namespace: Namespace, tmp_path: Path) -> Iterator[None]:
    """What looks like a kube-proxy that runs on the node."""
    program = tmp_path / "kube-proxy"
    program.symlink_to("/bin/sleep")
    inside = ["ip", "netns", "exec", namespace.name]
    process = subprocess.Popen([*inside, str(program), "600"])
    name = Path(f"/proc/{process.pid}/comm")
    wait_for(lambda: name.read_text() == "kube-proxy\n")
    yield
    process.kill()
    process.wait()


def remember_stale_connections(namespace: Namespace) -> None:
    for client, frontend, pod in STALE.values():
        words = f"-I -p udp -s {client} -d {frontend} --sport 4000 --dport 53 -t 600"
        words += f" --reply-src {pod} --reply-dst {client}"
        words += " --reply-port-src 8080 --reply-port-dst 4000"
        namespace.run(["conntrack", *words.split()])


def everything(namespace: Namespace) -> dict[str, list[str]]:
    """Whatever a proxy could write on a node, without what counts packets or time."""

    def lines(*argv: str) -> list[str]:
        return namespace.run(argv).stdout.splitlines()

    found = {}
    for backend in BACKENDS:
        for program in ("iptables", "ip6tables"):
            saved = [x for x in lines(f"{program}-{backend}-save") if not x.startswith("#")]
            found[f"{backend} {program}"] = [re.sub(r" \[\d+:\d+\]$", "", x) for x in saved]
    found["ruleset"] = lines("nft", "-s", "list", "ruleset")
    for table in ("ip_tables_names", "ip6_tables_names"):
        found[table] = lines("cat", f"/proc/net/{table}")
    found["nfacct"] = [line.split()[-1] for line in lines("nfacct", "list")]
    for family in FAMILIES:
        listed = lines("conntrack", "-L", "-p", "udp", "-f", family.lower())
        found[f"connections {family}"] = sorted(re.sub(r"^(udp +17) \d+", r"\1", x) for x in listed)
    settings = dict(line.partition(" = ")[::2] for line in lines("sysctl", "-ae", "-r", "^net"))
    found["settings"] = [f"{name} = {x}" for name, x in settings.items() if name not in FIGURES]
    # Without the numbers of connections that nobody has taken yet.
    listening = [line.split() for line in lines("ss", "-Hlntu")]
    found["listening"] = sorted(" ".join([*x[:2], *x[4:]]) for x in listening)
    return found


@pytest.fixture
def agent(namespace: Namespace, tmp_path: Path) -> Iterator[AgentProcess]:
    requires("nfacct objects", "conntrack")
    with ApiServer(namespace=namespace.name) as server:
        server.put(node(), *STEADY, DNS, endpoint_slice("dns", "10.244.0.6", protocol="UDP"))
        server.put(DNS_SIX, endpoint_slice("dns6", "fd00:1::6", protocol="UDP"))
        agent = AgentProcess(
            namespace,
            server,
            tmp_path,
            # As on a node, where settings of the kernel are prepared; none of the whole machine.
            options=("--mode", "observe", "--verify-period", "500ms", "--prepare"),
            hasty=True,
        )
        agent.write_config({"conntrack": {"maxPerCore": 0, "min": 0}})
        yield agent


@pytest.mark.usefixtures("kube_proxy")
def test_observing_beside_another_proxy_writes_nothing_anywhere(agent: AgentProcess) -> None:
    namespace, server = agent.namespace, agent.server
    for family, name in zip(Family, FAMILIES, strict=True):
        namespace.restore(agent.expected(family).to_save(), name)
    remember_stale_connections(namespace)
    before = everything(namespace)
    assert len(before["connections IPV4"]) == len(before["connections IPV6"]) == 1
    with running(agent):
        wait_for(lambda: bool(agent.log("compared for the first time")))
        assert agent.log("another proxy runs on this node")
        assert everything(namespace) == before
        # A change that the other proxy does not follow: now an agent that keeps the node writes.
        server.put(endpoint_slice("steady", "10.244.0.7"), endpoint_slice("six", "fd00:1::7"))
        wait_for(lambda: len(agent.log("rules differ")) >= 2)
        assert everything(namespace) == before
        assert agent.stop() == 0
    assert everything(namespace) == before
    assert server.events == []


def test_observing_a_node_without_rules_makes_not_even_a_table(agent: AgentProcess) -> None:
    before = everything(agent.namespace)
    with running(agent):
        wait_for(lambda: len(agent.log("rules differ")) >= 2)
        assert agent.stop() == 0
    assert everything(agent.namespace) == before
    assert agent.server.events == []
