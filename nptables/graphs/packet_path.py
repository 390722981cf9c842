"""The way of a packet as a graph: the chains that did something, and how it ended."""

from __future__ import annotations

import textwrap
from collections.abc import Hashable
from fractions import Fraction

import attrs

from nptables.graphs.graph import Drawing, Graph, Kind
from nptables.tracing import Outcome, Trace
from nptables.tracing.explanation.words import VERDICTS
from nptables.translation.chains import MARK_MASQ
from nptables.words import counted

_MOST_OUTCOMES = 24
_LONGEST = 56
_MOST_LINES = 6


def path_graph(answer: Trace) -> Graph:
    """The way of the packet of a trace, with the share of each branch.

    It is that under the first hypothesis: the only one where nothing is left open. Where there are
    others, the hypothesis and how many others there are is said. Of many outcomes the likeliest
    are drawn, and that there are more is said.
    """
    drawing = Drawing()
    packet = answer.packet
    start = drawing.vertex("sender", Kind.SENDER, str(packet))
    if others := len(answer.distributions) - 1:
        condition = f"if {answer.distributions[0].hypothesis}"
        drawing.vertex(start, Kind.SENDER, *textwrap.wrap(condition, _LONGEST)[:_MOST_LINES])
        said = counted(others, "other case")
        drawing.vertex("cases", Kind.END, said, "nptables trace has every case")
        drawing.edge(start, "cases", "otherwise")
    for outcome in answer.outcomes[:_MOST_OUTCOMES]:
        _draw(drawing, start, outcome)
    if rest := answer.outcomes[_MOST_OUTCOMES:]:
        drawing.vertex("more", Kind.END, f"{len(rest)} more outcomes")
        drawing.edge(start, "more", "", sum((each.share for each in rest), Fraction(0)))
    graph = drawing.graph(f"{packet} by {answer.node}")
    edges = (attrs.evolve(e, share=None) if e.share == 1 else e for e in graph.edges)
    return attrs.evolve(graph, edges=tuple(edges))


def _draw(drawing: Drawing, start: Hashable, outcome: Outcome) -> None:
    before, note = start, ""
    masqueraded = False
    entered: list[Hashable] = []
    for step in outcome.path:
        hook = (step.node, step.hook, step.backend, step.table)
        key = (*hook, step.chain)
        if entered and entered[0] != hook:
            entered = []
        if key in entered:
            # Back from a chain that was called.
            entered = entered[: entered.index(key) + 1]
        else:
            entered = [*(entered or [hook]), key]
            place = f"{step.table} {step.hook}" if step.hook != step.chain else step.table
            backend = f"{step.backend} " if step.backend else ""
            drawing.vertex(key, Kind.CHAIN, step.chain, f"{backend}{place} on {step.node}")
            drawing.edge(before, key, note, outcome.share, masquerades=masqueraded)
        before = key
        note = _shortened(step.note) if step.note else ""
        if step.chain == MARK_MASQ:
            drawing.vertex(key, Kind.CHAIN, note, masquerades=True)
        if step.note.startswith("source becomes"):
            masqueraded = True
            drawing.vertex(key, Kind.CHAIN, note, masquerades=True)
    lines = [VERDICTS[outcome.verdict], outcome.where]
    if outcome.node:
        lines.append(f"on {outcome.node}")
    kind = Kind.ENDPOINT if outcome.arrives else Kind.END
    end = drawing.vertex(("end", *lines), kind, *lines)
    drawing.edge(before, end, note, outcome.share, masquerades=outcome.source_rewritten)


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
