"""What packets notice of the difference between two states of a node."""

from nptables.effects.comparing import compare_effects
from nptables.effects.fates import Case, Fate, Reached
from nptables.effects.result import Effect, Effects, Sources
from nptables.effects.source_classes import Who
from nptables.effects.state import NodeState

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
