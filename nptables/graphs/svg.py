"""A graph as SVG: text stays text, and colours follow the reader's scheme."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from nptables.graphs.graph import Graph
from nptables.graphs.layout import CHARACTER, LINE, Box, Layout, Line, laid_out

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


def to_svg(graph: Graph) -> str:
    """A document of its own."""
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{_element(graph, f"<style>{STYLE}</style>")}\n'


def svg_element(graph: Graph) -> str:
    """An element for a page that has STYLE."""
    return _element(graph, "")


def _element(graph: Graph, style: str) -> str:
    picture = laid_out(graph)
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
        yield from _line(line)
    for box in picture.boxes:
        yield from _box(box)
    for line in picture.lines:
        if line.text:
            yield _label(line)


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


def _line(line: Line) -> Iterator[str]:
    (x, y), *rest = line.points
    path = [f"M{x:.1f} {y:.1f}"]
    for number, (x2, y2) in enumerate(rest, 1):
        last = number == len(rest)
        if number % 2 == 0:
            path.append(f"L{x2:.1f} {y2:.1f}")
        else:
            end = x2 - 6 if last else x2
            bend = max(16.0, abs(end - x) / 2)
            path.append(f"C{x + bend:.1f} {y:.1f} {end - bend:.1f} {y2:.1f} {end:.1f} {y2:.1f}")
        x, y = x2, y2
    masqueraded = ' class="masqueraded"' if line.edge.masquerades else ""
    yield f'<path{masqueraded} d="{"".join(path)}"/>'
    yield f'<path class="head" d="M{x - 6:.1f} {y - 4:.1f}l6 4l-6 4z"/>'


def _label(line: Line) -> str:
    """Near the head, where lines from one tail have parted."""
    (x1, y1), (x2, y2) = line.points[-2:]
    width = len(line.text) * CHARACTER * 0.86
    x = max(x1 + 4, x2 - width - 10)
    # The line is level at its ends; a short label stands on its last, nearly level part.
    near = (x2 - 6 - x) / max(1.0, x2 - 6 - x1) < 0.45
    y = (y2 if near or abs(y2 - y1) < 1 else y1 + (y2 - y1) * 0.75) - 4
    return f'<text class="label" x="{x:.1f}" y="{y:.1f}">{escape(line.text)}</text>'
