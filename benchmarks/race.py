"""`nptables run` beside kube-proxy's shape of work, before and after a change, in one run.

    python benchmarks/race.py [--before COMMIT] [--rounds 5] [--works legacy:1000,nft:1000,...]
                              [--changes 20] [--json FILE]

Needs root. For each work (a backend and a number of Services with 10 endpoints each) it prints the
medians of so many rounds, in which the contenders take turns, each in a network namespace of its
own and with the same API server:

- start to first sync: from the start of the process to the log line that says so;
- own figure: what the agent's metric kubeproxy_sync_full_proxy_rules_duration_seconds has for it;
- a change: the same for one endpoint that comes or goes, the median of so many changes;
- processor: what the process and the programs that it started used for these, which says something
  on a busy machine too;
- memory: resident after these, and at the peak, with a verification of all rules in between.

kube-proxy itself is not here. Its *shape* is: the lists are read from the API server and thrown
away, then one save of nat, one restore of everything, and for a change one restore of all shared
chains and the chains of that Service (see benchmarks/following.py); the texts are ready. What the
real kube-proxy took on another day and machine is in PROXY, from the project's design notes.

`--before` is a commit whose `nptables` runs as a third contender. With BESIDE, the commit that was
measured beside the real kube-proxy, the ratio to kube-proxy follows: what the commit had there, by
how much less this machine needs now.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

from benchmarks.apiserver import PATHS  # noqa: E402 (the path comes first)
from benchmarks.following import partial_text, whole_text  # noqa: E402
from benchmarks.workload import (  # noqa: E402
    FAMILY,
    NODE,
    cluster_and_node,
    configuration,
    endpoint_slice,
)
from nptables import Cluster, translate  # noqa: E402
from nptables.incremental import Changes, IncrementalTranslator  # noqa: E402
from tests.support.netns import Backend, Namespace, network_namespace  # noqa: E402

ENDPOINTS = 10
PORT = 18001
START, OWN, CHANGE = "start to first sync, s", "own figure of it, s", "a change, s"
START_USED, CHANGE_USED = "processor to first sync, s", "processor for a change, s"
RESIDENT, PEAK = "MB resident", "MB at the peak"
SHAPE, BEFORE, NOW = "kube-proxy's shape", "before", "now"
# kube-proxy 1.30.3 on a quiet machine of two cores, and what is aimed at, as a ratio to it.
PROXY = {
    "legacy:1000": {START: 0.79, OWN: 0.37, CHANGE: 0.127, PEAK: 92.0},
    "legacy:10000": {START: 9.1, OWN: 8.0, CHANGE: 1.59, PEAK: 411.0},
    "nft:1000": {START: 6.6, OWN: 6.2, CHANGE: 0.127, PEAK: 92.0},
}
# What nptables at this commit took in the same run.
BESIDE = "25af245"
THEN = {
    "legacy:1000": {START: 1.06, OWN: 0.55, CHANGE: 0.095, PEAK: 95.0},
    "legacy:10000": {START: 11.7, OWN: 9.5, CHANGE: 1.21, PEAK: 403.0},
    "nft:1000": {START: 1.58, OWN: 1.04, CHANGE: 0.047, PEAK: 95.0},
}
AIMS = {
    "legacy:1000": {START: 1.0, OWN: 1.0, CHANGE: 0.65, PEAK: 0.8},
    "legacy:10000": {START: 1.0, OWN: 1.0, CHANGE: 0.6, PEAK: 0.8},
    "nft:1000": {START: 0.15, OWN: 0.1, CHANGE: 0.25, PEAK: 0.8},
}
# One restore of 350,000 lines takes nft more than a quarter of an hour.
MOST_FOR_NFT = 1000

Figures = dict[str, float]


def main() -> None:
    """Race, print a table for each work, and write JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--before", metavar="COMMIT")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--changes", type=int, default=20)
    parser.add_argument("--works", default="legacy:1000,nft:1000,legacy:10000,nft:10000")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--shape", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.shape:
        print(json.dumps(shape(options.shape)))
        return
    print(f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}")
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        trees = {NOW: ROOT}
        if options.before:
            trees[BEFORE] = extracted(options.before, Path(folder, "before"))
        for tree in trees.values():
            subprocess.run(
                [sys.executable, "-m", "compileall", "-q", tree / "nptables"], check=True
            )
        for work in options.works.split(","):
            found[work] = race(work, trees, options, Path(folder))
            show(work, found[work], options.before)
            if options.json:
                options.json.write_text(json.dumps(found, indent=1) + "\n")


