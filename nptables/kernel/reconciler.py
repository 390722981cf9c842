"""Keeping the tables of one family at what an incremental translator says, change by change."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from nptables.errors import ReadingStarved
from nptables.gcpause import collector_paused
from nptables.immutable import frozen
from nptables.incremental import IncrementalTranslator, PendingChanges, Update
from nptables.incremental.update import MOST_REMOVED
from nptables.iptables import Ruleset
from nptables.iptables.changes import Plan, diff
from nptables.kernel.tables.applier import Applied, Applier
from nptables.kernel.tables.backend import Backend
from nptables.kernel.tables.canaries import CANARIES, has_canaries, plant_canaries
from nptables.kernel.tables.restoring import RestoreBackend
from nptables.translation.owned import ever_owned

# By backend: lines to delete from one shared chain above which it is rewritten. On nft a deletion
# looks through the chain, on legacy a hundred of them cost no more than one (docs/performance.md).
_MOST_REMOVED = {"nft": MOST_REMOVED, "legacy": 128, "iptc": 128}


@frozen
class SyncResult:
    """What a sync did: the update, the plan that was carried out, and how that went.

    `read` says that the tables were read first, and `verified` that they were seen to hold what
    they should. `found` is what they held, where they were read.
    `drift` is what somebody else had changed in them, as far as that is known: there is none where
    nobody looked, and it is not known while nobody knew for certain what they should hold.
    `starved` says why the tables were not read where they should have been, if others kept us from
    it; what had to be written was written all the same.
    """

    update: Update
    plan: Plan
    applied: Applied
    read: bool
    verified: bool = False
    found: Ruleset | None = attrs.field(default=None, repr=False)
    drift: Plan | None = None
    starved: ReadingStarved | None = None


class Reconciler:
    """Brings the kernel what is pending, and knows when it no longer knows what the kernel has.

    While all goes well a sync reads nothing and writes what the changes change. At the start, after
    anything that failed, and where it is asked for, the tables are read and compared first. Where
    others change them faster than they can be read, it goes on without.

    What was written is read back only where reading was asked for: the kernel has accepted it, and
    on a large node reading it takes as long as a sync may. Whoever starts, or goes on after a
    failure, asks for that next.

    The canaries (see `nptables.kernel.tables.canaries`) are written along with whatever is to do
    if they are missing, since on legacy every commit costs what the whole table does.

    What is in `pending` is forgotten only once the kernel has accepted it. `writing` says whether
    the last sync came to writing. One thread at a time.
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
        self.writing = False
        self._backend = backend
        self._applier = applier or (lambda backend, verify: Applier(backend, verify=verify))
        self._most_removed = _MOST_REMOVED.get(backend.name, MOST_REMOVED)
        self._certain = False
        self._canaries = False

    @property
    def certain(self) -> bool:
        """Whether the kernel is known to hold what the translator last accepted."""
        return self._certain

    def sync(self, *, read: bool = False) -> SyncResult:
        """Bring the kernel what is pending. Raises what `Applier.apply` raises.

        With `read` the tables are read and compared even where it is known what they hold. After
        an error in writing the changes are still pending, and the next sync reads and converges.
        """
        self.writing = False
        certain = self._certain
        update = self.translator.prepare(self.pending.take())
        desired = update.desired
        found, starved = None, None
        if read or not certain:
            found, starved = self._read(desired)
        if found is None and not certain:
            # Others commit faster than anybody can read. To wait for them would leave the node
            # without rules; chains that were not read are rewritten, whatever they hold.
            found = self._backend.read_parts(ever_owned())
        if found is None:
            plan = update.plan(most_removed=self._most_removed)
        else:
            with collector_paused():
                plan = diff(found, desired)
            self._canaries = has_canaries(found)
        # From here on nobody knows what the kernel holds until it has accepted everything. An error
        # leaves it at that, and the next sync reads.
        self._certain = False
        self.writing = True
        applier = self._applier(self._backend, read)
        applier.blind, applier.starved = True, starved
        applier.beside = {} if self._canaries else CANARIES
        applied = applier.apply(plan)
        if applied.found is not None:
            self._canaries = has_canaries(applied.found)
        self._canaries = self._canaries or applied.beside
        starved = starved or applied.starved
        seen, drift = found or applied.found, None
        # Only who knew what the tables should hold can call a difference somebody else's.
        if certain and seen is not None and not seen.partial:
            wanted = plan if seen is found else diff(seen, desired)
            drift = self._drift(seen, wanted, update)
        self._certain = True
        # First the state, then the changes: between the two they are there twice, and never not at
        # all.
        self.translator.accept(update)
        self.pending.accepted()
        whole = found is not None and starved is None
        verified = whole and (applied.verified or not plan)
        return SyncResult(update, plan, applied, whole, verified, seen, drift, starved)

    def plant_canaries(self) -> None:
        """Write the canaries if they are not there. Raises KernelRefused or KernelBusy."""
        if not self._canaries:
            plant_canaries(self._backend)
            self._canaries = True

    def _read(self, desired: Ruleset) -> tuple[Ruleset | None, ReadingStarved | None]:
        backend = self._backend
        try:
            if isinstance(backend, RestoreBackend):
                return backend.read_like(desired), None
            return backend.read(), None
        except ReadingStarved as error:
            return None, error

    def _drift(self, found: Ruleset, wanted: Plan, update: Update) -> Plan:
        """What of `wanted` is due to somebody else: all that is not as it was before the update."""
        return wanted.in_common(diff(found, self.translator.translation())) if update else wanted
