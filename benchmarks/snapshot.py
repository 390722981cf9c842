"""What a snapshot costs beside the runs of iptables-save in it, in a namespace of its own.

    python benchmarks/snapshot.py BACKEND SERVICES ENDPOINTS

Prints seconds, on the clock and of the processor, of each the best of three: the save programs of
both backends and families one
after the other, into a pipe that is read to its end; `nptables snapshot` to a file, and to a
compressed one, start of Python included; deploy/snapshot.sh. And the most memory that each
process had, in MB: of the script that is the largest of the programs that it starts.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
SAVES = [
    [f"{stem}-{kind}-save", "-c"]
    for stem in ("iptables", "ip6tables")
    for kind in ("legacy", "nft")
]

# A process that waited for others counts their memory as its own, so this one says it itself.
COMMAND = """
import resource, sys
from nptables.cli import main
code = main(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
sys.exit(code)
"""


@dataclass(frozen=True, order=True)
class Cost:
    """Seconds on the clock and of the processor, and MB."""

    seconds: float
    worked: float
    memory: float

    def __str__(self) -> str:
        return f"{self.seconds:8.2f} s {self.worked:8.2f} s of CPU {self.memory:8.0f} MB"


def run(argv: Sequence[str | Path]) -> Cost:
    """What a program costs, with those that it starts, its output read to its end."""
    start = time.perf_counter()
    with subprocess.Popen(
        list(map(str, argv)),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment(),
    ) as one:
        assert one.stdout is not None
        last = b""
        while read := one.stdout.read(1 << 20):
            last = read
        _, status, usage = os.wait4(one.pid, 0)
        one.returncode = os.waitstatus_to_exitcode(status)
    if one.returncode:
        sys.exit(f"{argv[0]} ended with {one.returncode}")
    took = time.perf_counter() - start
    memory = float(last) if COMMAND in argv else usage.ru_maxrss / 1024
    return Cost(took, usage.ru_utime + usage.ru_stime, memory)


def environment() -> dict[str, str]:
    """That of this process, in which the package of this tree is found."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def fill(services: int, endpoints: int, kind: str) -> None:
    """Fill the tables of this namespace."""
    # What a process has loaded counts as memory of those that it starts: this one ends first.
    from workload import FAMILY, cluster_and_node, configuration  # noqa: PLC0415

    from nptables import translate  # noqa: PLC0415
    from nptables.kernel import Applier, RestoreBackend  # noqa: PLC0415

    cluster, node = cluster_and_node(services, endpoints)
    rules = translate(cluster, node, configuration(), FAMILY)
    backend = RestoreBackend("legacy" if kind == "legacy" else "nft", FAMILY, 600)
    Applier(backend, verify=False).sync(rules)


def measure() -> None:
    """Print what looking at the tables of this namespace takes."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", COMMAND, "snapshot", "-o"]
        programs = {
            "nptables snapshot -o FILE.json": [*command, Path(folder, "n.json")],
            "nptables snapshot -o FILE.json.gz": [*command, Path(folder, "n.json.gz")],
            "deploy/snapshot.sh": ["sh", ROOT / "deploy/snapshot.sh"],
        }
        # In turns, so that what else the machine does meets all of them.
        saves: list[Cost] = []
        took: dict[str, list[Cost]] = {name: [] for name in programs}
        for _ in range(3):
            turn = [run(argv) for argv in SAVES]
            saves.append(
                Cost(
                    sum(cost.seconds for cost in turn),
                    sum(cost.worked for cost in turn),
                    max(cost.memory for cost in turn),
                )
            )
            for name, argv in programs.items():
                took[name].append(run(argv))
        saved = min(saves)
        print(f"{'iptables-save, all four':34} {saved}", flush=True)
        for name, costs in took.items():
            best = min(costs)
            times, work = best.seconds / saved.seconds, best.worked / saved.worked
            print(f"{name:34} {best}  {times:.2f} and {work:.2f} times")
        for path in sorted(Path(folder).iterdir()):
            print(f"{path.name:36} {path.stat().st_size / 1e6:8.1f} MB")


def main() -> None:
    """Measure in a namespace that is removed afterwards."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("backend", choices=["legacy", "nft"])
    parser.add_argument("services", type=int)
    parser.add_argument("endpoints", type=int)
    parser.add_argument("--step", choices=["fill", "measure"], help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.step == "fill":
        fill(asked.services, asked.endpoints, asked.backend)
        return
    if asked.step == "measure":
        measure()
        return
    name = f"nptables-bench-{uuid.uuid4().hex[:8]}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        for step in ("fill", "measure"):
            inside = [sys.executable, __file__, *sys.argv[1:], "--step", step]
            subprocess.run(["ip", "netns", "exec", name, *inside], check=True, env=environment())
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


if __name__ == "__main__":
    main()
