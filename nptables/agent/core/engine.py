"""One address family: its rules as they should be, what the kernel has, and making it so."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from nptables.agent.core.drift import Differences
from nptables.agent.core.rule_counts import RuleCounts
from nptables.agent.core.schedule import Schedule
from nptables.agent.core.store import Key, Pending
from nptables.errors import BackendUnavailable, KernelError, ReadingStarved
from nptables.family import Family
from nptables.immutable import frozen
from nptables.incremental import Changes, IncrementalTranslator, Update
from nptables.iptables import Ruleset
from nptables.iptables.changes import Plan, diff
from nptables.kernel import Applier, Backend
from nptables.kernel.reconciler import Reconciler
from nptables.kernel.tables.canaries import missing_rules
from nptables.translation import ownership
from nptables.translation.explanation.notices import Notice
from nptables.translation.frontends import Frontend, udp_frontends
from nptables.translation.owned import cleanup_ownership

Frontends = Mapping[Frontend, frozenset[tuple[str, int]]]
# Deletes stale UDP connections; returns how many.
CleanFlows = Callable[[Family, Frontends, Frontends, frozenset[str]], int]


@frozen
class Flows:
    """What became of stale UDP connections: how many were deleted in how many seconds.

    `problem` says why nobody could look, if so.
    """

    deleted: int = 0
    seconds: float = 0.0
    problem: str = ""


@frozen
class Outcome:
    """What a sync or a verification of one family did.

    `plan` is what was to do; `read` says that the kernel was read first, `verified` that it was
    seen to hold what it should, `commits` how many commits it took (0 where only observing).
    `drift` is what others had changed, as far as that is known (see Reconciler). `flows` is None
    where no UDP was concerned. `starved` says why the kernel was not read where it should have
    been.
    """

    family: Family
    plan: Plan
    read: bool
    verified: bool = False
    commits: int = 0
    drift: Plan | None = None
    flows: Flows | None = None
    notices: tuple[Notice, ...] = ()
    starved: ReadingStarved | None = None


class Engine:
    """Keeps one family of the node's tables as a cluster wants them.

    A sync costs what the changes since the last one cost; it reads the kernel first only at the
    start and after a failure. With `observe` it never writes. `clean_flows` deletes stale UDP
    connections, for node ports those to `local_addresses`, which are all of this node's. `clock`
    gives seconds, to say how long that took.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        observe: bool = False,
        clean_flows: CleanFlows | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.backend = backend
        self.family = backend.family
        self.rule_counts = RuleCounts(self.family)
        self.local_addresses: frozenset[str] = frozenset()
        self._observe = observe
        self._clean_flows = clean_flows
        self._clock = clock
        self._reconciler: Reconciler | None = None

    def add(self, changes: Changes) -> None:
        """Take changes in; they count until a sync has brought them to the kernel.

        Raises ValueError if the first do not have the node and the configuration.
        """
        if self._reconciler is None:
            if changes.node is None or changes.config is None:
                raise ValueError("the first changes must have the node and the configuration")
            translator = IncrementalTranslator(changes.node, changes.config, self.family)
            self._reconciler = Reconciler(self.backend, translator)
        self._reconciler.pending.add(changes)

    @property
    def writing(self) -> bool:
        """Whether the last sync came to writing; if it failed, that is what failed."""
        return self._reconciler is not None and self._reconciler.writing

    def sync(self) -> Outcome:
        """Bring the kernel what changed. Raises KernelError."""
        return self._bring(read=False)

    def verify(self) -> Outcome:
        """The same, from what the kernel really holds.

        Where the tables cannot be read, what is known of them stays known: syncs go on.
        Raises KernelError.
        """
        return self._bring(read=True)

    def _bring(self, *, read: bool) -> Outcome:
        reconciler = self._started()
        if self._observe:
            return self._compare(reconciler)
        done = reconciler.sync(read=read)
        before, after = self._count_rules(done.update, done.found)
        if done.found is not None:
            with suppress(KernelError):
                # What cannot be done now is done before the next check.
                reconciler.plant_canaries()
        return Outcome(
            self.family,
            done.plan,
            done.read,
            done.verified,
            done.applied.commits,
            done.drift,
            # After the rules, and where the kernel was read always: connections may stand behind
            # rules that were there before this process.
            self._clean(before, after) if done.read or before or after else None,
            self._notices(done.plan, read=done.read),
            done.starved,
        )

    def missing(self) -> tuple[str, ...]:
        """What is gone of canaries and jumps, in words. Raises KernelError."""
        if self._observe or self._reconciler is None:
            return ()
        self._reconciler.plant_canaries()
        return missing_rules(self.backend, ownership())

    def remove(self) -> None:
        """Take all that is ours out of the tables; what others use stays. Raises KernelError."""
        nothing = Ruleset(self.family, {})
        applier = Applier(self.backend, blind=True)
        owner = cleanup_ownership()
        applier.apply(diff(applier.read(owner), nothing, ownership=owner))

    def _started(self) -> Reconciler:
        if self._reconciler is None:
            raise ValueError("there is nothing to bring before the first changes")
        return self._reconciler

    def _compare(self, reconciler: Reconciler) -> Outcome:
        """What the kernel lacks, without writing anything."""
        update = reconciler.translator.prepare(reconciler.pending.take())
        found = self.backend.read()
        plan = diff(found, update.desired)
        self._count_rules(update, found)
        reconciler.translator.accept(update)
        reconciler.pending.accepted()
        notices = self._notices(plan, read=True)
        return Outcome(self.family, plan, read=True, verified=True, notices=notices)

    def _count_rules(self, update: Update, found: Ruleset | None) -> tuple[Frontends, Frontends]:
        """Count the rules anew; returns the UDP frontends before and after."""
        before, after = self.rule_counts.take(update)
        if found is not None:
            # Only the kernel itself knows what it held.
            return {**udp_frontends(found), **before}, self.rule_counts.udp()
        return before, after

    def _clean(self, before: Frontends, after: Frontends) -> Flows | None:
        if self._clean_flows is None:
            return None
        started = self._clock()
        try:
            deleted = self._clean_flows(self.family, before, after, self.local_addresses)
        except BackendUnavailable as error:
            return Flows(problem=str(error))
        return Flows(deleted, self._clock() - started)

    @staticmethod
    def _notices(plan: Plan, *, read: bool) -> tuple[Notice, ...]:
        """Likely mistakes in the cluster; looked for when the whole ruleset is there anyway."""
        return getattr(plan.desired, "warnings", ()) if read else ()


