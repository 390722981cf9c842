"""Through the rules of one node: hooks, tables, chains, and what rules do."""

from nptables.tracing.traversal.walker import MOST_STEPS

__all__ = ["MOST_STEPS"]
