"""Gets rules into the kernel of a node, and out again. This is the one place that does."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nptables import Cluster, ProxyConfig, translate
from nptables import Family as NpFamily
from nptables.kernel import Applied, Applier, RestoreBackend
from nptables.kernel.programs import Completed, run_program
from tests.lab.laboratory.addresses import FAMILIES
from tests.support.netns import LOCK_WAIT, NPTABLES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nptables.kernel.programs import Runner
    from tests.lab.laboratory.addresses import Family
    from tests.support.netns import Namespace

API = {
    "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
    "kind": "KubeProxyConfiguration",
    "mode": "iptables",
    # This would be a setting of the whole machine.
    "conntrack": {"maxPerCore": 0},
}


class NodeCommands:
    """Runs `nptables` on a node."""

    def __init__(self, namespace: Namespace, node: str) -> None:
        self._namespace = namespace
        self._node = node

    def apply(self, objects: Sequence[Mapping[str, Any]], config: Mapping[str, Any]) -> str:
        """Have the node serve the objects under a configuration; returns what it said.

        This is how rules get into a kernel here.
        """
        with tempfile.TemporaryDirectory() as folder:
            manifest, configuration = Path(folder, "objects.json"), Path(folder, "config.json")
            manifest.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
            configuration.write_text(json.dumps({**API, **config}))
            words = [
                *NPTABLES,
                "apply",
                manifest,
                f"--config={configuration}",
                f"--node={self._node}",
                f"--backend={self._namespace.backend}",
                f"--wait={LOCK_WAIT}",
                # Another test may run something like a kube-proxy meanwhile.
                "--force",
            ]
            return self._namespace.run(words).stderr


class Inside:
    """Starts programs in a namespace, for the parts of nptables that take a Runner."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace

    def __call__(self, argv: Sequence[str], text: str, seconds: float) -> Completed:
        """Run a program to its end."""
        with self._namespace.starting(argv) as started:
            return run_program(started, text, seconds)


class FailingFrom(Inside):
    """Has every commit fail from the one with a certain number (1 is the first) on."""

    def __init__(self, namespace: Namespace, number: int) -> None:
        super().__init__(namespace)
        self._left = number - 1
        self.failed = False

    def __call__(self, argv: Sequence[str], text: str, seconds: float) -> Completed:
        """Run a program; what is to be committed after enough commits gets a line too many."""
        lines = []
        for line in text.splitlines():
            if line == "COMMIT":
                if self._left == 0:
                    self.failed = True
                    lines.append("-A KUBE-SERVICES -j NO-SUCH-CHAIN")
                else:
                    self._left -= 1
            lines.append(line)
        return super().__call__(argv, "".join(f"{line}\n" for line in lines), seconds)


def apply_one_family(
    namespace: Namespace,
    node: str,
    objects: Sequence[Mapping[str, Any]],
    config: Mapping[str, Any],
    family: Family,
    *,
    run: Runner | None = None,
) -> Applied:
    """Have a node serve the objects in one family, by the library and in this process."""
    number = NpFamily[family]
    wait = float(LOCK_WAIT)
    backend = RestoreBackend(namespace.backend, number, wait, run or Inside(namespace))
    cluster = Cluster.from_objects(objects)
    proxy = ProxyConfig.from_kube_proxy({**API, **config})
    desired = translate(cluster, cluster.node(node), proxy, number)
    return Applier(backend, wait=wait).sync(desired)


_EMPTY = """\
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
COMMIT
"""


def clear(namespace: Namespace) -> None:
    """Make a node as it was before any rule, connection and setting."""
    for family in FAMILIES:
        namespace.restore(_EMPTY, family)
    namespace.run(["sysctl", "-q", "-w", "net.ipv4.conf.all.route_localnet=0"])
    namespace.run(["conntrack", "-F"])
