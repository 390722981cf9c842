"""What packets notice of the difference between two states of a node."""

from nptables.effects.comparing import compare_effects
from nptables.effects.following.fates import Case, Fate, Reached
from nptables.effects.senders.sites import Who
from nptables.effects.state import NodeState
from nptables.effects.telling.result import Effect, Effects, Sources

__all__ = [
    "Case",
    "Effect",
    "Effects",
    "Fate",
    "NodeState",
    "Reached",
    "Sources",
    "Who",
    "compare_effects",
]
