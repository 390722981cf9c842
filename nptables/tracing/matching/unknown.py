"""Matches whose answer only the node, the time or the packet's contents could give."""

from __future__ import annotations

from nptables.iptables.rule import Match, Option
from nptables.iptables.unshown import HOLDS_MATCH, UNREAD_MATCH
from nptables.tracing.matching.answers import Answer, Condition, Setting, asking, inverted
from nptables.tracing.state import State

# They match whatever comes: a comment is for readers, nfacct counts, and of one that a reader
# writes for such a match only the values are not shown.
NEVER_IN_THE_WAY = frozenset({"comment", "nfacct", HOLDS_MATCH})


def unknown_condition(key: str, text: str) -> Condition:
    """A question of its own: whether `text` holds."""

    def holds(state: State, setting: Setting) -> Answer:
        return asking(state, setting, ("unknown", key), f"{text} holds", f"{text} does not hold")

    return holds


def unknown_option(match: Match, option: Option, where: str) -> Condition:
    """A question of its own about one option of a match whose others are known."""
    text = f"{match.name} {option.name} {option.value}".strip()
    holds = unknown_condition(f"{where}: {text}", f"the match {text}")
    return inverted(holds, negated=option.negated)


def unknown_match(match: Match, where: str) -> Condition:
    """A question of its own about a whole match, or about words that no reader understood."""
    if match.name == UNREAD_MATCH:
        words = " ".join(option.value for option in match.options)
        return unknown_condition(f"{where}: {words}", f'the condition "{words}" of {where}')
    text = " ".join(
        part
        for option in match.options
        for part in (*(["!"] if option.negated else []), option.name, *option.values)
    )
    return unknown_condition(
        f"{where}: {match.name} {text}", f"the match {match.name} {text}".strip()
    )
