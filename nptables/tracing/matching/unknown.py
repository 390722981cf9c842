"""Matches whose answer only the node, the time or the packet's contents could give."""

from __future__ import annotations

from nptables.tracing.matching.answers import Answer, Condition, Setting, asking
from nptables.tracing.state import State

# They match whatever comes: a comment is for readers, nfacct counts.
NEVER_IN_THE_WAY = frozenset({"comment", "nfacct"})


def unknown_condition(key: str, text: str) -> Condition:
    """A question of its own: whether `text` holds."""

    def holds(state: State, setting: Setting) -> Answer:
        return asking(state, setting, ("unknown", key), f"{text} holds", f"{text} does not hold")

    return holds
