"""A cluster of the laboratory whose nodes are kept by agents."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from tests.lab.laboratory import manifests
from tests.lab.laboratory.addresses import FAMILIES, NODE1, NODES, POD_NETWORK
from tests.lab.laboratory.probing import Answer, Probe
from tests.support.agents import AgentProcess, running
from tests.support.apiserver import ApiServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.lab.laboratory.lab import Laboratory

NODE_PORT = 30001


class Cluster:
    """The API server, and an agent on each node."""

    def __init__(self, lab: Laboratory, server: ApiServer, agents: list[AgentProcess]) -> None:
        self.lab = lab
        self.server = server
        self.agents = agents

    def put(self, *objects: dict[str, Any]) -> None:
        """Change objects; returns when both nodes have followed."""
        self.server.put(*objects)
        self.settle()

    def delete(self, name: str = "web") -> None:
        self.server.delete("Service", name, "lab")
        for family in FAMILIES:
            self.server.delete("EndpointSlice", f"{name}-{family.lower()}", "lab")
        self.settle()

    def settle(self) -> None:
        for agent in self.agents:
            agent.settles()
        # What is to be cleared of connections is so right after the rules.
        for agent in self.agents:
            agent.rests()

    def ask(self, protocol: str = "tcp") -> dict[tuple[str, str], Answer]:
        """What the client gets from the node port of each node, by node and family."""
        ways = [(node, family) for node in NODES for family in FAMILIES]
        probes = [
            Probe("client", node.address.of(family), NODE_PORT, protocol) for node, family in ways
        ]
        answers = self.lab.probe_all(probes)
        return {(n.name, f): answer for (n, f), answer in zip(ways, answers, strict=True)}

    def outcomes(self) -> dict[str, set[str]]:
        """Who answers, or what comes of it instead, by node."""
        found: dict[str, set[str]] = {}
        for protocol in ("tcp", "udp"):
            for (node, _), answer in self.ask(protocol).items():
                found.setdefault(node, set()).add(answer.endpoint or answer.outcome)
        return found


@contextlib.contextmanager
def kept_cluster(lab: Laboratory, folder: Path) -> Iterator[Cluster]:
    """Two nodes without Services, each with an agent that looks after its tables often."""
    home = lab.namespaces["node1"]
    with ApiServer(namespace=home.name, host=NODE1.address.ipv4) as server:
        server.put(*manifests.nodes())
        agents = [
            AgentProcess(
                lab.namespaces[node.name],
                server,
                folder / node.name,
                node=node.name,
                # To check takes some programs a time, and nothing here waits for a check.
                options=("--check-period", "5s", "--verify-period", "2s"),
                config={
                    "clusterCIDR": ",".join(POD_NETWORK),
                    "iptables": {"minSyncPeriod": "10ms"},
                },
                hasty=True,
            )
            for node in NODES
        ]
        with contextlib.ExitStack() as stack:
            for agent in agents:
                stack.enter_context(running(agent))
            found = Cluster(lab, server, agents)
            found.settle()
            yield found
    lab.clear()