def extracted(commit: str, folder: Path) -> Path:
    """The package as it was at a commit."""
    folder.mkdir()
    tar = subprocess.run(
        ["git", "archive", commit, "nptables"], cwd=ROOT, capture_output=True, check=True
    )
    subprocess.run(["tar", "-x", "-C", folder], input=tar.stdout, check=True)
    return folder


def race(
    work: str, trees: dict[str, Path], options: argparse.Namespace, folder: Path
) -> dict[str, list[Figures]]:
    """The figures of every round, by contender."""
    kind, services = work.split(":")
    backend: Backend = "nft" if kind == "nft" else "legacy"
    number = int(services)
    shaped = backend == "legacy" or number <= MOST_FOR_NFT
    if shaped:
        texts(folder, number)
    found: dict[str, list[Figures]] = {}
    for turn in range(options.rounds):
        # Whoever comes first in one round comes last in the next.
        names = [*([SHAPE] if shaped else []), *sorted(trees)][:: 1 if turn % 2 == 0 else -1]
        for name in names:
            with network_namespace(backend) as namespace:
                namespace.run(["ip", "link", "set", "lo", "up"])
                with serving(namespace, number) as server:
                    if name == SHAPE:
                        figures = shape_in(namespace, folder, options.changes)
                    else:
                        figures = agent(namespace, trees[name], server, folder, number, options)
            found.setdefault(name, []).append(figures)
            print(f"  {work} {name}: {figures}, load {os.getloadavg()[0]:.1f}", file=sys.stderr)
    return found


def show(work: str, rounds: dict[str, list[Figures]], commit: str | None) -> None:
    """One table: medians, and what is now as a ratio."""
    medians: dict[str, Figures] = {
        name: {figure: statistics.median(f[figure] for f in runs) for figure in runs[0]}
        for name, runs in rounds.items()
    }
    names = [name for name in (SHAPE, BEFORE, NOW) if name in medians]
    then = THEN.get(work, {}) if commit == BESIDE else {}
    heads = [*names, "now / shape", "kube-proxy", "now / kube-proxy", "aim"]
    print(f"\n{work} x {ENDPOINTS}, medians of {len(rounds[NOW])}")
    print(" " * 28 + "".join(f"{head:>19}" for head in heads))
    for figure in (START, OWN, CHANGE, START_USED, CHANGE_USED, RESIDENT, PEAK):
        now = medians[NOW][figure]
        shaped = medians.get(SHAPE, {}).get(figure)
        proxy = PROXY.get(work, {}).get(figure)
        cells = [*(medians[name].get(figure) for name in names)]
        cells += [now / shaped if shaped else None, proxy]
        known = proxy and figure in then
        cells.append(now / medians[BEFORE][figure] * then[figure] / proxy if known else None)
        cells.append(AIMS.get(work, {}).get(figure))
        print(f"{figure:28}" + "".join(f"{_cell(cell):>19}" for cell in cells))


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}" if value < 20 else f"{value:.0f}"


@contextlib.contextmanager
def serving(namespace: Namespace, services: int) -> Iterator[subprocess.Popen[str]]:
    """The API server inside the namespace; objects written to its input are changes."""
    program = [sys.executable, ROOT / "benchmarks" / "apiserver.py"]
    argv = ["ip", "netns", "exec", namespace.name, *program, *map(str, (PORT, services, ENDPOINTS))]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin
        assert server.stdout
        server.stdout.readline()
        try:
            yield server
        finally:
            server.stdin.close()
            server.wait(30)


def agent(
    namespace: Namespace,
    tree: Path,
    server: subprocess.Popen[str],
    folder: Path,
    services: int,
    options: argparse.Namespace,
) -> Figures:
    """One start of an agent, and changes."""
    kubeconfig, config, log = folder / "kubeconfig", folder / "config", folder / "log"
    kubeconfig.write_text(
        json.dumps(
            {
                "current-context": "race",
                "contexts": [{"name": "race", "context": {"cluster": "race", "user": "race"}}],
                "clusters": [{"name": "race", "cluster": {"server": f"http://127.0.0.1:{PORT}"}}],
                "users": [{"name": "race", "user": {}}],
            }
        )
    )
    config.write_text(
        json.dumps(
            {
                "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
                "kind": "KubeProxyConfiguration",
                "clusterCIDR": "10.0.0.0/8",
                "iptables": {"minSyncPeriod": "10ms", "syncPeriod": "1h"},
            }
        )
    )
    log.write_bytes(b"")
    argv = ["ip", "netns", "exec", namespace.name, sys.executable, "-m", "nptables", "run"]
    argv += ["--node", NODE, "--kubeconfig", str(kubeconfig), "--config", str(config)]
    argv += ["--backend", namespace.backend, "--run-dir", str(folder / "run"), "-4"]
    # Later verifications are no part of what a change costs.
    argv += ["--no-prepare", "-v", "--check-period", "1h", "--verify-period", "1h"]
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    started = time.time()
    with log.open("ab") as errors:
        process = subprocess.Popen(argv, stderr=errors, env=environment, cwd=folder)
    try:
        first = logged(log, "synced for the first time")
        used = processor(process.pid)
        if tree == ROOT:
            logged(log, "verified")
        before = processor(process.pid)
        changed = []
        for number in range(options.changes):
            time.sleep(0.2)
            which = number // 2 * 7 % services
            put(server, endpoint_slice(which, ENDPOINTS + 1 - number % 2))
            changed.append(logged(log, "synced", number)["seconds"])
        status = Path(f"/proc/{process.pid}/status").read_text()
        changing = (processor(process.pid) - before) / options.changes
    finally:
        process.terminate()
        process.wait(60)
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    return {
        START: datetime.fromisoformat(first["time"]).timestamp() - started,
        OWN: first["seconds"],
        CHANGE: statistics.median(changed),
        START_USED: used,
        CHANGE_USED: changing,
        RESIDENT: int(fields["VmRSS"].split()[0]) / 1024,
        PEAK: int(fields["VmHWM"].split()[0]) / 1024,
    }


