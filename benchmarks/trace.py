"""Follow packets through the rules of 10,000 Services with 10 endpoints each.

Prints the CPU time of the first trace of a ruleset in memory, of further ones (each to another
Service), and what the tracer adds to the memory that the ruleset takes. Aims: 0.25 s, 5 ms, at
most doubled.

    python benchmarks/trace.py [SERVICES ENDPOINTS]
"""

from __future__ import annotations

import gc
import json
import statistics
import sys
import time
import tracemalloc
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import workload
from nptables import Ruleset, translate
from nptables.family import Family
from nptables.model import Cluster, Node
from nptables.tracing import Packet, trace

_FURTHER = 500


def measure(services: int, endpoints: int) -> dict[str, float]:
    """The figures for so many Services with so many endpoints."""
    cluster, node = workload.cluster_and_node(services, endpoints)
    rules = translate(cluster, node, workload.configuration(), Family.IPV4)
    parsed = Ruleset.from_save(rules.to_save())
    found = {"services": services, "endpoints": endpoints, "rules": rules.rule_count()}
    for name, ruleset, known in (("translated", rules, cluster), ("dump", parsed, None)):
        times = _times(ruleset, node, known, services)
        found[f"{name}: first trace, CPU s"] = times[0]
        found[f"{name}: further traces, median CPU s"] = statistics.median(times[1:])
        # Now and then a trace pays for a collection of all the objects that are in memory.
        found[f"{name}: further traces, 99 % below, CPU s"] = sorted(times[1:])[
            _FURTHER * 99 // 100
        ]
        found[f"{name}: further traces, worst CPU s"] = max(times[1:])
    return found | _memory(rules.to_save(), node, services)


def _times(ruleset: Ruleset, node: Node, cluster: Cluster | None, services: int) -> list[float]:
    times = []
    gc.collect()
    for number in range(_FURTHER + 1):
        packet = _packet(number * 7919 % services, node, by_node_port=number % 2 == 0)
        began = time.process_time()
        answer = trace(ruleset, packet, node, cluster)
        times.append(time.process_time() - began)
        if not answer.arrives:
            message = f"{packet} does not arrive: {answer.reasons}"
            raise AssertionError(message)
    return times


def _packet(number: int, node: Node, *, by_node_port: bool) -> Packet:
    spec = workload.service(number)["spec"]
    port = spec["ports"][0]
    if by_node_port:
        return Packet(node.address(Family.IPV4), port["nodePort"])
    return Packet(spec["clusterIP"], port["port"])


def _memory(text: str, node: Node, services: int) -> dict[str, float]:
    """Mebibytes of a parsed ruleset, and with all that traces left behind."""
    gc.collect()
    tracemalloc.start()
    ruleset = Ruleset.from_save(text)
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(_FURTHER):
        packet = _packet(number * 7919 % services, node, by_node_port=number % 2 == 0)
        trace(ruleset, packet, node)
    gc.collect()
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return {"memory before, MiB": before / 2**20, "memory after, MiB": after / 2**20}


def main() -> None:
    """Measure, print a table and, as the last line, JSON."""
    services, endpoints = (int(word) for word in sys.argv[1:3] or (10_000, 10))
    figures = measure(services, endpoints)
    for name, value in figures.items():
        print(f"{name:52} {value:>14,.6g}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
