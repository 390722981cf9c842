"""Findings about manifests and nodes: what is wrong or risky, why, and what to do."""

from nptables.checks.cluster import check_cluster
from nptables.checks.codes import CODES
from nptables.checks.connections import check_connections
from nptables.checks.finding import Code, Finding, Severity, arranged, chosen
from nptables.checks.node import NodeState, check_node
from nptables.checks.shared import wrong_in_shared_chains

__all__ = [
    "CODES",
    "Code",
    "Finding",
    "NodeState",
    "Severity",
    "arranged",
    "check_cluster",
    "check_connections",
    "check_node",
    "chosen",
    "wrong_in_shared_chains",
]
