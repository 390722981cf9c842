"""Through the rules of one node: hooks, tables, chains, and what rules do."""

from nptables.tracing.walking.steps import Step
from nptables.tracing.walking.walker import MOST_STEPS

__all__ = ["MOST_STEPS", "Step"]
