"""How long a 100 MB `kubectl get -o json` takes to become a cluster, and how much memory.

    python benchmarks/load.py [SERVICES ENDPOINTS]

Time and peak memory are those of a process of its own that does nothing else.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_MEASURE = """
import pathlib, re, sys, time
from nptables.sources import load

def most():
    return int(re.search(r"VmHWM:\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text())[1])

before = most()
cpu, started = time.process_time(), time.perf_counter()
cluster = load(sys.argv[1]).cluster
seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
peak = most()
print(f"{seconds:.2f} s ({cpu:.2f} s of processor), "
      f"{peak / 1024:.0f} MB at the peak ({before / 1024:.0f} MB before), "
      f"{len(cluster.services)} Services, {sum(len(s.endpoints) for s in cluster.slices.values())} "
      "endpoints")
"""


def main() -> None:
    """Write a cluster of the size that is asked for, and load it three times."""
    sys.path[:0] = [str(Path(__file__).parent), str(ROOT)]
    from workload import objects  # noqa: PLC0415 - a sibling, whatever directory this runs in

    services, endpoints = (int(text) for text in sys.argv[1:3] or ("10000", "10"))
    document = {"apiVersion": "v1", "kind": "List", "items": objects(services, endpoints)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cluster.json"
        path.write_text(json.dumps(document, indent=4, sort_keys=True))
        print(f"{path.stat().st_size / 1e6:.0f} MB of JSON")
        for _ in range(3):
            subprocess.run([sys.executable, "-c", _MEASURE, str(path)], check=True, cwd=ROOT)


if __name__ == "__main__":
    main()
