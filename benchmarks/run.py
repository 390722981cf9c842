"""The benchmark suite: prints tables, writes JSON and a plot.

    python benchmarks/run.py [--quick] [--only translation|kernel] [--to FOLDER]

Each size runs in a process of its own, the kernel parts in a network namespace of their own (they
need root). `--quick` takes the two smallest sizes. `--only` measures one half and keeps what the
folder has of the other. Without `--to` the files go to build/bench.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

from benchmarks.plot import svg  # noqa: E402 (the path comes first)
from benchmarks.workload import SIZES  # noqa: E402

Result = dict[str, Any]

# Backend, Services, endpoints of each.
KERNEL_SIZES = (
    ("legacy", 100, 5),
    ("legacy", 1_000, 10),
    ("legacy", 5_000, 10),
    ("legacy", 10_000, 10),
    ("nft", 100, 5),
    ("nft", 1_000, 10),
    ("nft", 3_000, 10),
    ("nft", 5_000, 10),
    ("nft", 10_000, 10),
)
ONE_CHANGE = "one endpoint added"


def main() -> None:
    """Run the suite."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="the two smallest sizes only")
    parser.add_argument("--only", choices=["translation", "kernel"], help="one half of the suite")
    parser.add_argument("--to", type=Path, default=ROOT / "build" / "bench", metavar="FOLDER")
    arguments = parser.parse_args()
    sizes = SIZES[:2] if arguments.quick else SIZES
    kernel = [size for size in KERNEL_SIZES if not arguments.quick or size[1] <= 1_000]
    path = arguments.to / "performance.json"
    results: dict[str, Any] = {"translation": [], "kernel": []}
    if arguments.only and path.exists():
        results |= json.loads(path.read_text())
    results["machine"] = machine()
    print(f"{machine()}, load {os.getloadavg()[0]:.1f}\n")
    if arguments.only != "kernel":
        results["translation"] = [translation(*size) for size in sizes]
        print_table(results["translation"], ["services", "endpoints"])
    if arguments.only != "translation" and may_use_kernel():
        results["kernel"] = [following(*size) for size in kernel]
        print_table(results["kernel"], ["backend", "services", "endpoints"])
    arguments.to.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n")
    path.with_suffix(".svg").write_text(plot(results["translation"], results["kernel"]))
    print(f"written to {arguments.to}: performance.json, performance.svg")


def machine() -> str:
    """What the figures are from."""
    return f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"


def may_use_kernel() -> bool:
    """Whether namespaces can be made; says so where not."""
    if os.geteuid() == 0 and shutil.which("ip"):
        return True
    print("without root and ip(8) there are no kernel figures\n")
    return False


def translation(services: int, endpoints: int) -> Result:
    """The figures of translation at one size."""
    return _run([sys.executable, "benchmarks/translating.py", str(services), str(endpoints)])


def following(backend: str, services: int, endpoints: int) -> Result:
    """The figures of one backend at one size, in a namespace that is removed afterwards."""
    name = f"nptables-bench-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        program = [sys.executable, "benchmarks/following.py"]
        inside = ["ip", "netns", "exec", name, *program, backend, str(services), str(endpoints)]
        found = _run(inside)
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=False)
    for what in ("cold load", "one change"):
        theirs = found.get(f"{what}, kube-proxy's way")
        found[f"{what}, times faster"] = theirs / found[what] if theirs else None
    print(json.dumps(found), file=sys.stderr, flush=True)
    return found


def _run(argv: list[str]) -> Result:
    done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
    found: Result = json.loads(done.stdout)
    return {**found, "load of the machine": os.getloadavg()[0]}


def print_table(results: list[Result], head: list[str]) -> None:
    """Results side by side, a figure a line."""
    rows = list(dict.fromkeys(name for result in results for name in result if name not in head))
    print(" " * 44 + "".join(f"{_size(result, head):>15}" for result in results))
    for name in rows:
        print(f"{name:44}" + "".join(f"{_figure(name, r.get(name)):>15}" for r in results))
    print()


def _size(result: Result, head: list[str]) -> str:
    *before, services, endpoints = (result[name] for name in head)
    return " ".join([*before, f"{services}x{endpoints}"])


def _figure(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    if name.endswith(("bytes", "lines")):
        return f"{value:,.0f}"
    if name.endswith(("MB", "times faster", "load of the machine")):
        return f"{value:,.1f}"
    return f"{value * 1000:.3f} ms" if value < 0.1 else f"{value:.3f} s"


def plot(translated: list[Result], followed: list[Result]) -> str:
    """Time against the number of Services, of ten endpoints each (five in the smallest size)."""
    series: dict[str, list[tuple[float, float]]] = {}
    for result in translated:
        if result["endpoints"] <= 10:
            for name in ("model to text", ONE_CHANGE):
                series.setdefault(f"translation: {name}", []).append(
                    (result["services"], result[name])
                )
    for result in followed:
        for name in ("cold load", "one change", "one change, kube-proxy's way"):
            if result.get(name):
                series.setdefault(f"{result['backend']}: {name}", []).append(
                    (result["services"], result[name])
                )
    return svg("What a cluster and a change cost", series, across="NodePort Services", up="time")


if __name__ == "__main__":
    main()
