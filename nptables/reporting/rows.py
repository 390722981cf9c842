"""The matrix as the page has it: rows of cells, over columns of nodes that fare alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import attrs

from nptables.errors import printable
from nptables.reachability import Cell, Column, Fares, Reach, Row, columns
from nptables.reachability.matrix import nodes_text
from nptables.tracing.explanation.words import (
    HEADINGS,
    TreeLine,
    hypotheses,
    outcome_rows,
    tree,
)

# With more columns than this, cells stand in their row with the names of their nodes.
MOST_COLUMNS = 10


@attrs.frozen
class CellView:
    """One cell: `key` names its part, `nodes` is a set of node numbers as hexadecimal bits."""

    key: str
    cell: Cell
    nodes: str

    @property
    def verdict(self) -> str:
        """The code of the verdict."""
        return self.cell.fare.fares.value

    @property
    def numbers(self) -> str:
        """The endpoints in few words, empty where none gets anything."""
        return self.cell.fare.reached

    @property
    def whose(self) -> str:
        """The nodes in few words."""
        return nodes_text(self.cell.nodes, 2)


@attrs.frozen
class RowView:
    """One row: `key` names it in links."""

    key: str
    row: Row
    cells: tuple[CellView, ...]

    @property
    def service(self) -> str:
        """Namespace and name of the Service."""
        return f"{self.row.name.namespace}/{self.row.name.name}"

    @property
    def name(self) -> str:
        """The service port, printable."""
        return printable(str(self.row.name), 200)

    @property
    def verdicts(self) -> str:
        """The codes of the verdicts in it."""
        return " ".join(dict.fromkeys(cell.verdict for cell in self.cells))


@attrs.frozen
class MatrixView:
    """The matrix; without columns where they would be too many."""

    rows: tuple[RowView, ...]
    columns: tuple[Column, ...]
    kinds: int


def matrix_view(found: Reach) -> MatrixView:
    """The matrix as it is shown."""
    alike = columns(found.nodes, found.rows)
    shown = tuple(alike) if len(alike) <= MOST_COLUMNS else ()
    bits = {name: 1 << number for number, name in enumerate(found.nodes)}
    rows = tuple(_row_view(number, row, bits, shown) for number, row in enumerate(found.rows))
    return MatrixView(rows, shown, len(alike))


def _row_view(number: int, row: Row, bits: Mapping[str, int], shown: Sequence[Column]) -> RowView:
    views = [
        CellView(f"c{number}-{place}", cell, f"{sum(bits[name] for name in cell.nodes):x}")
        for place, cell in enumerate(row.cells)
    ]
    cells = tuple(_in_columns(views, shown)) if shown else tuple(views)
    return RowView(f"{row.name} {row.to} {row.family.value} {row.kind}", row, cells)


def _in_columns(views: Sequence[CellView], shown: Sequence[Column]) -> Iterator[CellView]:
    for column in shown:
        yield next(view for view in views if column.nodes[0] in view.cell.nodes)


@attrs.frozen
class PathView:
    """What happens under one condition: rows of outcomes, and the rules on the way."""

    condition: str
    outcomes: tuple[tuple[str, ...], ...]
    lines: tuple[TreeLine, ...]


# Of more outcomes than this the way of the likeliest is shown.
_MOST_WAYS = 12


def path_views(cell: Cell) -> Iterator[PathView]:
    """The way of the packet of a cell, as `trace --path` tells it."""
    for condition, distribution in hypotheses(cell.trace):
        few = distribution.outcomes[:_MOST_WAYS]
        lines = tuple(tree(few))
        if more := len(distribution.outcomes) - len(few):
            lines = (*lines, TreeLine("branch", f"and {more} more ways"))
        yield PathView(condition, tuple(outcome_rows(distribution)), lines)


VERDICT_WORDS = {
    Fares.ANSWERS: "answers: every new connection reaches an endpoint",
    Fares.IN_PART: "in part: some new connections arrive, others do not",
    Fares.DEPENDS: "depends on what only the node can know",
    Fares.REFUSED: "refused: the sender is told at once",
    Fares.DROPPED: "dropped: the sender waits for nothing",
    Fares.LOST: "lost: it ends at another host, or its answer gets lost",
    Fares.UNKNOWN: "unknown: what was given does not tell",
}
OUTCOME_HEADINGS = HEADINGS
