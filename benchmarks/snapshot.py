"""What a snapshot costs beside the runs of iptables-save in it, in a namespace of its own.

    python benchmarks/snapshot.py BACKEND SERVICES ENDPOINTS

Prints seconds, of each the best of three: the save programs of both backends and families one
after the other, into a pipe that is read to its end; `nptables snapshot` to a file, and to a
compressed one, start of Python included; deploy/snapshot.sh. And the most memory that the command
and the largest save program had, in MB.
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
from pathlib import Path

ROOT = Path(__file__).parent.parent
SAVES = [
    [f"{stem}-{kind}-save", "-c"]
    for stem in ("iptables", "ip6tables")
    for kind in ("legacy", "nft")
]


def run(argv: Sequence[str | Path]) -> tuple[float, float]:
    """Seconds and MB of a program whose output is read to its end."""
    start = time.perf_counter()
    with subprocess.Popen(
        list(map(str, argv)),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment(),
    ) as one:
        assert one.stdout is not None
        while one.stdout.read(1 << 20):
            pass
        _, status, usage = os.wait4(one.pid, 0)
        one.returncode = os.waitstatus_to_exitcode(status)
    if one.returncode:
        sys.exit(f"{argv[0]} ended with {one.returncode}")
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def environment() -> dict[str, str]:
    """That of this process, in which the package of this tree is found."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def fill(services: int, endpoints: int, kind: str) -> None:
    """Fill the tables of this namespace."""
    # What a process has loaded counts as memory of those that it starts: this one ends first.
    from workload import FAMILY, cluster_and_node, configuration

    from nptables import translate
    from nptables.kernel import Applier, RestoreBackend

    cluster, node = cluster_and_node(services, endpoints)
    rules = translate(cluster, node, configuration(), FAMILY)
    backend = RestoreBackend("legacy" if kind == "legacy" else "nft", FAMILY, 600)
    Applier(backend, verify=False).sync(rules)


def measure() -> None:
    """Print what looking at the tables of this namespace takes."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "nptables", "snapshot", "-o"]
        programs = {
            "nptables snapshot -o FILE.json": [*command, Path(folder, "n.json")],
            "nptables snapshot -o FILE.json.gz": [*command, Path(folder, "n.json.gz")],
            "deploy/snapshot.sh": ["sh", ROOT / "deploy/snapshot.sh"],
        }
        # In turns, so that what else the machine does meets all of them.
        saves: list[list[tuple[float, float]]] = []
        took: dict[str, list[tuple[float, float]]] = {name: [] for name in programs}
        for _ in range(3):
            saves.append([run(argv) for argv in SAVES])
            for name, argv in programs.items():
                took[name].append(run(argv))
        saved = min(sum(seconds for seconds, _ in turn) for turn in saves)
        most = max(memory for turn in saves for _, memory in turn)
        print(f"{'iptables-save, all four':36} {saved:8.2f} s {most:8.0f} MB", flush=True)
        for name, turns in took.items():
            seconds, memory = min(turns)
            print(f"{name:36} {seconds:8.2f} s {memory:8.0f} MB  {seconds / saved:.2f} times")
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
