"""A graph as SVG: text stays text, and colours follow the reader's scheme."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from nptables.graphs.graph import Graph
from nptables.graphs.layout import LINE, Box, Layout, Line, beside, laid_out, text_width

# Contrasts are at least 4.5 to 1 for text in both schemes.
STYLE = """
.npt-graph{--box:#f6f8fa;--ink:#1f2328;--edge:#59636e;--masq:#8a4600;--end:#b3261e;--good:#116329;
--front:#0a4ea8;--paper:#ffffff;font:12px ui-monospace,monospace;background:var(--paper)}
.npt-graph text{fill:var(--ink)} .npt-graph .more{fill:var(--edge)}
.npt-graph rect{fill:var(--box);stroke:var(--edge)} .npt-graph path{fill:none;stroke:var(--edge)}
.npt-graph .head{fill:var(--edge);stroke:none}
.npt-graph .label{fill:var(--edge);font-size:10.5px;stroke:var(--paper);stroke-width:3px;
paint-order:stroke}
.npt-graph .frontend rect,.npt-graph .sender rect{stroke:var(--front)}
.npt-graph .endpoint rect{stroke:var(--good)} .npt-graph .end rect{stroke:var(--end)}
.npt-graph .masquerades rect{stroke:var(--masq);stroke-width:2}
.npt-graph .masqueraded{stroke:var(--masq);stroke-dasharray:5 3}
@media (prefers-color-scheme:dark){.npt-graph{--box:#1c2128;--ink:#e6edf3;--edge:#9da7b3;
--masq:#f0a35e;--end:#ff8f85;--good:#6fdd8b;--front:#79b8ff;--paper:#0d1117}}
@media print{.npt-graph{--box:#fff;--ink:#000;--edge:#444;--masq:#8a4600;--end:#b3261e;
--good:#116329;--front:#0a4ea8;--paper:#fff}}
""".strip()


def to_svg(graph: Graph, *, down: bool = False) -> str:
    """A document of its own, from left to right or from top to bottom."""
    element = _element(graph, f"<style>{STYLE}</style>", down=down)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{element}\n'


def svg_element(graph: Graph, *, down: bool = False) -> str:
    """An element for a page that has STYLE."""
    return _element(graph, "", down=down)


def _element(graph: Graph, style: str, *, down: bool) -> str:
    picture = laid_out(graph, down=down)
    size = f"{picture.width:.0f} {picture.height:.0f}"
    width, height = size.split()
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="npt-graph" role="img" '
        f'viewBox="0 0 {size}" width="{width}" height="{height}" '
        f'aria-label="{escape(graph.text)}">{style}'
        f"{''.join(_parts(picture))}</svg>"
    )


def _parts(picture: Layout) -> Iterator[str]:
    for line in picture.lines:
        yield from _line(line, down=picture.down)
    for box in picture.boxes:
        yield from _box(box)
    for line in picture.lines:
        if line.text:
            yield _label_beside(line) if picture.down else _label(line)


def _box(box: Box) -> Iterator[str]:
    if box.vertex is None:
        return
    masquerades = " masquerades" if box.vertex.masquerades else ""
    yield f'<g class="{box.vertex.kind.value}{masquerades}">'
    yield (
        f'<rect x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" '
        f'height="{box.height:.1f}" rx="4"/>'
    )
    for number, text in enumerate(box.lines):
        more = ' class="more"' if number else ""
        y = box.y + LINE * (number + 1)
        yield f'<text x="{box.x + 10:.1f}" y="{y:.1f}"{more}>{escape(text)}</text>'
    yield "</g>"


def _line(line: Line, *, down: bool) -> Iterator[str]:
    """A line and its head; `a` runs with the layers of the picture, `b` across them."""

    def at(a: float, b: float) -> str:
        return f"{b:.1f} {a:.1f}" if down else f"{a:.1f} {b:.1f}"

    (a, b), *rest = [(y, x) if down else (x, y) for x, y in line.points]
    path = [f"M{at(a, b)}"]
    for number, (a2, b2) in enumerate(rest, 1):
        last = number == len(rest)
        if number % 2 == 0:
            path.append(f"L{at(a2, b2)}")
        else:
            end = a2 - 6 if last else a2
            bend = max(16.0, abs(end - a) / 2)
            path.append(f"C{at(a + bend, b)} {at(end - bend, b2)} {at(end, b2)}")
        a, b = a2, b2
    masqueraded = ' class="masqueraded"' if line.edge.masquerades else ""
    yield f'<path{masqueraded} d="{"".join(path)}"/>'
    head = "l4 6l4-6z" if down else "l6 4l-6 4z"
    yield f'<path class="head" d="M{at(a - 6, b - 4)}{head}"/>'


def _label(line: Line) -> str:
    """Near the head, where lines from one tail have parted."""
    (x1, y1), (x2, y2) = line.points[-2:]
    width = text_width(line.text)
    x = max(x1 + 4, x2 - width - 10)
    # The line is level at its ends; a short label stands on its last, nearly level part.
    near = (x2 - 6 - x) / max(1.0, x2 - 6 - x1) < 0.45
    y = (y2 if near or abs(y2 - y1) < 1 else y1 + (y2 - y1) * 0.75) - 4
    return f'<text class="label" x="{x:.1f}" y="{y:.1f}">{escape(line.text)}</text>'


def _label_beside(line: Line) -> str:
    x, y = beside(line)
    return f'<text class="label" x="{x:.1f}" y="{y:.1f}">{escape(line.text)}</text>'
