"""The laboratory as the tests see it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.lab.laboratory import manifests, programming
from tests.lab.laboratory.addresses import FAMILIES, NODES, POD_NETWORK, Dual
from tests.lab.laboratory.network import namespaces
from tests.lab.laboratory.probing import PATIENCE, PATIENT, PROTOCOLS, Answer, Probe, Prober

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tests.lab.laboratory.addresses import Family
    from tests.lab.laboratory.manifests import Object
    from tests.support.netns import Backend, Namespace


@dataclass(frozen=True)
class Question:
    """A request in words that hold for every family and protocol."""

    source: str
    destination: Dual
    port: int
    source_address: Dual | None = None

    def probe(self, family: Family, protocol: str) -> Probe:
        """Return the request for one family and protocol."""
        source = self.source_address.of(family) if self.source_address else ""
        return Probe(self.source, self.destination.of(family), self.port, protocol, source)


@dataclass(frozen=True)
class Answered:
    """One of the endpoints answers, and has seen this source (any, where it is None)."""

    endpoints: frozenset[str]
    source: Dual | None

    def accepts(self, answer: Answer, family: Family) -> bool:
        """Whether an answer is this one."""
        return (
            answer.outcome == "answered"
            and answer.endpoint in self.endpoints
            and (self.source is None or answer.source == self.source.of(family))
        )

    def __str__(self) -> str:
        seen = f", which saw {' or '.join(self.source)}" if self.source else ""
        return f"answered by {' or '.join(sorted(self.endpoints))}{seen}"


@dataclass(frozen=True)
class Unanswered:
    """No endpoint answers; what comes of the request instead."""

    outcome: str

    def accepts(self, answer: Answer, family: Family) -> bool:  # noqa: ARG002
        """Whether an answer is this one."""
        return answer.outcome == self.outcome

    def __str__(self) -> str:
        return self.outcome


Expected = Answered | Unanswered
REFUSED, SILENCE = Unanswered("refused"), Unanswered("silence")


def answered(*endpoints: str, seeing: Dual | None) -> Answered:
    """One of the endpoints answers, and has seen this source."""
    return Answered(frozenset(endpoints), seeing)


class Laboratory:
    """Two nodes with pods, a client outside, and servers in every pod and on every node."""

    def __init__(
        self,
        spaces: Mapping[str, Namespace],
        backend: Backend,
        prober: Prober,
        nodes: Mapping[str, programming.NodeCommands],
    ) -> None:
        self.namespaces = spaces
        self.backend = backend
        self.prober = prober
        self.nodes = nodes

    def apply(
        self,
        objects: Sequence[Object],
        config: Mapping[str, Any] | None = None,
        *,
        nodes: Iterable[str] = ("node1", "node2"),
    ) -> dict[str, str]:
        """Have nodes serve Services, by `nptables apply`; returns what it said on each.

        The Node objects need not be given.
        """
        objects = [*manifests.nodes(), *objects]
        return {node: self.nodes[node].apply(objects, config or {}) for node in nodes}

    def clear(self) -> None:
        """Leave no trace of what a test did to the nodes."""
        for node in NODES:
            programming.clear(self.namespaces[node.name])

    def drop_forwarded(self, *nodes: str) -> None:
        """Set the policy of FORWARD to DROP."""
        for node in nodes:
            for family in FAMILIES:
                self.namespaces[node].iptables(family, "-P", "FORWARD", "DROP")

    def accept_pod_traffic(self, *nodes: str) -> None:
        """Accept what comes from or goes to pods, as a CNI plugin does where FORWARD drops."""
        for node in nodes:
            for family in FAMILIES:
                for side in ("-s", "-d"):
                    words = ("-A", "FORWARD", side, POD_NETWORK.of(family), "-j", "ACCEPT")
                    self.namespaces[node].iptables(family, *words)

    def probe(
        self, source: str, destination: str, port: int, protocol: str = "tcp", **options: Any
    ) -> Answer:
        """Send one request; see Probe for the options."""
        probe = Probe(source, destination, port, protocol, **options)
        return self.prober.probe_all([probe])[0]

    def probe_all(self, probes: Iterable[Probe]) -> list[Answer]:
        """Send requests side by side."""
        return self.prober.probe_all(probes)

    def check(
        self,
        expectations: Mapping[Question, Expected],
        *,
        protocols: Sequence[str] = PROTOCOLS,
        families: Sequence[Family] = FAMILIES,
    ) -> None:
        """Ask all questions in each family and protocol, and compare with what is expected."""
        asked = [(q, f, p) for q in expectations for f in families for p in protocols]
        # Where something is to come of all, to be patient costs nothing.
        patience = PATIENCE if SILENCE in expectations.values() else PATIENT
        probes = [question.probe(f, p) for question, f, p in asked]
        answers = self.prober.probe_all(probes, patience=patience)
        wrong = [
            f"{question.probe(family, protocol)}\n  expected: {expectations[question]}"
            f"\n  was: {answer}"
            for (question, family, protocol), answer in zip(asked, answers, strict=True)
            if not expectations[question].accepts(answer, family)
        ]
        assert not wrong, f"{len(wrong)} of {len(asked)} answers are wrong:\n" + "\n".join(wrong)


@contextlib.contextmanager
def laboratory(backend: Backend) -> Iterator[Laboratory]:
    """Build a laboratory, and take it down whatever happens in it."""
    with contextlib.ExitStack() as stack:
        spaces = stack.enter_context(namespaces(backend))
        prober = stack.enter_context(contextlib.closing(Prober(spaces)))
        prober.serve()
        nodes = {
            node.name: programming.NodeCommands(spaces[node.name], node.name) for node in NODES
        }
        yield Laboratory(spaces, backend, prober, nodes)
