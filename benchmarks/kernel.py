"""What applying costs beside plain iptables-restore of the same rules, in namespaces of its own.

    python benchmarks/kernel.py [--baseline] BACKEND SERVICES ENDPOINTS

Prints seconds: reading and comparing, plain iptables-restore of the whole text, our cold load (with
the reading before and after, and without verification), and applying once more. On nft the plain
restore of large rulesets takes minutes: `--baseline` asks for it. BACKEND is legacy, nft or iptc.
"""

from __future__ import annotations

import argparse
import gc
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from typing import Any

from workload import FAMILY, cluster_and_node, configuration

from nptables import Ruleset, translate
from nptables.iptables.changes import diff
from nptables.iptables.changes.steps import steps_of
from nptables.iptables.ruleset import BUILT_IN_CHAINS
from nptables.kernel import Applier, RestoreBackend
from nptables.kernel.tables.libiptc import LibiptcBackend
from nptables.translation import Translation


def timed(what: str, act: Callable[[], Any]) -> Any:
    """Run, print how many seconds it took, return what it gave."""
    gc.collect()
    start = time.perf_counter()
    found = act()
    print(f"{what:56} {time.perf_counter() - start:9.3f} s", flush=True)
    return found


def plain_restore(kind: str, text: str) -> None:
    """The whole text in one iptables-restore."""
    subprocess.run(
        [f"iptables-{kind}-restore", "-w", "60"], input=text, text=True, check=True, timeout=1800
    )


def one_restore(kind: str, desired: Translation) -> None:
    """One `iptables-restore --noflush --counters`, chains in the order that kube-proxy gives them.

    That is the order of service ports, whose chain names are hashes; the jumps come last.
    """
    tables = []
    for name in ("filter", "nat"):
        chains = desired.tables[name].chains
        built_in = [chain for chain in chains if chain in BUILT_IN_CHAINS[name]]
        ports = [c for p in desired.ports.values() for c in p.chains] if name == "nat" else []
        order = [*(c for c in chains if c not in {*built_in, *ports}), *ports]
        lines = [f"*{name}", *(f":{chain} - [0:0]" for chain in order)]
        lines += [line for chain in (*order, *built_in) for line in chains[chain]]
        tables.append("\n".join((*lines, "COMMIT", "")))
    subprocess.run(
        [f"iptables-{kind}-restore", "-w", "60", "--noflush", "--counters"],
        input="".join(tables),
        text=True,
        check=True,
        timeout=1800,
    )


def flush(kind: str) -> None:
    """No rule and no chain any more."""
    empty = "*nat\nCOMMIT\n*filter\nCOMMIT\n"
    if kind == "nft":
        subprocess.run(["nft", "flush", "ruleset"], check=True, timeout=600)
    else:
        subprocess.run(["iptables-legacy-restore", "-w", "60"], input=empty, text=True, check=True)


def measure(backend: str, services: int, endpoints: int, *, baseline: bool) -> None:
    """All figures of one backend and size, in this network namespace."""
    kind: Any = "nft" if backend == "nft" else "legacy"
    cluster, node = cluster_and_node(services, endpoints)
    desired = timed("translation", lambda: translate(cluster, node, configuration(), FAMILY))
    text = desired.to_save()
    print(f"{desired.rule_count()} rules, {desired.chain_count()} chains, {len(text) / 1e6:.1f} MB")
    if baseline:
        timed(f"plain iptables-{kind}-restore", lambda: plain_restore(kind, text))
        timed(f"plain iptables-{kind}-restore over it", lambda: plain_restore(kind, text))
        flush(kind)
        timed("one restore in kube-proxy's order, not flushing", lambda: one_restore(kind, desired))
        flush(kind)
    program = RestoreBackend(kind, FAMILY, 60)
    used: Any = LibiptcBackend.load(FAMILY, wait=60) if backend == "iptc" else program
    plan = timed("diff with an empty node", lambda: diff(Ruleset(FAMILY, {}), desired))
    timed("  its steps", lambda: steps_of(plan, piece=used.piece))
    timed("cold load, verified", lambda: Applier(used, wait=60).apply(plan))
    dump = timed(
        "iptables-save",
        lambda: (
            subprocess.run(
                [f"iptables-{kind}-save"], capture_output=True, text=True, check=True
            ).stdout
        ),
    )
    current = timed("parsing it", lambda: Ruleset.from_save(dump))
    timed("diff with a node that has it all", lambda: diff(current, desired))
    timed("apply again (read, compare, nothing to do)", lambda: Applier(used).sync(desired))
    flush(kind)
    timed("cold load, not verified", lambda: Applier(used, verify=False, wait=60).apply(plan))


def main() -> None:
    """Measure in a namespace that is removed afterwards."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--baseline", action="store_true")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("backend", choices=["legacy", "nft", "iptc"])
    parser.add_argument("services", type=int)
    parser.add_argument("endpoints", type=int)
    arguments = parser.parse_args()
    if arguments.inside:
        measure(
            arguments.backend, arguments.services, arguments.endpoints, baseline=arguments.baseline
        )
        return
    name = f"nptables-bench-{uuid.uuid4().hex[:8]}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        command = [sys.executable, __file__, "--inside", *sys.argv[1:]]
        subprocess.run(["ip", "netns", "exec", name, *command], check=True)
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=False)


if __name__ == "__main__":
    main()
