"""What is known of a node: its tables and everything else that a question about it may need.

Pure: reading files is `sources.evidence`, asking the kernel is `kernel`.
"""

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
