"""What the agent costs: start to first sync, change to kernel, start again, processor, memory.

    python benchmarks/agent.py [--services 1000] [--endpoints 10] [--backend nft] [--changes 200]
                               [--soak SECONDS] [--writer SECONDS] [--list] [--json FILE]

Needs root. The API server of the tests runs in this process, the agent in one of its own inside a
network namespace. A change is timed from the moment the server has it to the agent's log line
that says that the kernel has it. With --writer somebody else commits every so many seconds.

`--soak 1200` goes on with 20 changes a second for 20 minutes, with the checks and verifications
that every agent makes. It ends with exit code 1 where memory or descriptors have grown from the
middle to the end, or where the kernel does not hold what a translation from scratch gives.
"""

from __future__ import annotations

import argparse
import contextlib
import http.server
import json
import multiprocessing
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.workload import endpoint_slice, service
from tests.support.agents import AgentProcess, descriptors, running
from tests.support.apiserver import ApiServer
from tests.support.netns import network_namespace
from tests.support.objects import node
from tests.support.writers import CHAIN, Writer, committing

LATER = ("--check-period", "1h", "--verify-period", "1h")

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.netns import Namespace


def main() -> None:
    """Measure, print a table, and write JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--services", type=int, default=1000)
    parser.add_argument("--endpoints", type=int, default=10)
    parser.add_argument("--backend", choices=["legacy", "nft"], default="nft")
    parser.add_argument("--changes", type=int, default=200)
    parser.add_argument("--soak", type=float, default=0, metavar="SECONDS")
    parser.add_argument("--writer", type=float, default=0, metavar="SECONDS")
    parser.add_argument("--list", action="store_true", help="only list, and turn into the model")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = listing(options) if options.list else measure(options)
    for name, value in found.items():
        print(f"{name:32} {value}")
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")
    if options.soak and (grown := growth(found)):
        sys.exit(grown)


def growth(found: dict[str, Any]) -> str:
    """What a soak must not end with, in words; empty where all is well."""
    middle, end = (found[f"MB resident soak {part}"] for part in ("middle", "end"))
    if end > middle * 1.05 + 1:
        return f"memory grew from {middle} to {end} MB in the second half"
    middle, end = (found[f"descriptors soak {part}"] for part in ("middle", "end"))
    if end > middle:
        return f"descriptors grew from {middle} to {end} in the second half"
    return "" if found["soak: kernel as from scratch"] else "the kernel is not as it should be"


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All figures, by name."""
    found: dict[str, Any] = {
        "size": f"{options.services} x {options.endpoints}",
        "backend": options.backend,
    }
    with (
        tempfile.TemporaryDirectory() as folder,
        network_namespace(options.backend) as namespace,
    ):
        namespace.run(["ip", "link", "set", "lo", "up"])
        with ApiServer(namespace=namespace.name) as server:
            server.put(node())
            for number in range(options.services):
                server.put(service(number), endpoint_slice(number, options.endpoints))
            agent = AgentProcess(
                namespace,
                server,
                Path(folder),
                # Verifications are no part of what a change costs.
                options=(*(() if options.soak else LATER), "-4"),
                config={"iptables": {"minSyncPeriod": "10ms", "syncPeriod": "30s"}},
            )
            others = contextlib.ExitStack()
            writer = None
            if options.writer:
                writer = others.enter_context(committing(namespace, options.writer))
            started = time.time()
            with others, running(agent):
                first = wait_for_log(agent, "synced for the first time", 600)
                found["start to first sync, s"] = round(logged_at(first) - started, 2)
                found["of it the sync itself, s"] = round(first["seconds"], 2)
                found |= memory(agent, "after the first sync")
                if not options.writer:
                    # A change meanwhile would be part of it.
                    wait_for_log(agent, "verified", 600)
                found |= changes(agent, options)
                if options.soak:
                    found |= soak(agent, options)
                found |= memory(agent, "at the end")
                if writer is not None:
                    found |= under_a_writer(agent, writer, namespace)
            started = time.time()
            with running(agent):
                first = wait_for_log(agent, "synced for the first time", 600, starts=2)
                found["start where the rules are there, s"] = round(logged_at(first) - started, 2)
    return found


def under_a_writer(agent: AgentProcess, writer: Writer, namespace: Namespace) -> dict[str, Any]:
    """How the kernel is once the writer pauses, and how long it takes the agent to know it."""
    unverified = len(agent.log("not verified"))
    writer.stop()
    paused = time.monotonic()
    while agent.status()["families"][0]["unverified"]:
        time.sleep(0.1)
    verified = time.monotonic() - paused
    chain = f"-A {CHAIN} "
    left = [line for line in namespace.save("IPV4").splitlines() if line.startswith(chain)]
    return {
        "commits of the other": writer.commits,
        "starved readings that were logged": unverified,
        "pause to verified, s": round(verified, 1),
        "left to do in the kernel": agent.difference() or "nothing",
        "rules of the other": "all there" if left == writer.rules else "LOST",
    }


