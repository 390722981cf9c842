"""A plan as a unified diff, grouped under headings."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Sequence

from nptables.errors import printable
from nptables.immutable import frozen
from nptables.iptables.changes.parts import ChainChange
from nptables.iptables.changes.plan import Plan
from nptables.iptables.ruleset import chain_of, target_of

# Who a line of a table belongs to, as people name it; an empty string for nobody in particular.
GroupOf = Callable[[str, str], str]


@frozen
class ReportLine:
    """One line of a report: `kind` is heading, chain, removed, added, same or note."""

    kind: str
    text: str


@frozen
class ChangedLine:
    """A rule line that a plan takes away or brings, or the declaration of an empty chain.

    `kind` is removed or added.
    """

    table: str
    chain: str
    kind: str
    line: str


_SIGNS = {"removed": "-", "added": "+", "same": " "}


def report_lines(
    plan: Plan, group_of: GroupOf, changes: Iterable[ChangedLine] | None = None
) -> Iterator[ReportLine]:
    """The plan as a unified diff grouped by what `group_of` says of each line.

    With `changes` only these of its lines are shown. Lines without a group come first. Below are
    the chains that others keep in use and those that differ in comments only. Control characters
    are escaped.
    """
    groups: dict[str, dict[tuple[str, str], list[ReportLine]]] = {}
    for change in changed_lines(plan) if changes is None else changes:
        group = groups.setdefault(group_of(change.table, change.line), {})
        group.setdefault((change.table, change.chain), []).append(
            ReportLine(change.kind, _SIGNS[change.kind] + printable(change.line, 4000))
        )
    for name in sorted(groups):
        yield ReportLine("heading", f"# {printable(name) or 'rules that are always there'}")
        for (table, chain), lines in groups[name].items():
            yield ReportLine(
                "chain", f"@@ {table} {printable(chain)}{_fate(plan, table, chain)} @@"
            )
            yield from lines
    for (table, chain), line in plan.kept.items():
        user = printable(line, 200)
        yield ReportLine(
            "note", f"# {table} {printable(chain)} stays, because others use it: {user}"
        )
    if count := len(plan.cosmetic):
        chains = "chain differs" if count == 1 else "chains differ"
        yield ReportLine("note", f"# {count} {chains} in comments only, which is not drift")


def _fate(plan: Plan, table: str, chain: str) -> str:
    changes = plan.tables[table]
    if chain in changes.create:
        return " (new chain)"
    if chain in changes.delete:
        return " (deleted chain)"
    change = changes.changes.get(chain)
    if change is not None and not change.removed and not change.added:
        return " (other order)"
    return ""


def changed_lines(plan: Plan) -> Iterator[ChangedLine]:
    """Everything that a plan changes, line by line."""
    for name, table in plan.tables.items():
        for line in table.remove:
            yield ChangedLine(name, chain_of(line), "removed", line)
        for insertion in table.insert:
            yield ChangedLine(name, chain_of(insertion.line), "added", insertion.line)
        for chain in (*table.ensure, *table.discard):
            kind = "added" if chain in table.ensure else "removed"
            yield ChangedLine(name, chain, kind, f":{chain} -")
        for change in table.changes.values():
            for kind, line in _lines_of(change):
                yield ChangedLine(name, change.chain, kind, line)


# difflib takes up to the square of the length, and a chain may have a line for each Service.
_MOST_COMPARED = 2000


def _lines_of(change: ChainChange) -> Iterator[tuple[str, str]]:
    """Kind and text of the lines of a chain that change."""
    kind = {"create": "added", "delete": "removed"}.get(change.kind)
    if kind is not None:
        lines = change.after if change.after is not None else change.before
        # An empty chain has no line that could stand for it.
        yield from ((kind, line) for line in lines or (f":{change.chain} -",))
    elif change.kind == "edit":
        yield from (("removed", line) for line in change.removed)
        yield from (("added", line) for line in change.added)
    else:
        yield from _rewritten(change.before or (), change.after or ())


def _rewritten(before: Sequence[str], after: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The lines that differ, in their order; of very long chains as sets."""
    if max(len(before), len(after)) > _MOST_COMPARED:
        old, new = set(before), set(after)
        yield from (("removed", line) for line in before if line not in new)
        yield from (("added", line) for line in after if line not in old)
        return
    # From 200 lines on autojunk would take what occurs often for noise, and pair off the wrong
    # lines.
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag != "equal":
            yield from (("removed", line) for line in before[i1:i2])
            yield from (("added", line) for line in after[j1:j2])


def chain_or_target(line: str) -> tuple[str, str]:
    """The chain of a rule line (or of a `:CHAIN` line) and the chain or target it leads to."""
    if line.startswith(":"):
        return line[1:].partition(" ")[0], ""
    return chain_of(line), target_of(line)