class FamilySync:
    """The engine of a family with its schedule, so that no family waits for another.

    `differences` is what an observer has seen differ, and since when. `starved` says why the
    tables could not be read when they should have been last, if so.
    """

    def __init__(self, engine: Engine, schedule: Schedule, differences: Differences) -> None:
        self.engine = engine
        self.schedule = schedule
        self.differences = differences
        self.synced = False
        self.starved: ReadingStarved | None = None
        self._services: set[Key] = set()
        self._slices: set[Key] = set()
        self._triggered: dict[Key, tuple[Family, float]] = {}
        self._everything = False

    @property
    def family(self) -> Family:
        """The family."""
        return self.engine.family

    def add(self, changes: Changes, pending: Pending) -> None:
        """Take changes in, as objects and as what is said of them."""
        self.engine.add(changes)
        self._services |= pending.services
        self._slices |= pending.slices
        self._everything |= pending.everything
        for key, triggered in pending.triggered.items():
            # Of several changes before one sync the oldest waited longest.
            self._triggered.setdefault(key, triggered)

    def take_pending(self) -> Pending:
        """What waited for the sync that succeeded just now, which it no longer does."""
        found = Pending(
            frozenset(self._services),
            frozenset(self._slices),
            self._everything,
            dict(self._triggered),
        )
        self._services.clear()
        self._slices.clear()
        self._triggered.clear()
        self._everything = False
        return found
