"""A graph as a Mermaid flowchart, which GitHub draws in a comment or a README."""

from __future__ import annotations

import re

from nptables.errors import printable
from nptables.graphs.graph import Graph, Kind, edge_text

_SHAPES = {
    Kind.SENDER: ("([", "])"),
    Kind.FRONTEND: ("([", "])"),
    Kind.CHAIN: ("[", "]"),
    Kind.ENDPOINT: ("[[", "]]"),
    Kind.END: ("{{", "}}"),
}
# Everything else may mean something to Mermaid, to Markdown or to HTML.
_PLAIN = re.compile(r"[^A-Za-z0-9 .,:/()+%-]")


def to_mermaid(graph: Graph, *, down: bool = False) -> str:
    """The graph as a flowchart, from left to right or down; every text is quoted and escaped."""
    numbers = {vertex.key: f"n{number}" for number, vertex in enumerate(graph.vertices)}
    lines = [f"flowchart {'TB' if down else 'LR'}"]
    for vertex in graph.vertices:
        opening, closing = _SHAPES[vertex.kind]
        text = "<br>".join(_escaped(line) for line in vertex.lines)
        mark = ":::masquerades" if vertex.masquerades else ""
        lines.append(f'  {numbers[vertex.key]}{opening}"{text}"{closing}{mark}')
    for edge in graph.edges:
        said = _escaped(edge_text(edge))
        arrow = "-.->" if edge.masquerades else "-->"
        label = f'|"{said}"|' if said else ""
        lines.append(f"  {numbers[edge.tail]} {arrow}{label} {numbers[edge.head]}")
    lines.append("  classDef masquerades stroke:#8a4600,stroke-width:2px")
    return "\n".join([*lines, ""])


def _escaped(text: str) -> str:
    """Text with entities as Mermaid writes them: `#34;` for a quotation mark."""
    return _PLAIN.sub(lambda match: f"#{ord(match[0])};", printable(text, 400))
