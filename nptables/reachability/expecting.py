"""What a team relies on, held against the matrix."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import attrs

from nptables.errors import InvalidInput, Problem, printable
from nptables.reachability.fare import Fares
from nptables.reachability.matrix import Cell, Reach, Row, nodes_text

_KEYS = ("service", "port", "to", "nodes", "verdict", "source", "endpoints", "local")
_HINT = (
    "a list of items such as {service: default/web, nodes: [node1], verdict: answers}; "
    f"keys are {', '.join(_KEYS)}"
)
_SOURCES = ("kept", "rewritten", "either")


@attrs.frozen
class Expectation:
    """An expectation: what happens to packets to a Service on some nodes.

    `service` is NAMESPACE/NAME; `port` the name or number of a port, or empty for all. `to` is a
    kind (nodePort, externalIP, load-balancer IP, clusterIP), or empty for all that are looked at.
    `nodes` are names or patterns such as `edge-*`, none for all nodes. Of `verdicts` one has to
    hold. `source`, `endpoints` and `local` count where they are given: at least so many of each.
    """

    service: str
    verdicts: tuple[str, ...]
    port: str = ""
    to: str = ""
    nodes: tuple[str, ...] = ()
    source: str = ""
    endpoints: int = 0
    local: int = 0

    @classmethod
    def listed(cls, document: object) -> tuple[Expectation, ...]:
        """The expectations of a document. Raises InvalidInput with everything wrong with it."""
        items = document.get("expect") if isinstance(document, Mapping) else document
        if not isinstance(items, Sequence) or isinstance(items, str) or not items:
            raise InvalidInput([Problem("expects nothing", hint=_HINT)])
        problems: list[Problem] = []
        found = [cls._read(item, place, problems) for place, item in enumerate(items)]
        if problems:
            raise InvalidInput(problems)
        return tuple(each for each in found if each is not None)

    @classmethod
    def _read(cls, item: object, place: int, problems: list[Problem]) -> Expectation | None:
        if not isinstance(item, Mapping) or not isinstance(item.get("service"), str):
            problems.append(Problem("names no service", hint=_HINT, path=(place,)))
            return None
        before = len(problems)
        for key in item:
            if key not in _KEYS:
                said = printable(str(key), 40)
                problems.append(Problem(f'"{said}" is not a key', hint=_HINT, path=(place,)))
        verdicts = _texts(item.get("verdict", "answers"))
        known = [fares.value for fares in Fares]
        for text in verdicts:
            if text not in known:
                wrong = f'"{printable(text, 40)}" is not one of {", ".join(known)}'
                problems.append(Problem(wrong, path=(place, "verdict")))
        source = str(item.get("source", ""))
        if source and source not in _SOURCES:
            wrong = f'"{printable(source, 40)}" is not one of {", ".join(_SOURCES)}'
            problems.append(Problem(wrong, path=(place, "source")))
        counts = []
        for key in ("endpoints", "local"):
            count = item.get(key, 0)
            if not isinstance(count, int) or isinstance(count, bool) or count < 0:
                problems.append(Problem("is not a number of endpoints", path=(place, key)))
            counts.append(count)
        if len(problems) > before:
            return None
        service = item["service"] if "/" in item["service"] else f"default/{item['service']}"
        return cls(
            service, verdicts, str(item.get("port", "")), str(item.get("to", "")),
            _texts(item.get("nodes", ())), source, *counts,
        )  # fmt: skip

    def is_about(self, row: Row) -> bool:
        """Whether a row has what is expected of."""
        name = row.name
        return (
            f"{name.namespace}/{name.name}" == self.service
            and self.port in ("", name.port, str(row.number))
            and self.to in ("", row.kind)
        )

    def covers(self, node: str) -> bool:
        """Whether a node is among those that it holds for."""
        return not self.nodes or any(fnmatchcase(node, pattern) for pattern in self.nodes)

    def holds(self, cell: Cell) -> bool:
        """Whether a cell is as expected."""
        fare = cell.fare
        return (
            fare.fares.value in self.verdicts
            and self.source in ("", fare.source)
            and fare.endpoints >= self.endpoints
            and fare.local >= self.local
        )

    @property
    def text(self) -> str:
        """What is expected, in words."""
        parts = [" or ".join(self.verdicts)]
        if self.endpoints:
            parts.append(f"at least {self.endpoints} endpoints")
        if self.local:
            parts.append(f"at least {self.local} local")
        if self.source:
            parts.append(f"source {self.source}")
        return ", ".join(parts)


@attrs.frozen
class Contradiction:
    """An expectation that does not hold, and where."""

    expectation: Expectation
    to: str
    nodes: tuple[str, ...]
    found: str
    why: str

    def __str__(self) -> str:
        where = f" on {nodes_text(self.nodes)}" if self.nodes else ""
        to = f" at {self.to}" if self.to else ""
        why = f" ({self.why})" if self.why else ""
        text = f"{self.expectation.service}{to}{where}: expected {self.expectation.text}"
        return f"{text}, but {self.found}{why}"

    def to_json(self) -> dict[str, Any]:
        """The contradiction as plain data."""
        return {
            "service": self.expectation.service,
            "to": self.to or None,
            "nodes": list(self.nodes),
            "expected": self.expectation.text,
            "found": self.found,
            "why": self.why,
        }


def contradictions(expectations: Sequence[Expectation], found: Reach) -> Iterator[Contradiction]:
    """Every expectation that does not hold; one that is about nothing does not."""
    for each in expectations:
        about = [row for row in found.rows if each.is_about(row)]
        if not about:
            yield Contradiction(each, "", (), "it matches nothing that was examined", "")
            continue
        for pattern in each.nodes:
            if not any(fnmatchcase(node, pattern) for node in found.nodes):
                yield Contradiction(each, "", (pattern,), "no such node was examined", "")
        for row in about:
            for cell in row.cells:
                nodes = tuple(node for node in cell.nodes if each.covers(node))
                if nodes and not each.holds(cell):
                    why = cell.reasons[0].text if cell.reasons else ""
                    yield Contradiction(each, row.to, nodes, cell.fare.text, why)


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(str(each) for each in value)
    return (str(value),)
