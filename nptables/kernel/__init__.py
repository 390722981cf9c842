"""The node: its iptables tables, its facts and settings. Nothing else in nptables touches it.

What the caller may expect. `Applier.apply(plan)` brings the part of one family's tables that an
Ownership names to what the plan desires, or raises one of the errors of `nptables.errors` that
says what was refused, by whom and why. Whatever it raises, and whenever the process is killed,
the tables are in a state that the next apply converges from, and no packet has met a state worse
than that before or after.

The goals, by number, and how each is met:

1. Nobody else's rules, policies or counters change. A plan holds only what the Ownership names; no
   built-in chain is ever declared in what is fed to iptables-restore, and its `--noflush` leaves
   alone every chain that is not declared. Reading never creates a table.
2. No packet is worse off half-way. Each table commits by itself, so the order is: filter with old
   and new rules, nat, filter in its final state, deletions (`nptables.iptables.changes.steps`). A
   chain that remembers clients (`recent`) is rewritten within one commit, since a list that no
   rule names for a moment is lost.
3. What others use stays. A chain that a foreign rule leads to is emptied and kept. Deletions go
   along with the last commit of their table; where the kernel refuses one, they follow all other
   commits, and what it refuses is found by halves and reported.
4. Others may write at the same time. On legacy the xtables lock is waited for, by iptables itself
   or by us around libiptc; on nft a commit is a transaction. Where the tables moved between
   reading and writing, the refused plan is made anew, a few times.
5. It is true afterwards. The tables are read back and compared once more; a second apply of the
   same rules issues nothing.
6. It is quick. nft takes far longer for one large commit than for many small ones, so chains that
   nothing leads to yet come in pieces, leaves first, and what leads to them in one commit behind.
7. Errors are for people. They are classified by backend, exit code and text, and carry the line
   and the Service; where the backend does not say which line, halving finds it.

What is safe from where. Functions here block, and take the seconds they may block for. An Applier
and a Backend belong to one thread at a time; different families may be applied from different
threads. Clock, sleep and process start are passed in, so that tests drive them.

`tables/` has the backends and the applier, `node/` the facts and settings of the node, `snapshot/`
what looks at all of it at once, `reconciler` keeps the tables of one family current, and
`confirming` is the process that takes changes back.
"""

from nptables.kernel.tables.applier import Applied, Applier, apply
from nptables.kernel.tables.backend import Backend
from nptables.kernel.tables.choosing import Choice, choose
from nptables.kernel.tables.restoring import ReadTimeout, RestoreBackend

__all__ = [
    "Applied",
    "Applier",
    "Backend",
    "Choice",
    "ReadTimeout",
    "RestoreBackend",
    "apply",
    "choose",
]
