"""The agent with no more rights than deploy/ gives it, in a container and as a unit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trustme

from nptables.family import Family
from tests.support.agents import running, wait_for
from tests.support.apiserver import ApiServer
from tests.support.confined import ConfinedAgent, ContainedAgent, UnitAgent
from tests.support.objects import endpoint_slice, node, service
from tests.support.requirements import requires
from tests.support.tls import server_context

if TYPE_CHECKING:
    from tests.support.netns import Namespace

pytestmark = pytest.mark.kernel

# Bits 12 and 13 of linux/capability.h.
NET_ADMIN_AND_NET_RAW = "0000000000003000"

# Settings of the whole machine stay as they are.
NO_SETTINGS = {
    "conntrack": {
        "maxPerCore": 0,
        "min": 0,
        "tcpEstablishedTimeout": "0s",
        "tcpCloseWaitTimeout": "0s",
    }
}


def status_of(agent: ConfinedAgent) -> dict[str, str]:
    assert agent.process is not None
    lines = Path(f"/proc/{agent.process.pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


@pytest.mark.parametrize("kind", [ContainedAgent, UnitAgent])
def test_two_capabilities_and_a_read_only_system_are_enough(
    namespace: Namespace, tmp_path: Path, kind: type[ConfinedAgent]
) -> None:
    requires("setpriv")
    authority = trustme.CA()
    tls = server_context(authority)
    with ApiServer(namespace=namespace.name, tls=tls, token="of the Pod") as server:
        server.put(node(), service("web", node_port=30080), endpoint_slice("web", "10.244.0.5"))
        agent = kind(namespace, server, tmp_path, config=NO_SETTINGS, options=("-v",))
        agent.write_account(token="of the Pod", authority=authority.cert_pem.bytes().decode())
        with running(agent):
            wait_for(lambda: bool(agent.log("synced for the first time")))
            agent.converges()
            agent.converges(family=Family.IPV6)
            status = status_of(agent)
            assert status["CapEff"] == status["CapBnd"] == NET_ADMIN_AND_NET_RAW
            assert status["NoNewPrivs"] == "1"
            assert status["Seccomp"] == ("2" if kind is UnitAgent else "0")
            server.put(service("more", cluster_ip="10.96.0.11", node_port=30081))
            agent.converges()
            # A container may not write it, and has a privileged one before it that does.
            localnet = namespace.run(["sysctl", "-n", "net.ipv4.conf.all.route_localnet"]).stdout
            assert localnet == ("1\n" if kind is UnitAgent else "0\n")
            assert agent.stop() == 0
