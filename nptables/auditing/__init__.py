"""Judging the nodes of a cluster: which of them do what the cluster says, and why others do not.

Pure: reading and writing a folder of snapshots is `sources.fleet`.
"""

from nptables.auditing.judging import GRACE, Judge, Options, audit
from nptables.auditing.movements import Movement
from nptables.auditing.verdicts import (
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
