"""What it costs to load rules into a kernel and to keep them current, beside kube-proxy's way.

    python benchmarks/following.py BACKEND SERVICES ENDPOINTS

changes the tables of the network namespace it runs in, so run.py starts it in one of its own. It
prints one line of JSON; times are in seconds on the clock. kube-proxy's way is one
`iptables-restore --noflush --counters` with all shared chains and the chains of the changed
Service, as kube-proxy 1.36 feeds it; only the time of that program is counted for it, while ours
starts at the object as the API server sends it.
"""

from __future__ import annotations

import json
import random
import socket
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

from benchmarks.workload import (
    FAMILY,
    cluster_and_node,
    configuration,
    endpoint_slice,
)
from nptables import Cluster, diff, translate
from nptables.incremental import Changes, IncrementalTranslator
from nptables.iptables.changes import Plan
from nptables.iptables.ruleset import BUILT_IN_CHAINS
from nptables.kernel import Applied, Applier, Backend, RestoreBackend
from nptables.kernel.programs import run_program
from nptables.kernel.reconciler import Reconciler
from nptables.kernel.tables.xtables import KINDS, Kind, command
from nptables.translation import Translation
from nptables.translation.service_port import PortRules

WAIT = 60.0
ROUNDS = 8
# One commit of so many lines takes nft minutes (see DESIGN figures in docs/performance.md).
MOST_LINES_AT_ONCE = {"legacy": 1_000_000, "nft": 50_000}


def main() -> None:
    """Measure one backend at one size."""
    if [name for _, name in socket.if_nameindex()] != ["lo"]:
        raise SystemExit("this replaces all rules: run it by `ip netns exec`, in a new namespace")
    kind, services, endpoints = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    (known,) = (one for one in KINDS if one == kind)
    print(json.dumps(Measuring(known, services, endpoints).measure()))


class Measuring:
    """One namespace, one backend, one size."""

    def __init__(self, kind: Kind, services: int, endpoints: int) -> None:
        self.kind = kind
        self.services = services
        self.endpoints = endpoints
        self.cluster, self.node = cluster_and_node(services, endpoints)
        self.config = configuration()
        self.backend = RestoreBackend(kind, FAMILY, WAIT)

    def measure(self) -> dict[str, Any]:
        """Everything, in the order in which the tables allow it."""
        found: dict[str, Any] = {
            "backend": self.kind,
            "services": self.services,
            "endpoints": self.endpoints,
        }
        desired = translate(self.cluster, self.node, self.config, FAMILY)
        if desired.rule_count() <= MOST_LINES_AT_ONCE[self.kind]:
            text = whole_text(desired)
            found["cold load, kube-proxy's way"] = timed(partial(self.feed, text, "--counters"))
            self.flush()
        return found | self.changes()

    def changes(self) -> dict[str, Any]:
        """Load all; then one endpoint comes or goes, in turn by us and kube-proxy's way."""
        ours: list[float] = []
        theirs: list[float] = []
        smallest: list[float] = []
        translator = IncrementalTranslator(self.node, self.config, FAMILY)
        applier = TimedApplier(self.backend)
        reconciler = Reconciler(self.backend, translator, applier=lambda *_: applier)
        reconciler.pending.add(Changes.everything(self.cluster, self.node, self.config))
        reconciler.sync()
        loaded = applier.seconds
        for turn in range(ROUNDS):
            number = turn // 2 * (self.services // ROUNDS)
            more = endpoint_slice(number, self.endpoints + 1)
            fewer = endpoint_slice(number, self.endpoints)
            smallest.append(timed(lambda: self.feed(SMALLEST)))
            if turn % 2 == 0:
                ours.append(timed(partial(self.ours, reconciler, more)))
                theirs.append(self.theirs(translator, fewer))
            else:
                theirs.append(self.theirs(translator, more))
                ours.append(timed(partial(self.ours, reconciler, fewer)))
        return {
            "cold load": loaded,
            "smallest commit": statistics.median(smallest),
            "one change": statistics.median(ours),
            "one change, kube-proxy's way": statistics.median(theirs),
            "smallest commit, best": min(smallest),
            "one change, best": min(ours),
            "one change, kube-proxy's way, best": min(theirs),
            "one change, kube-proxy's way, bytes": self.bytes,
            "full verification": timed(lambda: self.verify(translator)),
        }

    def ours(self, reconciler: Reconciler, raw: dict[str, Any]) -> None:
        """From the object as the API server sends it to the kernel."""
        read = Cluster.from_objects([raw], lenient=True)
        reconciler.pending.add(Changes(slices=read.slices))
        reconciler.sync()

    def theirs(self, translator: IncrementalTranslator, raw: dict[str, Any]) -> float:
        """The same change kube-proxy's way; its stale chains are cleared away uncounted."""
        update = translator.prepare(Changes(slices=Cluster.from_objects([raw]).slices))
        text = partial_text(update.desired, update.after.values())
        self.bytes = len(text)
        seconds = timed(lambda: self.feed(text, "--counters"))
        if update.delete:
            lines = ["*nat", *(f":{c} - [0:0]\n-X {c}" for c in update.delete), "COMMIT", ""]
            self.feed("\n".join(lines))
        translator.accept(update)
        return seconds

    def verify(self, translator: IncrementalTranslator) -> None:
        """Read everything and compare; there must be no difference."""
        plan = diff(self.backend.read(), translator.translation())
        if plan:
            raise SystemExit(f"the kernel is not as it should be:\n{plan.to_restore()[:2000]}")

    def feed(self, text: str, *options: str) -> None:
        """Feed text to iptables-restore."""
        argv = [*command(self.kind, FAMILY, "restore"), "--noflush", "-w", "60", *options]
        done = run_program(argv, text, 3600)
        if done.code:
            raise SystemExit(done.stderr)

    def flush(self) -> None:
        """Empty the tables."""
        argv = [*command(self.kind, FAMILY, "restore"), "-w", "60"]
        run_program(argv, "*nat\nCOMMIT\n*filter\nCOMMIT\n", 3600)


