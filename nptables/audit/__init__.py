"""Judging the nodes of a cluster: which of them do what the cluster says, and why others do not.

Pure: reading and writing a folder of snapshots is `sources.fleet`.
"""

from nptables.audit.fleet import audit
from nptables.audit.judging import GRACE, Judge, Options
from nptables.audit.movements import Movement
from nptables.audit.verdicts import (
    Cause,
    NodeCause,
    NodeResult,
    Verdict,
    group_causes,
    summary,
)

__all__ = [
    "GRACE",
    "Cause",
    "Judge",
    "Movement",
    "NodeCause",
    "NodeResult",
    "Options",
    "Verdict",
    "audit",
    "group_causes",
    "summary",
]
