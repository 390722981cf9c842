"""What is known of a node: its tables and everything else that a question about it may need.

Pure: reading files is `sources.evidence`, asking the kernel is `kernel`.
"""

from typing import TYPE_CHECKING

from nptables.lazily import imported_on_use

if TYPE_CHECKING:
    from nptables.evidence.node import (
        Bridge,
        Evidence,
        Form,
        Gap,
        Process,
        RecentList,
        Unread,
    )

__all__ = [
    "Bridge",
    "Evidence",
    "Form",
    "Gap",
    "Process",
    "RecentList",
    "Unread",
]

# Who follows packets in the rules that a cluster makes has no evidence of a node.
__getattr__ = imported_on_use(__name__, dict.fromkeys(__all__, "nptables.evidence.node"))
