"""What the tracer foretells of a packet, beside what the kernel did with it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, ParamSpec, TypeVar
from unittest.mock import patch

from nptables.iptables.rule import Rule
from nptables.tracing import Origin, Packet, Verdict, trace
from nptables.tracing.addressing import net, number
from nptables.tracing.state import Questions
from nptables.tracing.traversal import walker
from nptables.tracing.traversal.actions import Kind, compile_action

if TYPE_CHECKING:
    from collections.abc import Callable

    from nptables import Ruleset, Trace
    from nptables.model import Node
    from nptables.tracing import Outcome
    from nptables.tracing.addressing import Address
    from nptables.tracing.sets import Sets
    from tests.lab.walks.wire import Seen, Sent

P = ParamSpec("P")
T = TypeVar("T")
Hits = Counter[tuple[str, str, str]]

_ENDED = {Verdict.DROPPED, Verdict.REFUSED}
_HERE = {Verdict.NODE, Verdict.HOST_ENDPOINT}


@dataclass(frozen=True)
class Foretold:
    """What the tracer says, and whether it had to leave nothing open on the way."""

    answer: Trace
    sure: bool

    @property
    def outcomes(self) -> list[Outcome]:
        """Everything that may happen."""
        return [outcome for found in self.answer.distributions for outcome in found.outcomes]


def foretold(rules: Ruleset, sent: Sent, tracking: str, node: Node, sets: Sets) -> Foretold:
    """Ask the tracer."""
    packet = Packet(
        sent.destination,
        sent.port or None,
        sent.protocol,
        source=sent.source,
        source_port=sent.source_port if sent.port else None,
        origin=None if sent.device else Origin.NODE,
        in_interface=sent.device or None,
        mark=sent.mark,
        tracking=tracking,
        tcp_flags=sent.flags,
        icmp_type=None if sent.port else sent.icmp,
    )
    # A question or a chance without consequence leaves no trace in the answer, only in its path.
    left_open: list[object] = []
    with (
        patch.object(Questions, "number", _noting(Questions.number, left_open)),
        patch.object(walker, "scaled", _noting(walker.scaled, left_open)),
    ):
        answer = trace(rules, packet, node, sets=sets)
    return Foretold(answer, sure=not left_open)


def _noting(function: Callable[P, T], calls: list[object]) -> Callable[P, T]:
    """A function that also notes each call; to make a mock takes as long as a trace."""

    def noted(*arguments: P.args, **options: P.kwargs) -> T:
        calls.append(arguments)
        return function(*arguments, **options)

    return noted


def hits(outcome: Outcome) -> Hits:
    """How often each rule is met on the way to an outcome."""
    steps = [step for step in outcome.path if step.line.startswith("-A ")]
    return Counter((step.table, step.chain, step.line) for step in steps)


def counted(rules: Ruleset) -> Hits:
    """The counters of all rules that the tracer has steps for: not those that only count."""
    found: Hits = Counter()
    for table in rules.tables.values():
        for chain, lines in table.chains.items():
            for line, counters in zip(lines, table.line_counters.get(chain, ()), strict=True):
                rule = Rule.parse(line, rules.family)
                action = compile_action(rule, is_chain=table.chains.__contains__)
                if action.kind is not Kind.NEXT:
                    packets = int(counters.strip("[]").partition(":")[0])
                    found[table.name, chain, line] = packets
    return found


def fits(outcome: Outcome, seen: list[Seen]) -> bool:
    """Whether a packet came out where an outcome says."""
    if outcome.verdict in _ENDED:
        return not seen
    if len(seen) != 1:
        return False
    (found,) = seen
    if (found.where == "node") is not (outcome.verdict in _HERE):
        return False
    port = outcome.port in (None, found.port)
    source, destination = outcome.source, outcome.destination
    return port and _may_be(source, found.source) and _may_be(destination, found.destination)


def _may_be(address: Address, seen: str) -> bool:
    if isinstance(address, str):
        return address == seen
    first, _, last = address.text.removeprefix("one of ").partition(" to ")
    if not last:
        return address.is_in(net(seen)) is not False
    return number(first) <= number(seen) <= number(last)
