"""When something is due: coalescing, periods and retries, as a function of the time passed in.

What minSyncPeriod and syncPeriod mean is kube-proxy's (BoundedFrequencyRunner in
kubernetes/pkg/util/async): the first change is brought at once, those within minSyncPeriod of it
together. A sync that failed is tried again after pauses of up to syncPeriod, stretched at random.
"""

from __future__ import annotations

import enum
import math

import attrs

from nptables.immutable import frozen
from nptables.sources.apiserver import Backoff

# kube-proxy waits for a whole syncPeriod (RetryAfter in syncProxyRules of
# kubernetes/pkg/proxy/iptables/proxier.go). Here that is the longest pause and not the first.
FIRST_RETRY = 1.0
# Verifying takes at most a tenth of the time, however large the tables are.
_VERIFY_REST = 9
# Seconds until the tables are read again that others kept from being read. An attempt that is in
# vain keeps changes waiting for about one.
_AGAIN = 15.0


class Task(enum.Enum):
    """What can be due.

    What looks at the kernel goes first, or it would never come where changes never end: a
    verification brings the changes along, and after a check it is the turn of a change that waits.
    """

    VERIFY = "verify"
    CHECK = "check"
    SYNC = "sync"


@frozen
class Periods:
    """All in seconds.

    Syncs are `min_sync` apart at least. `check` is how often canaries and jumps are looked at,
    `verify` how often the whole tables are.
    """

    min_sync: float
    check: float
    verify: float


@attrs.define
class Schedule:
    """Decides what is due at a time, in monotonic seconds; nothing is until `begin`."""

    periods: Periods
    backoff: Backoff
    _changed_at: float | None = None
    _not_before: float = -math.inf
    _retry_at: float | None = None
    _check_at: float = math.inf
    _verify_at: float = math.inf
    # Before the first sync nothing is there to be checked. And a check starts some programs: where
    # these wait for a lock or a processor for longer than its period, the next one is due already.
    _changes_first: bool = True

    @property
    def pending_since(self) -> float | None:
        """Since when a change waits to be synced, or None."""
        return self._changed_at

    def begin(self, now: float) -> None:
        """Both lists are there: from now on things are due, the first sync at once."""
        self.changed(now)
        self._not_before = now
        self._check_at = now + self.periods.check
        self._verify_at = now + self.periods.verify

    def follow(self, periods: Periods, backoff: Backoff, now: float) -> None:
        """Go on with other periods; what waits, waits for as long as it has already."""
        self.periods = periods
        self.backoff = backoff
        self._check_at = min(self._check_at, now + periods.check)
        self._verify_at = min(self._verify_at, now + periods.verify)

    def changed(self, now: float) -> None:
        """Something changed that has to reach the kernel."""
        if self._changed_at is None:
            self._changed_at = now

    def due(self, now: float) -> Task | None:
        """What is to be done now, if anything."""
        # After a failure nothing comes in between: checks and verifications would meet the same
        # kernel, and the pause is meant for that.
        if self._retry_at is not None:
            return Task.SYNC if now >= self._retry_at else None
        if now >= self._verify_at:
            return Task.VERIFY
        waits = self._changed_at is not None and now >= self._not_before
        if now >= self._check_at and not (waits and self._changes_first):
            return Task.CHECK
        return Task.SYNC if waits else None

    def wait(self, now: float) -> float:
        """Seconds until something is due unless something changes; may be infinite."""
        change = self._not_before if self._changed_at is not None else math.inf
        at = min(change, self._verify_at, self._check_at)
        return max(0.0, (at if self._retry_at is None else self._retry_at) - now)

    def done(self, task: Task, started: float, now: float) -> None:
        """A task that started at a time succeeded; the pause between syncs counts from its start.

        After a verification that took long the next one is further away.
        """
        self._changes_first = task is Task.CHECK
        if task is Task.CHECK:
            self._check_at = now + self.periods.check
            return
        self.backoff.reset()
        self._retry_at = None
        self._changed_at = None
        self._not_before = max(started + self.periods.min_sync, now)
        if task is Task.VERIFY:
            self._check_at = now + self.periods.check
            self._verify_at = now + max(self.periods.verify, _VERIFY_REST * (now - started))

    def starved(self, now: float) -> None:
        """What was due was done, but nothing could be read: verify again before long."""
        self._verify_at = now + _AGAIN

    def failed(self, task: Task, now: float) -> float:
        """A task failed; everything waits for the pause that is returned, then syncs.

        A verification is tried again after its whole period: where tables are so large that they
        can hardly be read, that must not keep changes waiting.
        """
        pause = self.backoff.delay()
        if task is Task.VERIFY:
            self._verify_at = now + self.periods.verify
        elif task is Task.CHECK:
            self._check_at = now + self.periods.check
        self.changed(now)
        self._retry_at = now + pause
        return pause

    def verify_at(self, at: float) -> None:
        """Verify at that time, or as early as before if that is earlier."""
        self._verify_at = min(self._verify_at, at)
