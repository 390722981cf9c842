"""What starts cold: commands on a large and a small cluster, and a translation from nothing.

    python benchmarks/cold.py [--against CHECKOUT] [--runs N]

Times are seconds of processor of whole processes (user and system), medians of so many runs, for a
translation the best of several within one process. With `--against` each figure is measured in
another checkout as well, the two in turn, so that both have the same machine.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

from benchmarks.workload import NODE, cluster_ip, objects  # noqa: E402 (the path comes first)

_NODE = ["--node", NODE]
_PACKET = ["--from", "10.0.0.1", "--to", f"{cluster_ip(5)}:80"]
# Name, aim in seconds, Services, endpoints of each, and the command without its FILE.
COMMANDS = (
    ("nptables --version", 0.045, 0, 0, ["--version"]),
    ("render, 10 x 3", 0.08, 10, 3, ["render", *_NODE]),
    ("render, 10,000 x 10", 2.0, 10_000, 10, ["render", *_NODE]),
    ("trace, 1,000 x 10", 0.3, 1_000, 10, ["trace", *_NODE, *_PACKET]),
    ("trace, 10,000 x 10", 1.5, 10_000, 10, ["trace", *_NODE, *_PACKET]),
)
_TRANSLATION = """
import json, sys
sys.path[:0] = ["."]
from benchmarks.translating import best, plain_loop
from benchmarks.workload import FAMILY, cluster_and_node, configuration
from nptables import translate
cluster, node = cluster_and_node(10_000, 10)
config = configuration()
def cold():
    return translate(cluster, node, config, FAMILY).to_save()
print(json.dumps({
    "bare loop of as many lines": best(5, lambda: plain_loop(10_000, 10)),
    "cold translation, 10,000 x 10": best(5, cold),
}))
"""


def main() -> None:
    """Measure all figures, in one checkout or in two."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="measure this one as well")
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="runs of each command")
    arguments = parser.parse_args()
    checkouts = [ROOT, *([arguments.against.resolve()] if arguments.against else [])]
    print(f"load {os.getloadavg()[0]:.1f}, {len(checkouts)} checkouts in turn: {checkouts}")
    with tempfile.TemporaryDirectory() as folder:
        for name, aim, services, endpoints, command in COMMANDS:
            words = command
            if services:
                path = Path(folder) / f"{services}.json"
                items = objects(services, endpoints)
                path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
                words = [*command, str(path)]
            print(_line(name, aim, _medians(checkouts, words, arguments.runs)), flush=True)
    for checkout in checkouts:
        done = _run(checkout, ["-c", _TRANSLATION])
        found = json.loads(done.stdout)
        ratio = found["cold translation, 10,000 x 10"] / found["bare loop of as many lines"]
        print(f"{checkout}: {found}, ratio {ratio:.1f} (aim 1.8)")


def _medians(checkouts: list[Path], words: list[str], runs: int) -> list[float]:
    """The median time of a command in each checkout; a first run of each compiles and is lost."""
    times: list[list[float]] = [[] for _ in checkouts]
    for number in range(runs + 1):
        for checkout, found in zip(checkouts, times, strict=True):
            before = _processor()
            _run(checkout, ["-m", "nptables", *words])
            if number:
                found.append(_processor() - before)
    return [statistics.median(found) for found in times]


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _run(checkout: Path, words: list[str]) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    # Without compiled files every start would compile all.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return subprocess.run(
        [sys.executable, *words],
        cwd=checkout, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True, check=True,
    )  # fmt: skip


def _line(name: str, aim: float, found: list[float]) -> str:
    figures = "".join(f"{seconds:>10.3f} s" for seconds in found)
    ratio = f"   ratio {found[0] / found[1]:.2f}" if len(found) > 1 else ""
    return f"{name:24} aim {aim:>6.3f} s{figures}{ratio}"


if __name__ == "__main__":
    main()
