"""The log lines, metrics and service manager messages about what the agent does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from nptables.agent.core.drift import Drift
from nptables.agent.core.engine import Outcome
from nptables.agent.core.health import Health
from nptables.agent.core.loop import Failure
from nptables.agent.core.rule_counts import RuleCounts
from nptables.agent.core.schedule import Task
from nptables.agent.core.store import Pending
from nptables.agent.metrics import Metrics
from nptables.agent.process import Announcements, Log, ServiceManager
from nptables.errors import KernelRefused, Problem
from nptables.family import Family
from nptables.iptables.changes.report import report_lines
from nptables.sources.apiserver import Trouble, Watching
from nptables.translation.explanation.grouping import service_groups

_MOST_LINES = 20
_MOST_NAMES = 10


class Reports:
    """The Reporter of a running agent.

    `health` gets the time of the last sync, in the seconds of `wall`. `rule_counts` are those of
    the engines. `announcements` writes Kubernetes Events. `after_sync` is called after every sync
    that succeeded.
    """

    def __init__(
        self,
        log: Log,
        metrics: Metrics,
        manager: ServiceManager,
        *,
        health: Health,
        rule_counts: Mapping[Family, RuleCounts],
        observe: bool,
        wall: Callable[[], float],
        after_sync: Callable[[], None],
        announcements: Announcements | None = None,
    ) -> None:
        self._log = log
        self._metrics = metrics
        self._manager = manager
        self._health = health
        self._rule_counts = rule_counts
        self._families = tuple(rule_counts)
        self._observe = observe
        self._wall = wall
        self._after_sync = after_sync
        self._announcements = announcements
        self._unsynced = set(rule_counts)
        self._waited = False
        self.watches: dict[str, str] = {}

    def waiting(self, reasons: Sequence[str]) -> None:
        """See Reporter."""
        say = self._log.debug if self._waited else self._log.info
        self._waited = True
        say("waiting before the first sync", missing=list(reasons))
        self._manager.status(f"waiting for {', '.join(reasons)}")

    def watching(self, event: Watching | Trouble) -> None:
        """See Reporter."""
        name = event.resource.name
        if isinstance(event, Watching):
            if self.watches.get(name):
                self._log.info("watching again", resource=name)
            self.watches[name] = ""
            return
        # A watch that breaks off is normal, unless it cannot be opened again.
        say = self._log.debug if not self.watches.get(name, "never") else self._log.warning
        self.watches[name] = event.reason
        self._metrics.watch_failed(name, event.status)
        say(
            "the API server cannot be watched",
            resource=name,
            reason=event.reason,
            retryIn=event.retry_in,
        )

    def problems(self, problems: Sequence[Problem]) -> None:
        """See Reporter."""
        for problem in problems:
            self._metrics.problems(problem.kind)
            self._log.repeating(
                "left out of the rules", about=f"object {problem.subject}", problem=str(problem)
            )
        if self._announcements is not None:
            self._announcements.problems(problems)

    def node(self, *, known: bool) -> None:
        """See Reporter."""
        if known:
            self._log.info("the Node is known")
        else:
            self._log.warning("there is no Node object of this node's name")

    def queued(self, services: int, endpoints: int) -> None:
        """See Reporter."""
        self._metrics.queued(services, endpoints, self._families)

    def synced(
        self, task: Task, outcome: Outcome, pending: Pending, seconds: float, differing: int
    ) -> None:
        """See Reporter."""
        family = outcome.family
        self._health.last_sync = self._wall()
        self._metrics.synced(outcome, pending, seconds, self._rule_counts[family], differing)
        if family in self._unsynced:
            self._unsynced.discard(family)
            count = len(pending.services)
            event = "compared for the first time" if self._observe else "synced for the first time"
            self._log.info(event, family=family.value, clusterServices=count, seconds=seconds)
            if not self._unsynced:
                # Not before every family has its rules: what is ordered behind us may then use
                # Services.
                self._manager.ready(f"{count} Services in sync")
        else:
            self._log.debug(
                "synced" if task is Task.SYNC else "verified",
                family=family.value,
                services=_names(pending.services),
                slices=_names(pending.slices),
                commits=outcome.commits,
                flows=outcome.flows.deleted if outcome.flows else 0,
                seconds=seconds,
            )
        if outcome.starved is not None:
            self._log.repeating(
                "the rules are written but not verified: others keep the tables from being read",
                about=f"starved {family.value}",
                family=family.value,
                reason=str(outcome.starved),
                commits=outcome.starved.commits,
            )
        if outcome.flows is not None and outcome.flows.problem:
            self._log.repeating(
                "stale UDP connections are not deleted",
                about="flows",
                reason=outcome.flows.problem,
            )
        for notice in outcome.notices:
            self._log.repeating(
                "a likely mistake in the cluster",
                about=f"notice {notice.code} {notice.subject}",
                notice=str(notice),
            )
        self._after_sync()

    def drift(self, family: Family, drift: Drift) -> None:
        """See Reporter."""
        self._metrics.drift(family)
        plan = drift.plan
        group_of = service_groups(plan.desired, plan.before)
        lines = [line.text for line in report_lines(plan, group_of, drift.lines)]
        shown = lines[:_MOST_LINES]
        if len(lines) > len(shown):
            shown.append(f"and {len(lines) - len(shown)} more lines")
        self._log.warning(
            "rules differ from what they should be"
            if self._observe
            else "repaired rules that somebody changed",
            family=family.value,
            lines=len(drift.lines),
            diff=shown,
        )

    def settled(self, family: Family) -> None:
        """See Reporter."""
        self._log.info("the rules are what they should be again", family=family.value)

    def flushed(self, family: Family, missing: Sequence[str]) -> None:
        """See Reporter."""
        self._metrics.flushed(family)
        self._log.warning(
            "rules that are always there are gone; verifying everything",
            family=family.value,
            missing=list(missing[:_MOST_NAMES]),
        )

    def failed(self, failure: Failure) -> None:
        """See Reporter."""
        error = failure.error
        if failure.writing:
            partial = not failure.first and failure.task is Task.SYNC
            self._metrics.failed(failure.family, partial=partial)
        fields: dict[str, object] = {
            "family": failure.family.value,
            "task": failure.task.value,
            "reason": str(error),
            "retryIn": failure.retry_in,
        }
        if isinstance(error, KernelRefused) and error.service:
            fields["service"] = error.service
        self._log.error("the rules could not be brought up to date", **fields)


def _names(keys: frozenset[tuple[str, str]]) -> list[str]:
    names = sorted("/".join(key) for key in keys)
    more = len(names) - _MOST_NAMES
    return names if more <= 0 else [*names[:_MOST_NAMES], f"and {more} more"]