class TimedApplier(Applier):
    """An applier that takes the time, and reads nothing back: that is measured by itself."""

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend, verify=False, wait=WAIT)
        self.seconds = 0.0

    def apply(self, plan: Plan) -> Applied:
        """Carry a plan out, and remember how long that took."""
        started = time.perf_counter()
        done = super().apply(plan)
        self.seconds = time.perf_counter() - started
        return done


SMALLEST = """\
*nat
:KUBE-MARK-MASQ - [0:0]
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
COMMIT
"""


def timed(work: Callable[[], object]) -> float:
    """Seconds on the clock."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def whole_text(desired: Translation) -> str:
    """All rules as kube-proxy feeds them when it starts: in no particular order of chains."""
    ports = list(desired.ports.values())
    random.Random(1).shuffle(ports)
    return partial_text(desired, ports) + _jumps(desired)


def partial_text(desired: Translation, ports: Iterable[PortRules]) -> str:
    """All shared chains, and the chains of some service ports, as kube-proxy feeds them."""
    lines: list[str] = []
    own = {chain: text for rules in ports for chain, text in rules.chains.items()}
    of_ports = {chain for rules in desired.ports.values() for chain in rules.chains}
    for table in ("filter", "nat"):
        chains = {
            chain: text
            for chain, text in desired.tables[table].chains.items()
            if chain not in BUILT_IN_CHAINS[table] and chain not in of_ports
        }
        if table == "nat":
            chains |= own
        lines += [f"*{table}", *(f":{chain} - [0:0]" for chain in chains)]
        lines += [line for text in chains.values() for line in text]
        lines.append("COMMIT")
    return "\n".join([*lines, ""])


def _jumps(desired: Translation) -> str:
    lines: list[str] = []
    for table in ("filter", "nat"):
        lines.append(f"*{table}")
        for chain in BUILT_IN_CHAINS[table]:
            lines += desired.lines(table, chain)
        lines.append("COMMIT")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
