"""Keeping the tables of one family at what an incremental translator says, change by change."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from nptables.incremental import IncrementalTranslator, PendingChanges, Update
from nptables.iptables.changes import Plan, diff
from nptables.kernel.tables.applier import Applied, Applier
from nptables.kernel.tables.backend import Backend

# By backend: lines to delete from one shared chain above which it is rewritten. On nft a deletion
# costs what the chain does, on legacy a hundred of them cost no more than one.
MOST_REMOVED = {"nft": 32, "legacy": 128, "iptc": 128}


@attrs.frozen
class Followed:
    """What a sync did: the update, the plan that was carried out, and how that went.

    `read` says that the tables were read first, since nobody knew for certain what they hold.
    """

    update: Update
    plan: Plan
    applied: Applied
    read: bool


class Follower:
    """Brings the kernel what is pending, and knows when it no longer knows what the kernel has.

    While all goes well a sync reads nothing and writes what the changes change. From the start,
    after anything that failed, and after `doubt`, the tables are read and compared first.

    What is in `pending` is forgotten only once the kernel has accepted it. One thread at a time.
    """

    def __init__(
        self,
        backend: Backend,
        translator: IncrementalTranslator,
        *,
        applier: Callable[[Backend, bool], Applier] | None = None,
    ) -> None:
        if backend.family is not translator.family:
            raise ValueError(
                f"the backend is for {backend.family.value} and the translator for "
                f"{translator.family.value}"
            )
        self.translator = translator
        self.pending = PendingChanges()
        self._backend = backend
        self._applier = applier or (lambda backend, verify: Applier(backend, verify=verify))
        self._most_removed = MOST_REMOVED.get(backend.name, min(MOST_REMOVED.values()))
        self._certain = False

    @property
    def certain(self) -> bool:
        """Whether the kernel is known to hold what the translator last accepted."""
        return self._certain

    def doubt(self) -> None:
        """Somebody else may have changed our rules: read them at the next sync."""
        self._certain = False

    def sync(self) -> Followed:
        """Bring the kernel what is pending. Raises what `Applier.apply` raises.

        After an error the changes are still pending, and the next sync reads and converges.
        """
        read = not self._certain
        update = self.translator.prepare(self.pending.take())
        if read:
            plan = diff(self._backend.read(), update.desired)
        else:
            plan = update.plan(most_removed=self._most_removed)
        self._certain = False
        applied = self._applier(self._backend, read).apply(plan)
        self._certain = True
        self.translator.accept(update)
        self.pending.accepted()
        return Followed(update, plan, applied, read)
