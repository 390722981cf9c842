"""An answer for people: one line, a table of outcomes, and the walk as a tree.

Everything that comes from rules or objects is made printable: a comment cannot move the cursor.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from nptables.errors import printable
from nptables.tracing.telling.result import Distribution, Outcome, Trace, Verdict
from nptables.tracing.walking.walker import Step

HEADINGS = ("SHARE", "OUTCOME", "DESTINATION", "NODE", "SOURCE SEEN", "DECIDED BY")

_VERDICTS = {
    Verdict.ENDPOINT: "reaches the endpoint",
    Verdict.POD: "reaches the pod",
    Verdict.HOST_ENDPOINT: "reaches the endpoint in the node's network",
    Verdict.SENT_TO_NODE: "goes to the endpoint's node",
    Verdict.NODE: "reaches the node itself, nobody is known to listen",
    Verdict.LEAVES: "leaves the node untranslated",
    Verdict.ONE_WAY: "reaches the endpoint, the answer gets lost",
    Verdict.REFUSED: "refused",
    Verdict.DROPPED: "dropped",
    Verdict.UNKNOWN: "not known",
    Verdict.STAYS: "stays with its sender",
}


def share_text(share: Fraction) -> str:
    """A share as people read it: exact where that is short, else in per cent."""
    if share == 1:
        return "all"
    if share.denominator <= 100:
        return str(share)
    return f"{float(share) * 100:.4g} %"


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
            line += "; which one depends on what the node remembers or knows (see below)"
        return line
    if all(o.verdict is Verdict.UNKNOWN for d in answer.distributions for o in d.outcomes):
        return f"not known: {why}"
    if any(distribution.arrives for distribution in answer.distributions):
        return f"depends: it arrives in some cases and not in others (see below); {why}"
    arriving = {
        sum((o.share for o in d.outcomes if o.arrives), Fraction(0)) for d in answer.distributions
    }
    if arriving == {Fraction(0)}:
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


def outcome_rows(distribution: Distribution) -> list[tuple[str, ...]]:
    """The outcomes as rows under `HEADINGS`."""
    return [
        tuple(
            printable(cell, 120)
            for cell in (
                share_text(outcome.share),
                _VERDICTS[outcome.verdict],
                outcome.where,
                outcome.node or "-",
                f"{outcome.source}{' (rewritten)' if outcome.source_rewritten else ''}",
                _rule(outcome),
            )
        )
        for outcome in distribution.outcomes
    ]


def _rule(outcome: Outcome) -> str:
    if outcome.rule is None:
        return outcome.text or "-"
    return f"{outcome.rule.table} {outcome.rule.chain}"


def table_lines(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Rows as lines with the columns one below the other."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def tree_lines(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """The walk as a tree: what the outcomes have in common is said once."""
    yield from _branches([(outcome.path, outcome) for outcome in outcomes], "", None)


def _branches(
    paths: Sequence[tuple[tuple[Step, ...], Outcome]], indent: str, before: Step | None
) -> Iterator[str]:
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
        yield f"{indent}=> {share_text(outcome.share)}: {printable(_end(outcome), 200)}"
    groups: dict[Step, list[tuple[tuple[Step, ...], Outcome]]] = {}
    for path, outcome in paths:
        if len(path) > position:
            groups.setdefault(path[position], []).append((path[position:], outcome))
    for group in groups.values():
        share = sum((outcome.share for _, outcome in group), Fraction(0))
        yield f"{indent}+- {share_text(share)} of the packets"
        yield from _branches(group, indent + "|  ", before)


def _step_lines(step: Step, before: Step | None, indent: str) -> Iterator[str]:
    if before is None or (step.node, step.hook) != (before.node, before.hook):
        yield f"{indent}{printable(step.node)} {step.hook}"
    if before is None or (step.node, step.hook, step.table) != (
        before.node,
        before.hook,
        before.table,
    ):
        yield f"{indent}  {step.table}"
    note = f"   [{step.note}]" if step.note else ""
    yield f"{indent}    {'  ' * step.depth}{printable(step.line, 400)}{printable(note, 200)}"


def _end(outcome: Outcome) -> str:
    text = f"{_VERDICTS[outcome.verdict]} {outcome.where}"
    if outcome.node:
        text += f" on {outcome.node}"
    return text + (f" ({outcome.text})" if outcome.text else "")