def listing(options: argparse.Namespace) -> dict[str, Any]:
    """Listing everything from a server that has its pages ready, in a process of its own."""
    pages = dict(rendered(options))
    ready: Any = multiprocessing.SimpleQueue()
    serving = multiprocessing.Process(target=serve, args=(pages, ready), daemon=True)
    serving.start()
    port, size = ready.get(), sum(map(len, pages.values()))
    with tempfile.TemporaryDirectory() as folder:
        kubeconfig = ApiServer(port=port).kubeconfig(Path(folder, "kubeconfig"))
        code = (
            "import sys, time, resource; from nptables.sources.apiserver import *\n"
            f"connection = Connection(kubeconfig={str(kubeconfig)!r})\n"
            "started = time.perf_counter(), time.process_time()\n"
            "cluster = list_cluster(connection, [SERVICES, ENDPOINT_SLICES])\n"
            "print(time.perf_counter() - started[0], time.process_time() - started[1],"
            " resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,"
            " len(cluster.services), sum(len(s.endpoints) for s in cluster.slices.values()))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
    serving.kill()
    wall, used, peak, services, endpoints = done.stdout.split()
    return {
        "listed": f"{services} Services, {endpoints} endpoints, {size // 1_000_000} MB of JSON",
        "list to model, s": round(float(wall), 2),
        "of it processor, s": round(float(used), 2),
        "MB at the peak": int(peak),
    }


def rendered(options: argparse.Namespace) -> Iterator[tuple[str, bytes]]:
    """Every page of both lists by its path and continue token."""
    for path, kind, make in (
        ("/api/v1/services", "ServiceList", service),
        (
            "/apis/discovery.k8s.io/v1/endpointslices",
            "EndpointSliceList",
            lambda number: endpoint_slice(number, options.endpoints),
        ),
    ):
        for start in range(0, options.services, 500):
            last = min(start + 500, options.services)
            metadata = {"resourceVersion": "7"}
            if last < options.services:
                metadata["continue"] = str(last)
            items = [make(number) for number in range(start, last)]
            document = {"kind": kind, "metadata": metadata, "items": items}
            yield f"{path} {start or ''}", json.dumps(document, separators=(",", ":")).encode()


def serve(pages: dict[str, bytes], ready: Any) -> None:
    """Serve pages that are ready, until killed."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            url = urllib.parse.urlsplit(self.path)
            token = urllib.parse.parse_qs(url.query).get("continue", [""])[0]
            body = pages[f"{url.path} {token}"]
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    ready.put(server.server_address[1])
    server.serve_forever()


def changes(agent: AgentProcess, options: argparse.Namespace) -> dict[str, Any]:
    """Changes one by one, each when the one before is done."""
    took: list[float] = []
    before = processor(agent)
    log = agent.log_path.open("rb")
    log.seek(0, 2)
    for number in range(options.changes):
        which = number % options.services
        at = time.time()
        # One endpoint less, then one more.
        count = options.endpoints - 1 + number // options.services % 2
        agent.server.put(endpoint_slice(which, count))
        took.append(next_sync(log) - at)
    log.close()
    used = processor(agent) - before
    took.sort()
    return {
        "change to kernel p50, s": round(statistics.median(took), 4),
        "change to kernel p99, s": round(took[int(len(took) * 0.99)], 4),
        "processor s per 1,000 changes": round(used * 1000 / options.changes, 2),
    }


def soak(agent: AgentProcess, options: argparse.Namespace) -> dict[str, Any]:
    """20 changes a second for so long; memory and descriptors on the way."""
    found: dict[str, Any] = {}
    begun = time.monotonic()
    number = 0
    for part in ("start", "middle", "end"):
        found |= memory(agent, f"soak {part}")
        if part == "end":
            break
        until = begun + options.soak * (0.5 if part == "start" else 1)
        while time.monotonic() < until:
            which = number * 7 % options.services
            agent.server.put(endpoint_slice(which, options.endpoints - number % 2))
            number += 1
            time.sleep(max(0.0, begun + number / 20 - time.monotonic()))
    time.sleep(2)
    difference = agent.difference()
    found["soak changes"] = number
    found["soak: kernel as from scratch"] = not difference
    return found


def next_sync(log: Any) -> float:
    """When the next sync in the log was done, in seconds since the epoch."""
    line = b""
    while True:
        line += log.readline()
        if not line.endswith(b"\n"):
            time.sleep(0.0005)
            continue
        # A verification that is due meanwhile brings the change along.
        if b'"event": "synced"' in line or b'"event": "verified"' in line:
            return logged_at(json.loads(line))
        line = b""


def wait_for_log(
    agent: AgentProcess, event: str, timeout: float, *, starts: int = 1
) -> dict[str, Any]:
    """The event of that text that each start logs once, as of the last of so many starts."""
    until = time.monotonic() + timeout
    while len(found := agent.log(event)) < starts:
        if time.monotonic() > until:
            sys.exit(f"no {event!r} in the log:\n{agent.log_path.read_text()[-2000:]}")
        time.sleep(0.02)
    return found[-1]


def logged_at(entry: dict[str, Any]) -> float:
    """When an event was logged, in seconds since the epoch."""
    return datetime.fromisoformat(entry["time"]).timestamp()


def memory(agent: AgentProcess, when: str) -> dict[str, Any]:
    """Resident memory now and at its peak, and open descriptors."""
    assert agent.process is not None
    text = Path(f"/proc/{agent.process.pid}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
    return {
        f"MB resident {when}": int(fields["VmRSS"].split()[0]) // 1024,
        f"MB at the peak, {when}": int(fields["VmHWM"].split()[0]) // 1024,
        f"descriptors {when}": descriptors(agent.process.pid),
    }


def processor(agent: AgentProcess) -> float:
    """Processor seconds of the agent and the programs that it ran."""
    assert agent.process is not None
    fields = Path(f"/proc/{agent.process.pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(ticks) for ticks in fields[11:15]) / 100


if __name__ == "__main__":
    main()
