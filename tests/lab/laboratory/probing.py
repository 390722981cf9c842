"""What a test asks of the laboratory, and what it is told."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.lab.laboratory.addresses import CLIENT, LOCALHOST, NODES, PODS, SERVED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from tests.support.netns import Namespace

Heard = list[tuple[float, str]]
PROTOCOLS = ("tcp", "udp", "sctp")
# Seconds without any event after which what has not answered is silent.
PATIENCE = 0.3
# The same where nobody is to be silent.
PATIENT = 10.0
# For the network to come up, each as long as the patience for silence.
_ATTEMPTS = 100
_ROOT = Path(__file__).parents[3]
# Pods listen at port 80 too, where a node has nobody.
_SERVED_BY_PODS = (SERVED, 80)


@dataclass(frozen=True)
class Probe:
    """A request from a host to an address and port.

    The source is the name of a host; its address is chosen by the kernel unless given.
    """

    source: str
    destination: str
    port: int
    protocol: str = "tcp"
    source_address: str = ""
    source_port: int = 0


@dataclass(frozen=True)
class Answer:
    """What came of a probe.

    The outcome is "answered" (then there is an endpoint's name, and the address and port that
    it saw), "refused" (a reset, an abort, or port unreachable), "silence", or the name of
    another error such as EHOSTUNREACH.
    """

    outcome: str
    endpoint: str = ""
    source: str = ""
    source_port: int = 0

    def __str__(self) -> str:
        if not self.endpoint:
            return self.outcome
        return f"answered by {self.endpoint}, which saw {self.source}"


REFUSED = Answer("refused")
SILENCE = Answer("silence")


@dataclass(frozen=True)
class LoadReport:
    """How many connections were opened, pings answered, and what failed, by description."""

    counts: Mapping[str, int]
    failures: Mapping[str, int]


class Prober:
    """A process with servers in every pod and on every node, and clients everywhere."""

    def __init__(self, namespaces: Mapping[str, Namespace]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.lab.laboratory.traffic"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=_ROOT,
        )
        self._write(json.dumps({name: space.name for name, space in namespaces.items()}))

    def serve(self) -> None:
        """Start the servers, and wait until the network lets everybody reach them."""
        servers: list[tuple[str, list[str], tuple[int, ...]]]
        servers = [(pod.name, [*pod.address], _SERVED_BY_PODS) for pod in PODS]
        # On localhost too, which only the node itself may reach.
        servers += [(node.name, [*node.address, LOCALHOST.ipv4], (SERVED,)) for node in NODES]
        self._order("serve", servers=servers)
        self._await_links()

    def _await_links(self) -> None:
        """Wait until every host reaches the next; a new link takes up to a second."""
        pairs = [(CLIENT, node) for node in NODES] + [(NODES[0], NODES[1])]
        pairs += [(pod, other) for node in NODES for pod in node.pods for other in NODES]
        left = [Probe(a.name, address, SERVED) for a, b in pairs for address in b.address]
        for _ in range(_ATTEMPTS):
            answers = self.probe_all(left)
            left = [p for p, a in zip(left, answers, strict=True) if a.outcome != "answered"]
            if not left:
                return
        raise AssertionError(f"the laboratory's network does not work: {left}")

    def probe_all(self, probes: Iterable[Probe], *, patience: float = PATIENCE) -> list[Answer]:
        """Send probes side by side; about two thousand a second, plus the patience for silence."""
        requests = [
            (p.source, p.destination, p.port, p.protocol, p.source_address, p.source_port)
            for p in probes
        ]
        told = self._order("knock", requests=requests, patience=patience)
        return [_answer(text) for text in told]

    @contextlib.contextmanager
    def load(self, probes: Iterable[Probe], *, established: int = 4) -> Iterator[list[LoadReport]]:
        """Keep connecting by TCP while the block runs; afterwards the list holds the report."""
        requests = [
            (p.source, p.destination, p.port, p.protocol, p.source_address, 0) for p in probes
        ]
        reports: list[LoadReport] = []
        self._order("start load", requests=requests, established=established)
        try:
            yield reports
        finally:
            reports.append(LoadReport(**self._order("stop load")))

    @contextlib.contextmanager
    def streams(self, probes: Sequence[Probe]) -> Iterator[Callable[[], list[Heard]]]:
        """Send UDP from one socket each while the block runs.

        What is yielded tells, for each, all that was heard so far: the name of who answered, or
        "refused", or the name of another error, each with its time of the monotonic clock.
        """
        requests = [
            (p.source, p.destination, p.port, p.protocol, p.source_address, p.source_port)
            for p in probes
        ]
        self._order("start streams", requests=requests)
        try:
            yield lambda: self._order("hear streams")
        finally:
            self._order("stop streams")

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()

    def _order(self, name: str, **arguments: Any) -> Any:
        self._write(json.dumps((name, arguments)))
        assert self._process.stdout
        told = self._process.stdout.readline()
        assert told, "the servers and clients have died; their last words are on standard error"
        return json.loads(told)

    def _write(self, line: str) -> None:
        assert self._process.stdin
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()


def _answer(told: str) -> Answer:
    words = told.split()
    if len(words) != 3:
        return Answer(told)
    return Answer("answered", words[0], words[1], int(words[2]))
