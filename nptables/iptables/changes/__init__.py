"""What has to change so that one ruleset becomes another: comparing, plans and their steps."""

from nptables.iptables.changes.comparing import diff, undo
from nptables.iptables.changes.parts import ChainChange, Insertion, TablePlan
from nptables.iptables.changes.plan import Plan
from nptables.iptables.changes.steps import Step

__all__ = ["ChainChange", "Insertion", "Plan", "Step", "TablePlan", "diff", "undo"]