def processor(pid: int) -> float:
    """Seconds that a process and the programs which it waited for have used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def put(server: subprocess.Popen[str], changed: dict[str, Any]) -> None:
    """Have the API server tell of a change."""
    assert server.stdin
    server.stdin.write(json.dumps(changed) + "\n")
    server.stdin.flush()


def logged(log: Path, event: str, number: int = 0) -> dict[str, Any]:
    """The event of that number with exactly this text, once it is logged."""
    until = time.monotonic() + 1800
    while time.monotonic() < until:
        lines = [line for line in log.read_text().splitlines() if line.endswith("}")]
        found = [one for one in map(json.loads, lines) if one["event"] == event]
        if len(found) > number:
            entry: dict[str, Any] = found[number]
            return entry
        time.sleep(0.01)
    raise SystemExit(f"no {event!r} in the log:\n{log.read_text()[-2000:]}")


def texts(folder: Path, services: int) -> None:
    """What kube-proxy would feed for the whole cluster, and for one endpoint more or less."""
    cluster, node = cluster_and_node(services, ENDPOINTS)
    desired = translate(cluster, node, configuration(), FAMILY)
    (folder / "whole").write_text(whole_text(desired))
    translator = IncrementalTranslator(node, configuration(), FAMILY)
    translator.accept(translator.prepare(Changes.everything(cluster, node, configuration())))
    for name, count in (("more", ENDPOINTS + 1), ("fewer", ENDPOINTS)):
        changed = Cluster.from_objects([endpoint_slice(0, count)])
        update = translator.prepare(Changes(slices=changed.slices))
        translator.accept(update)
        (folder / name).write_text(partial_text(translator.translation(), update.after.values()))


def shape_in(namespace: Namespace, folder: Path, changes: int) -> Figures:
    """kube-proxy's shape of work inside a namespace."""
    (folder / "shape").write_text(
        json.dumps({"backend": namespace.backend, "folder": str(folder), "changes": changes})
    )
    argv = [sys.executable, str(ROOT / "benchmarks" / "race.py"), "--shape", str(folder / "shape")]
    found: Figures = json.loads(namespace.run(argv).stdout)
    return found


def shape(asked: Path) -> Figures:
    """One save of nat, one restore of everything, one restore a change; in this namespace."""
    options = json.loads(asked.read_text())
    program = f"iptables-{options['backend']}"
    folder = Path(options["folder"])

    def fed(name: str) -> float:
        started = time.perf_counter()
        with (folder / name).open() as text:
            argv = [f"{program}-restore", "-w", "60", "--noflush", "--counters"]
            subprocess.run(argv, stdin=text, check=True)
        return time.perf_counter() - started

    began = sum(os.times()[:4])
    started = time.perf_counter()
    for path in PATHS.values():
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT}{path}") as answer:
            answer.read()
    listed = time.perf_counter()
    argv = [f"{program}-save", "-t", "nat"]
    subprocess.run(argv, stdout=subprocess.DEVNULL, check=True)
    fed("whole")
    synced = time.perf_counter()
    first = sum(os.times()[:4])
    changed = [fed("fewer" if number % 2 else "more") for number in range(options["changes"])]
    return {
        START: synced - started,
        OWN: synced - listed,
        CHANGE: statistics.median(changed),
        START_USED: first - began,
        CHANGE_USED: (sum(os.times()[:4]) - first) / options["changes"],
    }


if __name__ == "__main__":
    main()
