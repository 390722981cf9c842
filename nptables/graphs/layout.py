"""Where everything stands in a picture: layers from left to right or from top to bottom.

The layer of a vertex is the length of the longest way to it; within a layer the order follows the
neighbours' (a few sweeps of medians), for few crossings, after Sugiyama, Tagawa and Toda (1981).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from itertools import pairwise

import attrs

from nptables.errors import printable
from nptables.graphs.graph import Edge, Graph, Vertex, edge_text

CHARACTER = 7.3
LINE = 16.0
_PADDING = 10.0
_GAP = 14.0
_GAP_BELOW = 52.0
_LABEL_GAP = 46.0
_MARGIN = 12.0
_LONGEST = 64
_SWEEPS = 6


@attrs.frozen
class Box:
    """A vertex in its place, or room for a line; `lines` are the text as it is written."""

    vertex: Vertex | None
    lines: tuple[str, ...]
    x: float
    y: float
    width: float
    height: float


@attrs.frozen
class Line:
    """An edge as a line through points from layer to layer; `text` is what is written beside it."""

    edge: Edge
    points: tuple[tuple[float, float], ...]
    text: str


@attrs.frozen
class Layout:
    """A picture: its size, its boxes and its lines, and whether its layers go down."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    down: bool = False


@attrs.frozen
class _Bend:
    """Where an edge that leads past a layer passes it."""

    edge: int
    layer: int


def laid_out(graph: Graph, *, down: bool = False) -> Layout:
    """The places of everything in a graph: from left to right, or `down` from top to bottom."""
    vertices = {vertex.key: vertex for vertex in graph.vertices}
    texts = {key: tuple(map(_shortened, vertex.lines)) for key, vertex in vertices.items()}
    labels = [_shortened(edge_text(edge)) for edge in graph.edges]
    layers, ways = _with_bends(graph, _layers(graph))
    layers = _ordered(ways, layers)
    places = (
        _placed_down(vertices, texts, layers)
        if down
        else _placed_right(vertices, texts, layers, ways, labels)
    )
    drawn = tuple(
        Line(edge, tuple(_points([places[key] for key in way], down=down)), label)
        for edge, way, label in zip(graph.edges, ways, labels, strict=True)
    )
    boxes = tuple(box for box in places.values() if box.vertex is not None)
    rights = [box.x + box.width for box in places.values()]
    if down:
        rights += [beside(line)[0] + text_width(line.text) for line in drawn if line.text]
    right = max(rights, default=0.0)
    bottom = max((box.y + box.height for box in places.values()), default=_MARGIN)
    return Layout(right + _MARGIN, bottom + _MARGIN, boxes, drawn, down)


def beside(line: Line) -> tuple[float, float]:
    """Where the text of a line begins in a picture that goes down.

    That is beside the middle of the first part. Lines that begin at different layers and end at one
    vertex have their first parts at different heights.
    """
    (x1, y1), (x2, y2) = line.points[:2]
    return (x1 + x2) / 2 + 6, (y1 + y2) / 2 + 4


def text_width(text: str) -> float:
    """The width of a text beside a line, whose letters are smaller than those in boxes."""
    return len(text) * CHARACTER * 0.86


def _placed_right(
    vertices: Mapping[Hashable, Vertex],
    texts: Mapping[Hashable, tuple[str, ...]],
    layers: Sequence[Sequence[Hashable]],
    ways: Sequence[Sequence[Hashable]],
    labels: Sequence[str],
) -> dict[Hashable, Box]:
    heights = [sum(_height(texts.get(key)) + _GAP for key in layer) - _GAP for layer in layers]
    tallest = max(heights, default=0)
    places: dict[Hashable, Box] = {}
    x = _MARGIN
    for number, layer in enumerate(layers):
        widest = max(_width(texts[key]) for key in layer if key in texts)
        y = _MARGIN + (tallest - heights[number]) / 2
        for key in layer:
            height = _height(texts.get(key))
            lines = texts.get(key, ())
            places[key] = Box(vertices.get(key), lines, x, y, widest, height)
            y += height + _GAP
        arriving = [
            label
            for way, label in zip(ways, labels, strict=True)
            if any(key in layer for key in way[:-1][-1:])
        ]
        x += widest + _LABEL_GAP + max(map(text_width, arriving), default=0)
    return places


