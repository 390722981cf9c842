"""What it costs to judge a tree of manifests, and foreign files in it.

    python benchmarks/trees.py [--files 5000] [--services 500] [--foreign 100000]

Prints processor seconds, the least of three runs each.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from nptables.checks import check_cluster
from nptables.model import ProxyConfig
from nptables.sources import load_sets

_WEB = """\
apiVersion: v1
kind: Service
metadata: {{name: web{number}, namespace: shop}}
spec: {{selector: {{app: w{number}}}, ports: [{{port: 80}}]}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web{number}, namespace: shop}}
spec:
  selector: {{matchLabels: {{app: w{number}}}}}
  template:
    metadata: {{labels: {{app: w{number}}}}}
    spec: {{containers: [{{name: web, image: web, ports: [{{containerPort: 80}}]}}]}}
"""
_OTHER = "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c{number}}}\n"


def main() -> None:
    """Write a tree, judge it, write foreign files into it, judge it again."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--services", type=int, default=500)
    parser.add_argument("--foreign", type=int, default=100_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for number in range(options.files):
            text = _WEB if number < options.services else _OTHER
            folder = root / f"team{number % 50}"
            folder.mkdir(exist_ok=True)
            (folder / f"{number}.yaml").write_text(text.format(number=number))
        print(f"{options.files} files, {options.services} Services: {seconds(root):.2f} s")
        (root / "foreign").mkdir()
        for number in range(options.foreign):
            suffix = ("json", "md")[number % 2]
            (root / "foreign" / f"{number}.{suffix}").write_text('{"a": "b"}')
        print(f"with {options.foreign} foreign files: {seconds(root):.2f} s")


def seconds(root: Path) -> float:
    """Processor seconds for reading and checking a tree."""

    def once() -> float:
        start = time.process_time()
        for judged in load_sets(root).judged:
            list(check_cluster(judged.cluster, ProxyConfig()))
        return time.process_time() - start

    return min(once() for _ in range(3))


if __name__ == "__main__":
    main()
