"""What has to change so that one ruleset becomes another: comparing, plans and their steps."""

from typing import TYPE_CHECKING

from nptables.lazily import imported_on_use

if TYPE_CHECKING:
    from nptables.iptables.changes.comparing import diff, undo
    from nptables.iptables.changes.parts import ChainChange, Insertion, TablePlan
    from nptables.iptables.changes.plan import Plan
    from nptables.iptables.changes.steps import Step

__all__ = ["ChainChange", "Insertion", "Plan", "Step", "TablePlan", "diff", "undo"]

# Who compares two lines needs no plan.
__getattr__ = imported_on_use(
    __name__,
    {
        "ChainChange": "nptables.iptables.changes.parts",
        "Insertion": "nptables.iptables.changes.parts",
        "Plan": "nptables.iptables.changes.plan",
        "Step": "nptables.iptables.changes.steps",
        "TablePlan": "nptables.iptables.changes.parts",
        "diff": "nptables.iptables.changes.comparing",
        "undo": "nptables.iptables.changes.comparing",
    },
)
