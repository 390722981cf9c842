"""A graph as DOT, the language of Graphviz."""

from __future__ import annotations

from nptables.errors import printable
from nptables.graphs.graph import Graph, Kind, edge_text

_SHAPES = {
    Kind.SENDER: "oval",
    Kind.FRONTEND: "oval",
    Kind.CHAIN: "box",
    Kind.ENDPOINT: "component",
    Kind.END: "octagon",
}


def to_dot(graph: Graph, *, down: bool = False) -> str:
    """The graph as DOT, from left to right or `down`; every text is quoted."""
    numbers = {vertex.key: f"n{number}" for number, vertex in enumerate(graph.vertices)}
    lines = [
        f"digraph {_quoted(graph.title)} {{",
        f"  rankdir={'TB' if down else 'LR'};",
        '  node [fontname="monospace", fontsize=11];',
        '  edge [fontname="monospace", fontsize=9];',
    ]
    for vertex in graph.vertices:
        style = ', color="#8a4600", penwidth=2' if vertex.masquerades else ""
        label = _quoted(*vertex.lines)
        number = numbers[vertex.key]
        lines.append(f"  {number} [shape={_SHAPES[vertex.kind]}, label={label}{style}];")
    for edge in graph.edges:
        said = edge_text(edge)
        label = f"label={_quoted(said)}" if said else ""
        style = 'color="#8a4600", style=dashed' if edge.masquerades else ""
        attributes = ", ".join(filter(None, (label, style)))
        behind = f" [{attributes}]" if attributes else ""
        lines.append(f"  {numbers[edge.tail]} -> {numbers[edge.head]}{behind};")
    return "\n".join([*lines, "}", ""])


def _quoted(*lines: str) -> str:
    escaped = [
        printable(line, 400).replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;")
        for line in lines
    ]
    return '"' + "\\n".join(escaped) + '"'
