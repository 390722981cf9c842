"""An answer for people: one line, a table of outcomes, and the walk as a tree.

Everything that comes from rules or objects is made printable: a comment cannot move the cursor.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from fractions import Fraction

from nptables.errors import printable
from nptables.immutable import frozen
from nptables.tracing.explanation.result import Distribution, Outcome, Trace, Verdict
from nptables.tracing.traversal.steps import Step
from nptables.translation import Reason

WIDTH = 80
# More commands than this do not help.
_CHECKS = 3
HEADINGS = ("SHARE", "OUTCOME", "DESTINATION", "NODE", "SOURCE SEEN", "DECIDED BY")

VERDICTS = {
    Verdict.ENDPOINT: "reaches the endpoint",
    Verdict.POD: "reaches the pod",
    Verdict.WRONG_ENDPOINT: "goes elsewhere",
    Verdict.HOST_ENDPOINT: "reaches the host endpoint",
    Verdict.SENT_TO_NODE: "goes to the endpoint's node",
    Verdict.NODE: "reaches the node itself",
    Verdict.LEAVES: "leaves untranslated",
    Verdict.ONE_WAY: "its answer gets lost",
    Verdict.REFUSED: "refused",
    Verdict.DROPPED: "dropped",
    Verdict.UNKNOWN: "not known",
    Verdict.STAYS: "stays with its sender",
}


def share_text(share: Fraction) -> str:
    """A share as people read it: exact where that is short, else in per cent."""
    if share == 1:
        return "all"
    # Small enough that people see the number of endpoints in it.
    if share.denominator <= 100:
        return str(share)
    return f"{float(share) * 100:.4g} %"


def reasons_beside(answer: Trace) -> tuple[Reason, ...]:
    """The reasons but the one that stands in the line of `answer_line`."""
    line = _answer(answer)
    return tuple(reason for reason in answer.reasons if reason.text not in line)


def answer_line(answer: Trace) -> str:
    """The answer in one line."""
    return printable(_answer(answer), 1000)


def _answer(answer: Trace) -> str:
    whom = answer.subject or f"{answer.packet.destination}"
    why = answer.reasons[0].text if answer.reasons else ""
    if answer.arrives:
        found = {o.where: o for d in answer.distributions for o in d.outcomes}
        line = f"arrives: {_reached(whom, list(found.values()))}"
        if len(answer.distributions) > 1:
            line += "; which one depends on the state of the node (see below)"
        if answer.assumptions:
            line += f"; assumed: {'; '.join(answer.assumptions)}"
        return line
    if any(distribution.arrives for distribution in answer.distributions):
        return f"depends: it arrives in some cases and not in others (see below); {why}"
    arriving = {
        sum((o.share for o in d.outcomes if o.arrives), Fraction(0)) for d in answer.distributions
    }
    if arriving == {Fraction(0)}:
        ends = [o for d in answer.distributions for o in d.outcomes]
        open_ends = [outcome.text for outcome in ends if outcome.verdict is Verdict.UNKNOWN]
        if len(open_ends) == len(ends):
            return f"not known: {why}"
        if open_ends:
            return f"not known: {open_ends[0] or why}"
        return f"does not arrive: {why}"
    share = share_text(max(arriving))
    return f"arrives in part: {share} of new connections to {whom}; the others do not: {why}"


def _reached(whom: str, outcomes: Sequence[Outcome]) -> str:
    if len(outcomes) == 1:
        only = outcomes[0]
        where = f"{whom} at {only.where}" if only.where != whom else whom
        on = f" on {only.node}" if only.node else ""
        return f"{where}{on}, which sees {_source(only)}"
    sources = {_source(outcome) for outcome in outcomes}
    seen = sources.pop() if len(sources) == 1 else "a source that differs (see below)"
    return f"{whom}, one of {len(outcomes)} endpoints, which sees {seen}"


def _source(outcome: Outcome) -> str:
    if outcome.source_rewritten:
        return f"the source {outcome.source} instead of the sender's"
    return f"the sender's own address ({outcome.source})"


def hypotheses(answer: Trace) -> list[tuple[str, Distribution]]:
    """Each distribution with what has to be so, as one sentence; the only one has none.

    What holds in more than one way comes last and is what is left.
    """
    if not any(distribution.hypothesis for distribution in answer.distributions):
        return [("", distribution) for distribution in answer.distributions]
    several = [d for d in answer.distributions if len(d.hypotheses) > 1]
    rest = several[0] if answer.exhaustive and len(several) == 1 else None
    found = [(_condition(d), d) for d in answer.distributions if d is not rest]
    return found if rest is None else [*found, ("In every other case:", rest)]


def _condition(distribution: Distribution) -> str:
    by_node: dict[str, list[str]] = {}
    for node, command in distribution.checks[:_CHECKS]:
        by_node.setdefault(node, []).append(f"`{command}`")
    told = ", ".join(f"{' and '.join(by_node[node])} on {node}" for node in by_node)
    verb = "tell" if len(distribution.checks) > 1 else "tells"
    hint = f" ({told} {verb})" if told else ""
    return printable(f"If {distribution.hypothesis}{hint}:", 1000)


def outcome_rows(distribution: Distribution) -> list[tuple[str, ...]]:
    """The outcomes as rows under `HEADINGS`; what one rule ends alike is one row."""
    alike: dict[object, list[Outcome]] = {}
    for number, outcome in enumerate(distribution.outcomes):
        end = outcome.verdict, outcome.rule, outcome.node, str(outcome.source), outcome.text
        alike.setdefault(number if outcome.arrives else end, []).append(outcome)
    return [_row(outcomes) for outcomes in alike.values()]


def _row(outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    first = outcomes[0]
    cells = (
        share_text(sum((outcome.share for outcome in outcomes), Fraction(0))),
        VERDICTS[first.verdict],
        first.where if len(outcomes) == 1 else f"{first.where} and {len(outcomes) - 1} more",
        first.node or "-",
        f"{first.source}{' (rewritten)' if first.source_rewritten else ''}",
        _rule(first),
    )
    return tuple(printable(cell, 120) for cell in cells)


def _rule(outcome: Outcome) -> str:
    if outcome.code:
        return "others than the rules"
    if outcome.rule is None:
        return outcome.text or "-"
    return outcome.rule.place


def table_lines(rows: Sequence[Sequence[str]], width: int = WIDTH) -> Iterator[str]:
    """Rows as lines with the columns one below the other.

    Columns that do not fit beside the others go to a line of their own below, indented to where
    the second column begins.
    """
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    folded = list(_folded(widths, width))
    for row in rows:
        for indent, columns in folded:
            cells = "  ".join(row[column].ljust(widths[column]) for column in columns).rstrip()
            margin = " " * indent
            if indent + len(cells) <= width:
                yield margin + cells
            else:
                yield from textwrap.wrap(
                    cells, width, initial_indent=margin, subsequent_indent=margin,
                    break_long_words=False, break_on_hyphens=False,
                )  # fmt: skip


def _folded(widths: Sequence[int], width: int) -> Iterator[tuple[int, list[int]]]:
    """Which columns stand on one line: how far it is indented, and their numbers."""
    indent, columns, used = 0, [0], widths[0]
    for column, needed in enumerate(widths[1:], 1):
        if used + 2 + needed > width:
            yield indent, columns
            indent, columns, used = widths[0] + 2, [column], widths[0] + 2 + needed
        else:
            columns.append(column)
            used += 2 + needed
    yield indent, columns


@frozen
class TreeLine:
    """One line of a walk as a tree: `kind` is hook, table, rule, branch or end."""

    kind: str
    text: str
    note: str = ""


def tree_lines(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """The walk as a tree: what the outcomes have in common is said once."""
    for line in tree(outcomes):
        yield f"{line.text}   {line.note}" if line.note else line.text


def tree(outcomes: Sequence[Outcome]) -> Iterator[TreeLine]:
    """As `tree_lines`, for whoever shows notes and rules apart."""
    yield from _branches([(outcome.path, outcome) for outcome in outcomes], "", None)


def _branches(
    paths: Sequence[tuple[tuple[Step, ...], Outcome]], indent: str, before: Step | None
) -> Iterator[TreeLine]:
    position = 0
    while all(len(path) > position for path, _ in paths):
        step = paths[0][0][position]
        if any(path[position] != step for path, _ in paths):
            break
        yield from _step_lines(step, before, indent)
        before = step
        position += 1
    ended = [outcome for path, outcome in paths if len(path) == position]
    for outcome in ended:
        text = f"{indent}=> {share_text(outcome.share)}: {printable(_end(outcome), 200)}"
        yield TreeLine("end", text)
    groups: dict[Step, list[tuple[tuple[Step, ...], Outcome]]] = {}
    for path, outcome in paths:
        if len(path) > position:
            groups.setdefault(path[position], []).append((path[position:], outcome))
    for group in groups.values():
        share = sum((outcome.share for _, outcome in group), Fraction(0))
        yield TreeLine("branch", f"{indent}+- {share_text(share)} of the packets")
        yield from _branches(group, indent + "|  ", before)


def _step_lines(step: Step, before: Step | None, indent: str) -> Iterator[TreeLine]:
    if before is None or (step.node, step.hook) != (before.node, before.hook):
        yield TreeLine("hook", f"{indent}{printable(step.node)} {step.hook}")
    if before is None or (step.node, step.hook, step.backend, step.table) != (
        before.node,
        before.hook,
        before.backend,
        before.table,
    ):
        yield TreeLine("table", f"{indent}  {f'{step.backend} {step.table}'.lstrip()}")
    note = printable(f"[{step.note}]") if step.note else ""
    yield TreeLine("rule", f"{indent}    {'  ' * step.depth}{printable(step.line, 400)}", note)


def _end(outcome: Outcome) -> str:
    text = f"{VERDICTS[outcome.verdict]} {outcome.where}"
    if outcome.node:
        text += f" on {outcome.node}"
    return text + (f" ({outcome.text})" if outcome.text and not outcome.code else "")
