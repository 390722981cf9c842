"""What translation costs, from scratch and change by change, in a process of its own.

    python benchmarks/translating.py SERVICES ENDPOINTS [KUBE-PROXY-VERSION]

prints one line of JSON. Times are seconds of CPU, which for work that never waits is what an idle
machine takes: the best of several for whole clusters, the median of 40 for single changes. Memory
is in MB. The collector runs as Python sets it up, unless a name says `paused`.
"""

from __future__ import annotations

import gc
import json
import re
import statistics
import sys
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

from benchmarks.workload import (
    FAMILY,
    NODE,
    configuration,
    endpoint_slice,
    objects,
    service,
)
from nptables import Cluster, ProxyConfig, Ruleset, translate
from nptables.incremental import Changes, IncrementalTranslator
from nptables.model import Node

ROLLING = 50


def main() -> None:
    """Measure one size."""
    services, endpoints, *version = sys.argv[1:]
    print(json.dumps(measure(int(services), int(endpoints), version[0] if version else None)))


def measure(services: int, endpoints: int, version: str | None = None) -> dict[str, Any]:
    """Everything there is to measure without a kernel."""
    found: dict[str, Any] = {"services": services, "endpoints": endpoints}
    before = memory()["VmRSS"]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects(services, endpoints)})
    started = time.process_time()
    cluster = Cluster.from_objects([json.loads(text)])
    found["json to model"] = time.process_time() - started
    found["json MB"] = len(text) / 1e6
    del text
    node, config = cluster.node(NODE), configuration(version)
    found["plain loop"] = best(3, lambda: plain_loop(services, endpoints))

    found |= whole(cluster, node, config)
    started = time.process_time()
    translator = IncrementalTranslator.of(cluster, node, config, FAMILY)
    found["model to translator"] = time.process_time() - started
    del cluster
    gc.collect()
    found["resident MB"] = memory()["VmRSS"] - before
    found |= Changing(translator, services, endpoints).measure()
    found["peak MB"] = memory()["VmHWM"]
    return found


def whole(cluster: Cluster, node: Node, config: ProxyConfig) -> dict[str, Any]:
    """From a model to text, and back to a ruleset."""

    def cold() -> str:
        return translate(cluster, node, config, FAMILY).to_save()

    found: dict[str, Any] = {"model to text": best(5, cold)}
    gc.disable()
    found["model to text, collector paused"] = best(5, cold)
    gc.enable()
    save = cold()
    found["text MB"] = len(save) / 1e6
    found["lines"] = save.count("\n-A ")
    found["text to ruleset"] = best(3, lambda: Ruleset.from_save(save))
    return found


def best(times: int, work: Callable[[], object]) -> float:
    """The shortest of several runs, each without what the one before left behind."""
    found = []
    for _ in range(times):
        gc.collect()
        started = time.process_time()
        result = work()
        found.append(time.process_time() - started)
        del result
    return min(found)


def plain_loop(services: int, endpoints: int) -> list[str]:
    """What Python needs at least: as many lines formatted, as many names hashed."""
    lines = []
    for number in range(services):
        name = f"team-{number % 50:02}/web-{number:05}:http"
        for place in range(endpoints):
            to = f"10.0.{number & 255}.{place}:8080"
            chain = "KUBE-SEP-" + sha256(f"{name}tcp{to}".encode()).hexdigest()[:16]
            lines.append(f"-A KUBE-SVC-{number:016} -m statistic --mode random -j {chain}")
            lines.append(f"-A {chain} -s {to}/32 -j KUBE-MARK-MASQ")
            lines.append(f"-A {chain} -p tcp -m tcp -j DNAT --to-destination {to}")
        lines += [f'-A KUBE-SERVICES -p tcp -m comment --comment "{name} {n}"' for n in range(4)]
    return lines


def memory() -> dict[str, float]:
    """Resident memory now and at its peak, in MB."""
    status = Path("/proc/self/status").read_text()
    return {
        name: int(size) / 1024 for name, size in re.findall(r"(VmHWM|VmRSS):\s+(\d+) kB", status)
    }


class Changing:
    """Changes of many kinds to a translator that holds a cluster."""

    def __init__(self, translator: IncrementalTranslator, services: int, endpoints: int) -> None:
        self.translator = translator
        self.services = services
        self.endpoints = endpoints

    def measure(self) -> dict[str, Any]:
        """The time from read objects to text for the kernel, and the bytes of that."""
        found: dict[str, Any] = {}
        some = [n * (self.services // 40) for n in range(40)]
        kinds: dict[str, Callable[[int], Changes]] = {
            "one endpoint added": lambda n: self.slice_of(n, self.endpoints + 1),
            "one endpoint removed": lambda n: self.slice_of(n, self.endpoints),
            "one endpoint not ready": lambda n: self.slice_of(n, self.endpoints, ready=False),
            "one endpoint ready again": lambda n: self.slice_of(n, self.endpoints),
        }
        for name, kind in kinds.items():
            found |= self.repeated(name, [kind(number) for number in some])
        new = [self.new_service(self.services + n, self.endpoints) for n in range(40)]
        found |= self.repeated("one Service added", new)
        found |= self.repeated("one Service removed", [gone(changes) for changes in new])
        rolled = self.new_service(self.services, ROLLING)
        self.run(rolled)
        steps = [self.slice_of(self.services, ROLLING, first=n % 14) for n in range(1, ROLLING + 1)]
        done = [self.run(changes) for changes in steps]
        found["rolling update of 50 endpoints"] = sum(seconds for seconds, _ in done)
        found["rolling update of 50 endpoints, bytes"] = sum(size for _, size in done)
        self.run(gone(rolled))
        count = min(1000, self.services)
        many = Changes()
        for number in range(count):
            many = Changes(
                slices={**many.slices, **self.slice_of(number, self.endpoints + 1).slices}
            )
        seconds, size = self.run(many)
        found[f"{count} changes at once"] = seconds
        found[f"{count} changes at once, bytes"] = size
        return found

    def repeated(self, name: str, changes: list[Changes]) -> dict[str, Any]:
        """The median of several changes of a kind."""
        done = [self.run(one) for one in changes]
        return {
            name: statistics.median(seconds for seconds, _ in done),
            f"{name}, bytes": statistics.median(size for _, size in done),
        }

    def run(self, changes: Changes) -> tuple[float, int]:
        """Seconds from changes to text and to a translator that holds them, and bytes of text."""
        started = time.process_time()
        update = self.translator.prepare(changes)
        text = update.plan().to_restore()
        self.translator.accept(update)
        return time.process_time() - started, len(text)

    @staticmethod
    def slice_of(number: int, endpoints: int, *, first: int = 0, ready: bool = True) -> Changes:
        """A Service's slice with so many endpoints, the last of them ready or not."""
        raw = endpoint_slice(number, endpoints, first=first)
        raw["endpoints"][-1]["conditions"]["ready"] = ready
        return Changes(slices=dict(Cluster.from_objects([raw]).slices))

    @staticmethod
    def new_service(number: int, endpoints: int) -> Changes:
        """A Service with its slice."""
        cluster = Cluster.from_objects([service(number), endpoint_slice(number, endpoints)])
        return Changes(dict(cluster.services), dict(cluster.slices))


def gone(changes: Changes) -> Changes:
    """The same objects, gone."""
    return Changes(dict.fromkeys(changes.services), dict.fromkeys(changes.slices))


if __name__ == "__main__":
    main()
