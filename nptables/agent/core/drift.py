"""Rules that differ from what they should be, and since when they do."""

from __future__ import annotations

import math

from nptables.immutable import frozen
from nptables.iptables.changes import Plan
from nptables.iptables.changes.report import ChangedLine, changed_lines


@frozen
class Drift:
    """What others changed: the plan that repairs it, and the lines of it that count."""

    plan: Plan
    lines: tuple[ChangedLine, ...]

    @classmethod
    def of(cls, plan: Plan) -> Drift:
        """All that a plan changes."""
        return cls(plan, tuple(changed_lines(plan)))


class Differences:
    """Tells drift from what another proxy has not followed yet: drift lasts.

    A line counts once it has differed for `settle` seconds, in every comparison meanwhile. What
    lasts on is worth telling again every `repeat` seconds.
    """

    def __init__(self, *, settle: float, repeat: float) -> None:
        self._settle = settle
        self._repeat = repeat
        self._told_at = -math.inf
        self._since: dict[ChangedLine, float] = {}
        self._told: frozenset[ChangedLine] = frozenset()
        self.drift: Drift | None = None

    @property
    def lines(self) -> int:
        """How many lines are drift."""
        return 0 if self.drift is None else len(self.drift.lines)

    @property
    def next_look(self) -> float:
        """When a difference will be drift if it is still there; infinite where there is none."""
        fresh = (at for line, at in self._since.items() if line not in self._told)
        return min(fresh, default=math.inf) + self._settle

    def compare(self, plan: Plan, now: float) -> bool:
        """Take in what differs now; returns whether there is drift that is worth telling."""
        before = self._since
        # A line that was right meanwhile begins anew: only what has never been right since counts.
        self._since = {line: before.get(line, now) for line in changed_lines(plan)}
        lines = tuple(line for line, at in self._since.items() if now >= at + self._settle)
        known, self._told = self._told, frozenset(lines)
        self.drift = Drift(plan, lines) if lines else None
        news = bool(self._told - known) or (bool(lines) and now >= self._told_at + self._repeat)
        if news:
            self._told_at = now
        return news
