"""What ipsets hold, for rules that match on them."""

from nptables.tracing.sets.members import IpSet, Sets
from nptables.tracing.sets.parts import Side
from nptables.tracing.sets.saved import read_sets

__all__ = ["IpSet", "Sets", "Side", "read_sets"]
