"""Keeping up with change: a translation that costs what the change costs, whatever the cluster.

`PendingChanges` collects what happens to objects, `IncrementalTranslator` says what that changes in
the rules of one node and family, and `Update` is the answer, which becomes a Plan for the kernel.
Translating one service port is the same pure function as in a translation from scratch; this
package only decides which to call again and how the results join.
"""

from nptables.incremental.changes import Changes, PendingChanges
from nptables.incremental.update import IncrementalTranslator, Update

__all__ = ["Changes", "IncrementalTranslator", "PendingChanges", "Update"]
