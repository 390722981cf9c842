"""How fast a fleet is judged, and whether everybody is judged rightly.

    python benchmarks/fleet.py                       # 200 nodes, 1,000 Services of 10, 15 nodes ill
    python benchmarks/fleet.py --services 10000 --nodes 6 --healthy --workers 1
    python benchmarks/fleet.py --nodes 5000 --healthy
    python benchmarks/fleet.py --broken 30           # so many percent cut off, garbage or missing

It makes a folder as `nptables collect` does, judges it as `nptables audit` does, and prints nodes a
second, memory, and every node that is judged otherwise than it was made. To make a node takes about
a second: with `--folder` a fleet is made once.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from nptables.auditing import Judge, NodeResult, Options, group_causes, summary
from nptables.evidence.snapshot import to_document
from nptables.family import Family
from nptables.sources.fleet.folder import Folder, snapshot_files
from nptables.sources.fleet.reading import read_snapshot
from nptables.sources.fleet.working import judge_files
from tests.support.fleets import CONFIG, ILLNESSES, Fleet, ill_nodes


def main() -> int:
    """Make a fleet, judge it, and print the figures; exit 1 if anybody is judged wrongly."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, default=200)
    parser.add_argument("--services", type=int, default=1000)
    parser.add_argument("--endpoints", type=int, default=10)
    parser.add_argument("--dual", type=int, default=20, help="every so-many-th has both families")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--healthy", action="store_true", help="nobody is ill")
    parser.add_argument("--broken", type=int, default=0, metavar="PERCENT")
    parser.add_argument("--folder", type=Path, help="where the fleet is made, or is already")
    options = parser.parse_args()
    fleet = Fleet(options.nodes, options.services, options.endpoints, options.dual, recent=20)
    ill = {} if options.healthy else ill_nodes(fleet)
    with tempfile.TemporaryDirectory() as made:
        folder = options.folder or Path(made)
        broken = _make(fleet, ill, folder, options.broken)
        wrong = _judge(fleet, ill, broken, folder, options.workers)
        _one_node(fleet, folder, set(ill) | broken)
    return 1 if wrong else 0


def _make(fleet: Fleet, ill: dict[int, str], path: Path, percent: int) -> set[int]:
    """Write the folder; returns the nodes whose files are broken or missing."""
    folder = Folder(path)
    chance = random.Random(7)
    broken = {n for n in range(fleet.nodes) if chance.randrange(100) < percent}
    if folder.holds_cluster:
        return broken
    folder.make()
    began = time.monotonic()
    folder.write_objects(fleet.objects)
    families = tuple(Family) if fleet.dual <= fleet.services else (Family.IPV4,)
    for number in range(fleet.nodes):
        if number in ill:
            evidence = ILLNESSES[ill[number]][1](fleet, number)
        else:
            evidence = fleet.evidence(number, fleet.rules(number, families=families))
        name = fleet.name(number)
        folder.write_node(name, to_document(evidence))
        if number in broken:
            _break(folder.node_path(name), chance)
    print(f"made in {time.monotonic() - began:.0f} s")
    return broken


def _break(path: Path, chance: random.Random) -> None:
    raw = path.read_bytes()
    match chance.randrange(4):
        case 0:
            path.write_bytes(raw[: len(raw) // 2])
        case 1:
            path.write_bytes(chance.randbytes(5000))
        case 2:
            path.unlink()
        case _:
            # The tables themselves end too early.
            document = json.loads(gzip.decompress(raw))
            text = document["tables"][0]["text"]
            document["tables"][0]["text"] = text[: len(text) * 2 // 3]
            path.write_bytes(gzip.compress(json.dumps(document).encode()))


def _judge(
    fleet: Fleet, ill: dict[int, str], broken: set[int], path: Path, workers: int
) -> list[str]:
    before = _memory()
    began = time.monotonic()
    results: list[NodeResult] = []
    files = snapshot_files(path)
    halfway = 0.0
    for result in judge_files(fleet.cluster, Options(CONFIG, watched=True), files.items(), workers):
        results.append(result)
        if len(results) == len(files) // 2:
            halfway = _memory()
    took = time.monotonic() - began
    print(
        f"{len(results)} nodes in {took:.1f} s ({len(results) / took:.1f} nodes/s) by {workers} "
        f"workers; peak of this process {before:.0f} MB before, {halfway:.0f} MB halfway, "
        f"{_memory():.0f} MB at the end; largest worker {_memory(resource.RUSAGE_CHILDREN):.0f} MB"
    )
    print(json.dumps(summary(results)))
    wrong = []
    judged = {result.name: result for result in results}
    for number in range(fleet.nodes):
        result = judged.get(fleet.name(number))
        wanted = ILLNESSES[ill[number]][0] if number in ill else ""
        if number in broken:
            if result is not None and result.verdict.value != "unreadable":
                wrong.append(f"{fleet.name(number)}: broken, and {result.verdict.value}")
        elif result is None:
            wrong.append(f"{fleet.name(number)}: no result")
        elif {cause.code.code for cause in result.causes} != ({wanted} if wanted else set()):
            seen = [f"{cause.code.code} {cause.message}" for cause in result.causes]
            wrong.append(f"{fleet.name(number)} ({ill.get(number, 'healthy')}): {seen}")
    for cause in group_causes(results):
        print(f"  {cause.code.code} {cause.code.name}: {len(cause.nodes)} nodes; {cause.message}")
    print("\n".join(wrong) or "everybody is judged rightly")
    return wrong


def _one_node(fleet: Fleet, path: Path, but: set[int]) -> None:
    """Seconds of processor for a further node that is right, on one core."""
    judge = Judge(fleet.cluster, Options(CONFIG, watched=True))
    times: dict[str, list[float]] = {"read": [], "judge": []}
    for number in [n for n in range(fleet.nodes) if n not in but][:33]:
        began = time.process_time()
        snapshot = read_snapshot(Folder(path).node_path(fleet.name(number)))
        read = time.process_time()
        judge.judge(fleet.name(number), snapshot)
        times["read"].append(read - began)
        times["judge"].append(time.process_time() - read)
    for what, found in times.items():
        # The first of each version makes what the others share.
        later = sorted(found[3:] or found)
        print(f"{what}: median {later[len(later) // 2] * 1000:.0f} ms a node")


def _memory(whose: int = resource.RUSAGE_SELF) -> float:
    return resource.getrusage(whose).ru_maxrss / 1024


if __name__ == "__main__":
    sys.exit(main())