def _placed_down(
    vertices: Mapping[Hashable, Vertex],
    texts: Mapping[Hashable, tuple[str, ...]],
    layers: Sequence[Sequence[Hashable]],
) -> dict[Hashable, Box]:
    sizes = {
        key: (_width(texts[key]) if key in texts else LINE, _height(texts.get(key)))
        for layer in layers
        for key in layer
    }
    widths = [sum(sizes[key][0] + _GAP for key in layer) - _GAP for layer in layers]
    widest = max(widths, default=0)
    places: dict[Hashable, Box] = {}
    y = _MARGIN
    for number, layer in enumerate(layers):
        tallest = max(sizes[key][1] for key in layer)
        x = _MARGIN + (widest - widths[number]) / 2
        for key in layer:
            width, height = sizes[key]
            # A line that passes the layer does so from its top to its bottom.
            height = height if key in texts else tallest
            places[key] = Box(vertices.get(key), texts.get(key, ()), x, y, width, height)
            x += width + _GAP
        y += tallest + _GAP_BELOW
    return places


def _points(way: Sequence[Box], *, down: bool) -> Iterator[tuple[float, float]]:
    for place, box in enumerate(way):
        if place:
            yield (box.x + box.width / 2, box.y) if down else (box.x, box.y + box.height / 2)
        if place < len(way) - 1:
            yield (
                (box.x + box.width / 2, box.y + box.height)
                if down
                else (box.x + box.width, box.y + box.height / 2)
            )


def _with_bends(
    graph: Graph, layers: list[list[Hashable]]
) -> tuple[list[list[Hashable]], list[list[Hashable]]]:
    """The layers with a place for each edge that passes one, and what each edge passes."""
    layer_of = {key: number for number, layer in enumerate(layers) for key in layer}
    ways = []
    for number, edge in enumerate(graph.edges):
        passed = range(layer_of[edge.tail] + 1, layer_of[edge.head])
        bends: list[Hashable] = [_Bend(number, layer) for layer in passed]
        for bend, layer in zip(bends, passed, strict=True):
            layers[layer].append(bend)
        ways.append([edge.tail, *bends, edge.head])
    return layers, ways


def _shortened(text: str) -> str:
    shown = printable(text, 400)
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 3]}..."


def _width(lines: Sequence[str]) -> float:
    return CHARACTER * max(map(_cells, lines)) + 2 * _PADDING


def _cells(text: str) -> int:
    """How many columns a text takes: letters beyond Latin may be twice as wide."""
    return sum(1 if ord(each) < 0x1100 else 2 for each in text)


def _height(lines: Sequence[str] | None) -> float:
    return LINE if lines is None else LINE * len(lines) + _PADDING


def _layers(graph: Graph) -> list[list[Hashable]]:
    """The vertices by the length of the longest way to them; an edge that closes a ring is none."""
    following: dict[Hashable, list[Hashable]] = {vertex.key: [] for vertex in graph.vertices}
    for edge in graph.edges:
        following[edge.tail].append(edge.head)
    depth = dict.fromkeys(following, 0)
    for key in _sorted_by_ways(following):
        for head in following[key]:
            if head != key:
                depth[head] = max(depth[head], depth[key] + 1)
    layers: list[list[Hashable]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for key, number in depth.items():
        layers[number].append(key)
    return [layer for layer in layers if layer]


def _sorted_by_ways(following: dict[Hashable, list[Hashable]]) -> list[Hashable]:
    """Every vertex before those that it leads to; takes edges that close a ring away."""
    found: list[Hashable] = []
    state: dict[Hashable, str] = {}
    for start in tuple(following):
        waiting = [(start, iter(list(following[start])))] if start not in state else []
        state.setdefault(start, "open")
        while waiting:
            key, heads = waiting[-1]
            head = next(heads, None)
            if head is None:
                state[key] = "done"
                found.append(key)
                waiting.pop()
            elif state.get(head) == "open":
                following[key] = [each for each in following[key] if each != head]
            elif head not in state:
                state[head] = "open"
                waiting.append((head, iter(list(following[head]))))
    return found[::-1]


def _ordered(
    ways: Sequence[Sequence[Hashable]], layers: list[list[Hashable]]
) -> list[list[Hashable]]:
    before: dict[Hashable, list[Hashable]] = {}
    behind: dict[Hashable, list[Hashable]] = {}
    for way in ways:
        for tail, head in pairwise(way):
            before.setdefault(head, []).append(tail)
            behind.setdefault(tail, []).append(head)
    for sweep in range(_SWEEPS):
        neighbours = before if sweep % 2 == 0 else behind
        places = {key: float(at) for layer in layers for at, key in enumerate(layer)}
        ordered = layers if sweep % 2 == 0 else layers[::-1]
        for layer in ordered:
            layer.sort(key=lambda key: _median(neighbours.get(key, ()), places, key))
            places.update((key, float(at)) for at, key in enumerate(layer))
    return layers


def _median(keys: Sequence[Hashable], places: Mapping[Hashable, float], own: Hashable) -> float:
    if not keys:
        return places[own]
    found = sorted(places[key] for key in keys)
    return (found[(len(found) - 1) // 2] + found[len(found) // 2]) / 2
