"""How fast a fleet is judged, and whether everybody is judged rightly.

    python benchmarks/fleet.py                       # 200 nodes, 1,000 Services of 10, 15 nodes ill
    python benchmarks/fleet.py --changes 20          # so many endpoints a second change meanwhile
    python benchmarks/fleet.py --broken 30           # so many percent cut off, garbage or missing
    python benchmarks/fleet.py --services 10000 --nodes 6 --healthy --workers 1
    python benchmarks/fleet.py --nodes 5000 --homes 200 --healthy

It makes a folder as `nptables collect` does, judges it as `nptables audit` does, and prints nodes a
second, memory, and every node that is judged otherwise than it was made. To make a node takes about
a second: with `--folder` a fleet is made once. With `--homes` the endpoints are on so many nodes,
and the others have the tables of one like them, under names and addresses of their own.
"""

from __future__ import annotations

import argparse
import gzip
import json
import multiprocessing
import random
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

sys.path.insert(0, str(Path(__file__).parents[1]))

from nptables import Cluster
from nptables.auditing import Judge, NodeResult, Options, group_causes, summary
from nptables.evidence.snapshot import to_document
from nptables.family import Family
from nptables.sources.fleet.folder import Change, Folder, snapshot_files
from nptables.sources.fleet.process_pool import judge_files
from nptables.sources.fleet.reading import Collection, read_collection, read_snapshot
from tests.support.fleets import CONFIG, ILLNESSES, NOW, VERSIONS, ZONES, Fleet, ill_nodes

# So many nodes are read at once, each in so many seconds; kube-proxy is behind by so many at most.
AT_ONCE, SECONDS, LATEST = 8, 2.0, 1.0


def main() -> int:
    """Make a fleet, judge it, and print the figures; exit 1 if anybody is judged wrongly."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, default=200)
    parser.add_argument("--services", type=int, default=1000)
    parser.add_argument("--endpoints", type=int, default=10)
    parser.add_argument("--dual", type=int, default=20, help="every so-many-th has both families")
    parser.add_argument("--homes", type=int, default=0, metavar="N", help="endpoints are on these")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--healthy", action="store_true", help="nobody is ill")
    parser.add_argument("--broken", type=int, default=0, metavar="PERCENT")
    parser.add_argument("--changes", type=int, default=0, metavar="N", help="so many a second")
    parser.add_argument("--folder", type=Path, help="where the fleet is made, or is already")
    options = parser.parse_args()
    fleet = Fleet(
        options.nodes, options.services, options.endpoints, options.dual, recent=20,
        homes=options.homes,
    )  # fmt: skip
    ill = {} if options.healthy else ill_nodes(fleet)
    with tempfile.TemporaryDirectory() as made:
        folder = options.folder or Path(made)
        broken = _make(fleet, ill, folder, options.broken, options.changes)
        found = read_collection(folder)
        assert found is not None
        wrong = _judge(fleet, ill, broken, folder, found, options.workers)
        _one_node(fleet, folder, found, set(ill) | broken)
    return 1 if wrong else 0


def _make(fleet: Fleet, ill: dict[int, str], path: Path, percent: int, changes: int) -> set[int]:
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
    shapes: dict[int, bytes] = {}
    for number, at in _moments(fleet, folder, changes):
        if number in ill:
            evidence = ILLNESSES[ill[number]][1](at, number)
        elif fleet.homes and number >= fleet.homes:
            _write_alike(at, number, families, folder, shapes)
            continue
        else:
            evidence = at.evidence(number, at.rules(number, families=families))
        name = fleet.name(number)
        folder.write_node(name, to_document(evidence))
        if number in broken:
            _break(folder.node_path(name), chance)
    folder.settle()
    print(f"made in {time.monotonic() - began:.0f} s", flush=True)
    return broken


def _moments(fleet: Fleet, folder: Folder, a_second: int) -> Iterator[tuple[int, Fleet]]:
    """The nodes, each with the cluster that its kube-proxy knew when it was read.

    What changes meanwhile is written down as the watches of `collect` do.
    """
    chance = random.Random(9)
    began = NOW.timestamp()
    read = {
        number: max(0.0, SECONDS * (number // AT_ONCE + 1) - chance.uniform(0, LATEST))
        for number in range(fleet.nodes)
    }
    cluster, passed, count = fleet.cluster, 0.0, 0
    for number in sorted(read, key=read.__getitem__):
        while a_second and passed + 1 / a_second <= read[number]:
            passed += 1 / a_second
            item = _changed(fleet, count, chance)
            folder.add_change(Change(began + passed, gone=False, item=item))
            cluster = _with(cluster, item)
            count += 1
        yield number, fleet.at(cluster) if count else fleet


def _changed(fleet: Fleet, count: int, chance: random.Random) -> dict[str, Any]:
    """A Service's endpoints, or now and then its node port, as they never were before."""
    number = chance.randrange(fleet.services)
    if count % 25 == 24:
        service = fleet.service(number)
        service["spec"]["ports"][0]["nodePort"] = 20000 + fleet.services + count
        return service
    first, size = chance.randrange(20), chance.randrange(1, fleet.endpoints)
    return fleet.slice(number, Family.IPV4, first=first, count=size)


