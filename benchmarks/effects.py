"""What packets notice of changes in large clusters: how long it takes, and how much memory.

    python benchmarks/effects.py [SERVICES ENDPOINTS]

NodePort Services with so many endpoints each, seconds of CPU beyond reading the input, and the
peak of what is allocated beyond the rulesets, in MiB:

ten        10 Services have an endpoint more, another port, another policy or affinity
old        the rules as a kube-proxy 1.27 writes them, beside those of the newest
named      every chain has another name and every rule another comment
mark       masqueradeBit is another: every chain that masquerades differs, and no packet notices
forward    FORWARD drops a network in front of all else: every Service notices

Aims on two cores, wall clock: 1,000 x 10 ten 1 s, named 15 s; 10,000 x 10 ten 3 s; 300 MiB.
"""

from __future__ import annotations

import gc
import json
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import workload
from nptables import Cluster, Ruleset, compare_effects, translate
from nptables.effects import NodeState
from nptables.family import Family

_STRIDE = 7


def states(services: int, endpoints: int) -> dict[str, tuple[NodeState, NodeState]]:
    """The pairs that are compared, by name."""
    objects = workload.objects(services, endpoints)
    before = _state(objects)
    old = _state(objects, version="1.27")
    changed = list(objects)
    for number in range(10):
        place = number * _STRIDE
        changed[1 + place] = _changed_service(place, number)
        more = endpoints + (number % 3 == 0)
        changed[1 + services + place] = workload.endpoint_slice(place, more)
    text = before.rulesets[0].to_save()
    named = text.replace("KUBE-SVC-", "KUBE-OLD-").replace("KUBE-SEP-", "KUBE-END-")
    named = named.replace("KUBE-EXT-", "KUBE-XLB-").replace(' --comment "', ' --comment "old ')
    forward = text.replace("-A FORWARD", "-A FORWARD -s 10.9.0.0/16 -j DROP\n-A FORWARD", 1)
    return {
        "ten": (before, _state(changed)),
        "old": (old, before),
        "named": (_dump(named, before), before),
        "mark": (_dump(text.replace("0x4000", "0x8000"), before), before),
        "forward": (before, _dump(forward, before)),
    }


def _changed_service(place: int, number: int) -> dict[str, Any]:
    service = workload.service(place)
    if number % 3 == 1:
        service["spec"]["externalTrafficPolicy"] = "Local"
    elif number % 3 == 2:
        service["spec"]["sessionAffinity"] = "ClientIP"
    return service


def _state(objects: list[dict[str, Any]], version: str | None = None) -> NodeState:
    cluster = Cluster.from_objects(objects)
    config = workload.configuration(version)
    node = cluster.node(workload.NODE)
    return NodeState(translate(cluster, node, config, Family.IPV4), node, cluster, config)


def _dump(text: str, like: NodeState) -> NodeState:
    return NodeState(Ruleset.from_save(text), like.node, like.cluster, like.config)


def measure(services: int, endpoints: int) -> dict[str, float]:
    """The figures for so many Services with so many endpoints."""
    found: dict[str, float] = {"services": services, "endpoints": endpoints}
    for name, (before, after) in states(services, endpoints).items():
        gc.collect()
        began, used = time.perf_counter(), time.process_time()
        effects = compare_effects(before, after)
        found[f"{name}: CPU s"] = time.process_time() - used
        found[f"{name}: wall s"] = time.perf_counter() - began
        found[f"{name}: effects"] = len(effects.effects)
        found[f"{name}: only written differently"] = effects.cosmetic
        del effects
        for state in (before, after):
            for ruleset in state.rulesets:
                ruleset.derived.clear()
        gc.collect()
        tracemalloc.start()
        compare_effects(before, after)
        found[f"{name}: peak MiB"] = tracemalloc.get_traced_memory()[1] / 2**20
        tracemalloc.stop()
    return found


def main() -> None:
    """Measure, print a table and, as the last line, JSON."""
    services, endpoints = (int(word) for word in sys.argv[1:3] or (1_000, 10))
    figures = measure(services, endpoints)
    for name, value in figures.items():
        print(f"{name:44} {value:>14,.6g}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
