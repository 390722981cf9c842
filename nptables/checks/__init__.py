"""Findings about manifests and nodes: what is wrong or risky, why, and what to do."""

from nptables.checks.cluster import check_cluster
from nptables.checks.codes import CODES
from nptables.checks.finding import Code, Finding, Severity, chosen
from nptables.checks.node import NodeState, check_node

__all__ = [
    "CODES",
    "Code",
    "Finding",
    "NodeState",
    "Severity",
    "check_cluster",
    "check_node",
    "chosen",
]
