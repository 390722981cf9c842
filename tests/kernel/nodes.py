"""Nodes for the tests of the kernel package: a namespace, and the library at work in it."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nptables import Cluster, Family, ProxyConfig, Ruleset, translate
from nptables.iptables.ruleset import BUILT_IN_CHAINS
from nptables.kernel import Applier, RestoreBackend
from nptables.kernel.node.nfacct import COUNTERS
from nptables.kernel.programs import run_program
from tests.support.scenarios import named_scenario

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence
    from pathlib import Path

    from nptables.kernel.programs import Completed
    from nptables.translation import Translation
    from tests.support.netns import Namespace

_BUILT_IN = {chain for chains in BUILT_IN_CHAINS.values() for chain in chains}
LIBRARY = [sys.executable, "-m", "nptables"]


@dataclass(frozen=True)
class Node:
    """A namespace whose tables are changed by the library."""

    netns: Namespace

    def backend(self, family: Family = Family.IPV4, wait: float = 60) -> RestoreBackend:
        """The restore programs of the namespace's backend, started inside it."""
        return RestoreBackend(self.netns.backend, family, wait, run=self.start)

    def start(self, argv: Sequence[str], text: str, seconds: float) -> Completed:
        """Run a program inside; a Runner."""
        with self.netns.starting(argv) as started:
            return run_program(started, text, seconds)

    def applier(self, family: Family = Family.IPV4) -> Applier:
        """An applier on the backend."""
        return Applier(self.backend(family), wait=60)

    def nptables(
        self, *arguments: str | Path, check: bool = True, **more: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run the command line inside; a command that writes waits long for other tests' locks."""
        patience = ("--wait", "60") if arguments[0] in ("apply", "cleanup") else ()
        words = (*arguments, *(patience if "--wait" not in arguments else ()))
        return self.netns.run([*LIBRARY, *words], check=check, **more)

    def apply(self, path: Path, *more: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `nptables apply` on the namespace's backend, settings of the kernel left alone."""
        arguments = ("--no-prepare", "--backend", self.netns.backend)
        return self.nptables("apply", path, *arguments, *more, check=check)

    def read(self, family: Family = Family.IPV4) -> Ruleset:
        """What the kernel holds."""
        return self.backend(family).read()

    def count_packets(self) -> None:
        """Make the nfacct objects that rules name."""
        for counter in COUNTERS:
            self.netns.run(["nfacct", "add", counter], check=False)


def rules_of(name: str, family: Family = Family.IPV4) -> Translation:
    """The rules of a recorded scenario."""
    scenario = named_scenario(name)
    cluster = Cluster.from_objects(scenario.objects, lenient=True)
    config = ProxyConfig.from_kube_proxy(scenario.config)
    return translate(cluster, cluster.node(scenario.node, scenario.facts), config, family)


def service(number: int, *, port: str = "") -> dict[str, Any]:
    """A NodePort Service whose addresses come from its number."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": f"web{number}", "namespace": "ns"},
        "spec": {
            "type": "NodePort",
            "clusterIP": f"10.96.{number // 250}.{number % 250 + 1}",
            "ports": [{"name": port, "port": 80, "protocol": "TCP", "nodePort": 30000 + number}],
        },
    }


def endpoints(number: int, count: int, *, start: int = 0) -> dict[str, Any]:
    """A slice of the Service with that number."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"web{number}-a",
            "namespace": "ns",
            "labels": {"kubernetes.io/service-name": f"web{number}"},
        },
        "addressType": "IPv4",
        "endpoints": [
            {"addresses": [f"10.{200 + number // 250}.{number % 250}.{start + i + 1}"]}
            for i in range(count)
        ],
        "ports": [{"name": "", "port": 8080, "protocol": "TCP"}],
    }


NODE = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "node1"},
    "status": {"addresses": [{"type": "InternalIP", "address": "192.168.0.2"}]},
}


def rules_for(objects: Sequence[dict[str, Any]], family: Family = Family.IPV4) -> Translation:
    """The rules of node1 for Services and slices."""
    cluster = Cluster.from_objects([NODE, *objects])
    return translate(cluster, cluster.node("node1"), ProxyConfig(), family)


def manifest(path: Path, objects: Sequence[dict[str, Any]]) -> Path:
    """A file with node1 and the objects."""
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [NODE, *objects]}))
    return path


def foreign_part(ruleset: Ruleset) -> dict[tuple[str, str], tuple[str, ...]]:
    """Every rule that no KUBE chain has and that leads to none, by table and chain."""
    found = {
        (name, chain): tuple(line for line in lines if "-j KUBE-" not in line)
        for name, table in ruleset.tables.items()
        for chain, lines in table.chains.items()
        if not chain.startswith("KUBE-")
    }
    return {key: lines for key, lines in found.items() if lines or key[1] not in _BUILT_IN}