def _with(cluster: Cluster, item: dict[str, Any]) -> Cluster:
    read = Cluster.from_objects([item], lenient=True)
    return attrs.evolve(
        cluster,
        services={**cluster.services, **read.services},
        slices={**cluster.slices, **read.slices},
    )


def _write_alike(
    fleet: Fleet,
    number: int,
    families: tuple[Family, ...],
    folder: Folder,
    shapes: dict[int, bytes],
) -> None:
    """Write a node without endpoints: its tables are those of every other one like it."""
    shape = number % (len(VERSIONS) * ZONES)
    if shape not in shapes:
        evidence = fleet.evidence(number, fleet.rules(number, families=families))
        tables = json.dumps(to_document(evidence)["tables"])
        shapes[shape] = gzip.compress(f"{tables[1:]}}}".encode(), 6, mtime=0)
    head = json.dumps(to_document(fleet.evidence(number, [])))
    assert head.endswith('"tables": []}')
    packed = gzip.compress(head.removesuffix("]}").encode(), 6, mtime=0)
    folder.node_path(fleet.name(number)).write_bytes(packed + shapes[shape])


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
    fleet: Fleet,
    ill: dict[int, str],
    broken: set[int],
    path: Path,
    found: Collection,
    workers: int,
) -> list[str]:
    files = snapshot_files(path)
    options = Options(CONFIG, movements=found.movements, watched=True)
    began = time.monotonic()
    results: list[NodeResult] = []
    memory: list[str] = []
    for result in judge_files(found.cluster, options, files.items(), workers):
        results.append(result)
        if len(results) in (len(files) // 10, len(files) // 2, len(files)):
            memory.append(f"{_memory():.0f} MB after {len(results)} nodes")
    took = time.monotonic() - began
    print(
        f"{len(results)} nodes in {took:.1f} s ({len(results) / took:.1f} nodes/s) by {workers} "
        f"workers; all processes together had {', '.join(memory)}"
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


def _one_node(fleet: Fleet, path: Path, found: Collection, but: set[int]) -> None:
    """Seconds of processor for a further node that is right, on one core."""
    judge = Judge(found.cluster, Options(CONFIG, movements=found.movements, watched=True))
    times: dict[str, list[float]] = {"read": [], "judge": []}
    for number in [n for n in range(fleet.nodes) if n not in but][:33]:
        began = time.process_time()
        snapshot = read_snapshot(Folder(path).node_path(fleet.name(number)))
        read = time.process_time()
        judge.judge(fleet.name(number), snapshot)
        times["read"].append(read - began)
        times["judge"].append(time.process_time() - read)
    for what, seconds in times.items():
        # The first of each version makes what the others share.
        later = sorted(seconds[3:] or seconds)
        print(f"{what}: median {later[len(later) // 2] * 1000:.0f} ms a node")
    print(f"largest process: {_largest():.0f} MB")


def _memory() -> float:
    """What this process and its workers have now, in MB; what they share counts once."""
    processes = ["self", *(str(each.pid) for each in multiprocessing.active_children())]
    rolled_up = (Path(f"/proc/{each}/smaps_rollup").read_text() for each in processes)
    lines = [line.split() for text in rolled_up for line in text.splitlines()]
    return sum(int(words[1]) for words in lines if words[0] == "Pss:") / 1024


def _largest() -> float:
    """The most that this process or a worker ever had, in MB."""
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(each).ru_maxrss for each in whose) / 1024


if __name__ == "__main__":
    sys.exit(main())
