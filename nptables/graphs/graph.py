"""The graph itself: what stands in it and what leads where, without any notion of a picture."""

from __future__ import annotations

import enum
from collections.abc import Hashable
from fractions import Fraction

import attrs

from nptables.errors import printable


class Kind(enum.Enum):
    """What a vertex stands for."""

    SENDER = "sender"
    FRONTEND = "frontend"
    CHAIN = "chain"
    ENDPOINT = "endpoint"
    END = "end"


@attrs.frozen
class Vertex:
    """One thing in the picture: `lines` are its name and what is to be said of it.

    `masquerades` tells that the source of packets is rewritten because of it.
    """

    key: Hashable
    kind: Kind
    lines: tuple[str, ...]
    masquerades: bool = False


@attrs.frozen
class Edge:
    """One thing leads to another.

    `share` is that of the packets, None where it is no matter of chance. `label` is the condition.
    `masquerades` tells that the source of these packets is rewritten.
    """

    tail: Hashable
    head: Hashable
    label: str = ""
    share: Fraction | None = None
    masquerades: bool = False


@attrs.frozen
class Graph:
    """A picture's content; every vertex that an edge names is there."""

    title: str
    vertices: tuple[Vertex, ...]
    edges: tuple[Edge, ...]

    @property
    def text(self) -> str:
        """The graph in words, for whoever does not see it."""
        names = {vertex.key: vertex.lines[0] for vertex in self.vertices}
        parts = [
            f"{names[edge.tail]} to {names[edge.head]}" + (f" ({said})" if said else "")
            for edge in self.edges
            for said in (edge_text(edge),)
        ]
        return printable(f"{self.title}: {'; '.join(parts)}", 20_000)


def edge_text(edge: Edge) -> str:
    """What is written beside an edge."""
    share = "" if edge.share is None else share_words(edge.share)
    masqueraded = "masqueraded" if edge.masquerades else ""
    return ", ".join(filter(None, (edge.label, share, masqueraded)))


def share_words(share: Fraction) -> str:
    """A share in few characters: a small fraction that it is all but equal to, else per cent."""
    if share == 1:
        return "all"
    near = share.limit_denominator(100)
    if near and abs(near - share) < Fraction(1, 10**8):
        return str(near)
    return f"{float(share) * 100:.3g} %"


class Drawing:
    """A graph in the making: what is added twice is there once."""

    def __init__(self) -> None:
        self._vertices: dict[Hashable, Vertex] = {}
        self._edges: dict[tuple[Hashable, Hashable, str], Edge] = {}

    def vertex(self, key: Hashable, kind: Kind, *lines: str, masquerades: bool = False) -> Hashable:
        """Add a vertex, or more lines to the one that is there; returns its key."""
        before = self._vertices.get(key)
        if before is not None:
            lines = tuple(dict.fromkeys((*before.lines, *lines)))
            masquerades = masquerades or before.masquerades
        self._vertices[key] = Vertex(key, kind, lines, masquerades)
        return key

    def edge(
        self,
        tail: Hashable,
        head: Hashable,
        label: str = "",
        share: Fraction | None = None,
        *,
        masquerades: bool = False,
    ) -> None:
        """Add an edge; the shares of equal ones add up."""
        key = (tail, head, label)
        before = self._edges.get(key)
        if before is not None:
            masquerades = masquerades or before.masquerades
            if share is not None and before.share is not None:
                share += before.share
        self._edges[key] = Edge(tail, head, label, share, masquerades)

    def graph(self, title: str) -> Graph:
        """What was drawn."""
        return Graph(title, tuple(self._vertices.values()), tuple(self._edges.values()))
