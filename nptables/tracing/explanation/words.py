"""An answer for people: one line, a table of outcomes, and the walk as a tree.

Everything that comes from rules or objects is made printable: a comment cannot move the cursor.
"""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterator, Sequence
from fractions import Fraction

from nptables.errors import printable
from nptables.immutable import frozen
from nptables.tracing.explanation.result import Distribution, Outcome, Trace, Verdict
from nptables.tracing.state import Step
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

_NOTICED = {
    Verdict.DROPPED: "drops the packet: the sender gets no answer",
    Verdict.REFUSED: "refuses the packet: the sender gets an error at once",
}
_MEANINGS = {
    "no-local-endpoint": "Local means that each node hands this traffic only to Pods that run on "
    "the node itself.",
    "no-endpoint": "The endpoints of a Service are the addresses of its Pods that are ready. "
    "Without one there is nobody to hand the packet to.",
    "source-range": "loadBalancerSourceRanges lists the addresses that may use the Service through "
    "its load balancer. Everybody else is turned away.",
    "policy-drop": "The policy of a chain is what happens to packets that none of its rules has "
    "decided about.",
    "one-way": "The answer comes back to the sender from an address that it never wrote to, so the "
    "sender throws it away.",
    "stale-rule": "The rules on the node and the objects of the cluster do not belong together: "
    "one of the two is older, or they are of different clusters.",
    "wrong-endpoint": "Another program, or an older rule, takes the packet before the rules of the "
    "Service can.",
}


def meaning_of(answer: Trace) -> str:
    """What the first reason rests on, for somebody who meets it for the first time, or nothing."""
    return _MEANINGS.get(answer.reasons[0].code, "") if answer.reasons else ""


def decided_by(distribution: Distribution) -> Step | None:
    """The rule that decides about every packet, where it is one alone."""
    rules = {outcome.rule for outcome in distribution.outcomes}
    return next(iter(rules)) if len(rules) == 1 else None


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


def in_plain_words(answer: Trace) -> tuple[str, str]:
    """The verdict, and a sentence that says why and what the sender notices of it.

    Both are for somebody who may not know what iptables calls it.
    """
    verdict, rest = _parts(answer, answer.reasons[0].words if answer.reasons else "")
    if answer.arrives:
        rest = f"the packet reaches {rest}"
    return verdict, printable(f"{rest}{_noticed(answer)}", 1000).rstrip(".") + "."


def _noticed(answer: Trace) -> str:
    """What one node does with every packet, and what the sender notices of it."""
    ends = {(o.verdict, o.node) for d in answer.distributions for o in d.outcomes}
    if len(ends) != 1 or not answer.reasons:
        return ""
    ((verdict, node),) = ends
    does = _NOTICED.get(verdict)
    return f", so {node} {does}" if node and does is not None else ""


def _answer(answer: Trace) -> str:
    return ": ".join(_parts(answer, answer.reasons[0].text if answer.reasons else ""))


def _parts(answer: Trace, why: str) -> tuple[str, str]:
    """The verdict, and the rest of the answer with the reason that is given."""
    whom = answer.subject or f"{answer.packet.destination}"
    if answer.arrives:
        found = {o.where: o for d in answer.distributions for o in d.outcomes}
        line = _reached(whom, list(found.values()))
        if len(answer.distributions) > 1:
            line += "; which one depends on the state of the node (see below)"
        if answer.assumptions:
            line += f"; assumed: {'; '.join(answer.assumptions)}"
        return "arrives", line
    if any(distribution.arrives for distribution in answer.distributions):
        return "depends", f"it arrives in some cases and not in others (see below); {why}"
    arriving = {
        sum((o.share for o in d.outcomes if o.arrives), Fraction(0)) for d in answer.distributions
    }
    if arriving == {Fraction(0)}:
        ends = [o for d in answer.distributions for o in d.outcomes]
        open_ends = [outcome.text for outcome in ends if outcome.verdict is Verdict.UNKNOWN]
        if len(open_ends) == len(ends):
            return "not known", why
        if open_ends:
            return "not known", open_ends[0] or why
        return "does not arrive", why
    share = share_text(max(arriving))
    return "arrives in part", f"{share} of new connections to {whom}; the others do not: {why}"


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
    """One line of a walk as a tree: `kind` is hook, table, rule, branch or end.

    `decides` tells the rule that decides about an outcome: it translates, refuses or drops.
    """

    kind: str
    text: str
    note: str = ""
    decides: bool = False


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
        yield from _step_lines(step, before, indent, {outcome.rule for _, outcome in paths})
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


def _step_lines(
    step: Step, before: Step | None, indent: str, deciding: Collection[Step | None]
) -> Iterator[TreeLine]:
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
    text = f"{indent}    {'  ' * step.depth}{printable(step.line, 400)}"
    yield TreeLine("rule", text, note, decides=step in deciding)


def _end(outcome: Outcome) -> str:
    text = f"{VERDICTS[outcome.verdict]} {outcome.where}"
    if outcome.node:
        text += f" on {outcome.node}"
    return text + (f" ({outcome.text})" if outcome.text and not outcome.code else "")
