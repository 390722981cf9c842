"""Findings about manifests and nodes: what is wrong or risky, why, and what to do."""

from typing import TYPE_CHECKING

from nptables.checks.cluster import check_cluster
from nptables.checks.codes import CODES
from nptables.checks.finding import Code, Finding, Severity, arranged, chosen
from nptables.lazily import imported_on_use

if TYPE_CHECKING:
    from nptables.checks.connections import check_connections
    from nptables.checks.node import NodeState, check_node
    from nptables.checks.shared import wrong_in_shared_chains

# What looks at a node takes all that knows where packets go, which manifests alone do without.
__getattr__ = imported_on_use(
    __name__,
    {
        "NodeState": "nptables.checks.node",
        "check_connections": "nptables.checks.connections",
        "check_node": "nptables.checks.node",
        "wrong_in_shared_chains": "nptables.checks.shared",
    },
)

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
