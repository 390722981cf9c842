"""The matrix: each address of each Service by each node."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import attrs

from nptables.errors import printable
from nptables.family import Family
from nptables.inet import with_port
from nptables.reachability.fare import Fare
from nptables.tracing import Trace
from nptables.translation import Reason, ServicePortName

NODE_PORT = "nodePort"


@attrs.frozen
class Cell:
    """Nodes on which a packet fares alike; the `trace` is that of the first of them."""

    fare: Fare
    nodes: tuple[str, ...]
    trace: Trace = attrs.field(repr=False)

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Why it fares so on the first of the nodes, the most telling first."""
        return self.trace.reasons

    def to_json(self) -> dict[str, Any]:
        """The cell as plain data."""
        return {
            "nodes": list(self.nodes),
            **self.fare.to_json(),
            "shownFor": self.trace.node,
            "reasons": [{"code": r.code, "text": r.text} for r in self.reasons],
        }


@attrs.frozen
class Row:
    """One address and port of a service port, with its cells.

    `kind` is the field that the address is from: nodePort, externalIP, load-balancer IP or
    clusterIP. `address` is empty for a node port, which is on every node. Each node is in exactly
    one cell.
    """

    name: ServicePortName
    family: Family
    kind: str
    address: str
    number: int
    cells: tuple[Cell, ...]

    @property
    def to(self) -> str:
        """Where packets are sent: `nodePort 30080` or an address and port, with the protocol."""
        protocol = self.name.protocol
        if not self.address:
            family = f" ({self.family.value})" if self.family is Family.IPV6 else ""
            return f"{NODE_PORT} {self.number}/{protocol}{family}"
        return f"{with_port(self.address, self.number)}/{protocol}"

    def on(self, node: str) -> Cell:
        """The cell of a node. Raises KeyError where the node was not looked at."""
        for cell in self.cells:
            if node in cell.nodes:
                return cell
        raise KeyError(node)

    def to_json(self) -> dict[str, Any]:
        """The row as plain data."""
        return {
            "service": f"{self.name.namespace}/{self.name.name}",
            "port": self.name.port,
            "protocol": self.name.protocol,
            "family": self.family.value,
            "kind": self.kind,
            "address": self.address or None,
            "number": self.number,
            "cells": [cell.to_json() for cell in self.cells],
        }


@attrs.frozen
class Column:
    """Nodes that fare alike in every row."""

    nodes: tuple[str, ...]

    @property
    def title(self) -> str:
        """The nodes in a few words: `node2`, or `node2 and 46 more`."""
        more = len(self.nodes) - 1
        return f"{self.nodes[0]} and {more} more" if more else self.nodes[0]


@attrs.frozen
class Reach:
    """The answer: the rows, and the nodes that were looked at."""

    source: str
    nodes: tuple[str, ...]
    rows: tuple[Row, ...]

    def to_json(self) -> dict[str, Any]:
        """The matrix as plain data."""
        return {
            "from": self.source,
            "nodes": list(self.nodes),
            "rows": [row.to_json() for row in self.rows],
        }


def columns(nodes: Sequence[str], rows: Iterable[Row]) -> list[Column]:
    """The nodes, those that are in the same cell of every row together, in their order."""
    marks: dict[str, list[int]] = {node: [] for node in nodes}
    for row in rows:
        for number, cell in enumerate(row.cells):
            for node in cell.nodes:
                marks[node].append(number)
    found: dict[tuple[int, ...], list[str]] = {}
    for node, mark in marks.items():
        found.setdefault(tuple(mark), []).append(node)
    return [Column(tuple(alike)) for alike in found.values()]


def nodes_text(nodes: Sequence[str], most: int = 3) -> str:
    """Some nodes in words: the first, and how many more there are."""
    more = len(nodes) - most
    text = ", ".join(nodes[:most]) + (f" and {more} more" if more > 0 else "")
    return printable(text, 200)
