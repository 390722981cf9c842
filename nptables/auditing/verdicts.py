"""What is said of a node, and of a fleet: verdicts and causes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any

import attrs

from nptables.checks.codes import NODE_UNREADABLE
from nptables.checks.finding import Code


class Verdict(Enum):
    """What packets notice of a node's differences to the cluster.

    `ok`: nothing that decides anything differs. `cosmetic`: rules are written differently, and
    packets notice nothing. `differs`: packets notice. `unknown`: rules of iptables are not what
    handles Services there. `unreadable`: the node could not be read.
    """

    OK = "ok"
    COSMETIC = "cosmetic"
    DIFFERS = "differs"
    UNKNOWN = "unknown"
    UNREADABLE = "unreadable"

    @property
    def healthy(self) -> bool:
        """Whether packets fare as the cluster says."""
        return self in (Verdict.OK, Verdict.COSMETIC)


@attrs.frozen
class NodeCause:
    """One reason why a node differs.

    `about` is what is the same wherever this is one cause: a field with its value, a rule.
    `services` are the `namespace/name` of those that it hits, `message` says what was seen, and
    `example` is a packet that fares otherwise, or empty.
    """

    code: Code
    message: str
    about: str = ""
    services: tuple[str, ...] = ()
    example: str = ""


@attrs.frozen
class NodeResult:
    """What was found of one node.

    `in_flight` counts the Services that changed while the node was read, or shortly before, and
    of which nothing is concluded or one of whose states fits. `version` is the kube-proxy whose
    rules are expected there.
    """

    name: str
    verdict: Verdict
    causes: tuple[NodeCause, ...] = ()
    in_flight: int = 0
    version: str = ""

    @staticmethod
    def unreadable(name: str, why: str) -> NodeResult:
        """The result for a node of which there is nothing to judge."""
        return NodeResult(name, Verdict.UNREADABLE, (NodeCause(NODE_UNREADABLE, why),))

    def to_json(self) -> dict[str, Any]:
        """The result as plain data."""
        return {
            "name": self.name,
            "verdict": self.verdict.value,
            "causes": list(dict.fromkeys(cause.code.code for cause in self.causes)),
            "inFlight": self.in_flight,
            "version": self.version or None,
        }


@attrs.frozen
class Cause:
    """One cause in a fleet: whom it hits, and what to do."""

    code: Code
    about: str
    nodes: tuple[str, ...]
    services: tuple[str, ...]
    message: str
    example: str

    @property
    def hint(self) -> str:
        """What to do."""
        return self.code.remedy

    def to_json(self) -> dict[str, Any]:
        """The cause as plain data."""
        return {
            "code": self.code.code,
            "name": self.code.name,
            "severity": self.code.severity.word,
            "about": self.about or None,
            "nodes": list(self.nodes),
            "services": list(self.services),
            "message": self.message,
            "effect": self.code.effect,
            "example": self.example or None,
            "hint": self.hint,
        }


def group_causes(results: Iterable[NodeResult]) -> tuple[Cause, ...]:
    """The causes of all nodes, equal ones as one, the worst first.

    Worse is what breaks traffic, then what hits more nodes. The message is that of the first node
    by name; where nodes cannot be judged for several reasons, it counts them.
    """
    found: dict[tuple[str, str], list[tuple[str, NodeCause]]] = {}
    for result in sorted(results, key=lambda each: each.name):
        for cause in result.causes:
            found.setdefault((cause.code.code, cause.about), []).append((result.name, cause))
    causes = [_cause(together) for together in found.values()]
    return tuple(
        sorted(causes, key=lambda c: (-c.code.severity, -len(c.nodes), c.code.code, c.about))
    )


def _cause(together: list[tuple[str, NodeCause]]) -> Cause:
    _, first = together[0]
    services = dict.fromkeys(s for _, cause in together for s in cause.services)
    example = next((cause.example for _, cause in together if cause.example), "")
    nodes = dict.fromkeys(name for name, _ in together)
    message = first.message
    if first.code == NODE_UNREADABLE:
        message = _reasons(cause.message for _, cause in together)
    return Cause(first.code, first.about, tuple(nodes), tuple(sorted(services)), message, example)


def _reasons(messages: Iterable[str]) -> str:
    """Why nodes cannot be judged: one message whole, several by how many nodes have their like."""
    each = list(messages)
    kinds = Counter(map(_kind, each))
    if len(kinds) == 1:
        return each[0]
    return "; ".join(f"{kind} ({count})" for kind, count in kinds.most_common())


def _kind(message: str) -> str:
    """What a message has in common with its like: what stands before its details, if it says so."""
    head = message.partition(":")[0]
    return head if head.count(" ") > 1 else message


def summary(results: Iterable[NodeResult]) -> Mapping[str, int]:
    """How many nodes there are of each verdict, and how many Services were in flight on any."""
    found = dict.fromkeys((verdict.value for verdict in Verdict), 0)
    in_flight = 0
    for result in results:
        found[result.verdict.value] += 1
        in_flight = max(in_flight, result.in_flight)
    return {"nodes": sum(found.values()), **found, "inFlight": in_flight}
