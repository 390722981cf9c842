"""The agent itself: takes events, asks the schedule what is due, and lets the engines do it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import attrs

from nptables.agent.core.drift import Differences, Drift
from nptables.agent.core.engine import Engine, FamilySync, Outcome
from nptables.agent.core.health import Health
from nptables.agent.core.schedule import FIRST_RETRY, Periods, Schedule, Task
from nptables.agent.core.store import Pending, Store
from nptables.errors import NptablesError, Problem
from nptables.family import Family
from nptables.immutable import frozen
from nptables.model import Node, NodeFacts, ProxyConfig
from nptables.sources.apiserver import Backoff, Event, Listed, Trouble, Watching
from nptables.translation.context import make_context

# A Node that never comes must not keep rules from its node for ever: without it they are made as
# for a Node without addresses. For podCIDRs kube-proxy waits as long (timeoutForNodePodCIDR in
# kubernetes/cmd/kube-proxy/app/server_linux.go), and then gives up as well.
NODE_WAIT = 30.0
POD_CIDR_WAIT = 300.0
# How long another proxy gets to follow a change before a difference counts as drift.
SETTLE = 15.0


@frozen
class Options:
    """What the agent is told besides the configuration; periods in seconds.

    `check_period` is how often canaries and jumps are looked at (None: every syncPeriod),
    `verify_period` how often the whole tables are. The Node is awaited for `node_wait`, its
    podCIDRs, where the configuration needs them, for `pod_cidr_wait`.
    """

    observe: bool = False
    check_period: float | None = None
    verify_period: float = 300.0
    node_wait: float = NODE_WAIT
    pod_cidr_wait: float = POD_CIDR_WAIT
    settle: float = SETTLE


class Reporter(Protocol):
    """Who is told what the agent does: logs, metrics, servers."""

    def waiting(self, reasons: Sequence[str]) -> None:
        """The first sync waits for something."""

    def watching(self, event: Watching | Trouble) -> None:
        """A watch stands, or failed."""

    def problems(self, problems: Sequence[Problem]) -> None:
        """Objects are left out, in whole or in part."""

    def node(self, *, known: bool) -> None:
        """The Node came or went."""

    def queued(self, services: int, endpoints: int) -> None:
        """Changes came in; both numbers are totals."""

    def synced(
        self, task: Task, outcome: Outcome, pending: Pending, seconds: float, differing: int
    ) -> None:
        """The kernel is as the cluster wants it, or in observe mode was compared with it.

        There so many rule lines are drift.
        """

    def drift(self, family: Family, drift: Drift) -> None:
        """Somebody changed our rules; unless only observing, they are repaired by now."""

    def settled(self, family: Family) -> None:
        """In observe mode: what differed no longer does."""

    def flushed(self, family: Family, missing: Sequence[str]) -> None:
        """Canaries or jumps are gone; everything is verified next."""

    def failed(self, failure: Failure) -> None:
        """A sync, a verification or a check failed."""


@frozen
class Failure:
    """What failed for a family, why, and in how many seconds it is tried again.

    `writing` says that it was the writing that failed, `first` that nothing ever succeeded.
    """

    family: Family
    task: Task
    error: NptablesError
    retry_in: float
    writing: bool
    first: bool


class PodCIDRsChanged(NptablesError):
    """The Node got other podCIDRs, or none in time, and detectLocalMode is NodeCIDR."""

    exit_code = 3


class Agent:
    """Keeps the engines' tables at what the API server says; see the package's description.

    One thread calls `take`, `take_facts`, `reconfigure` and `step`. `clock` gives monotonic
    seconds and `random` numbers from 0 to 1; it never sleeps, but says how long to. `health` is
    what it keeps for the probes. `prepare` is called before the first sync and after a change of
    the configuration, and gives the facts.
    """

    def __init__(
        self,
        *,
        node_name: str,
        config: ProxyConfig,
        options: Options,
        engines: Sequence[Engine],
        reporter: Reporter,
        health: Health,
        prepare: Callable[[Node, ProxyConfig], NodeFacts],
        clock: Callable[[], float],
        random: Callable[[], float],
    ) -> None:
        self.config = config
        self.options = options
        self.store = Store(node_name)
        self.health = health
        self.health.timeout = 2 * config.sync_period
        self.started = False
        self._prepare = prepare
        self._facts = NodeFacts()
        self._reporter = reporter
        self._clock = clock
        self._random = random
        self._began = clock()
        self._said: tuple[str, ...] = ()
        self._pod_cidrs: tuple[str, ...] = ()
        self._node_known: bool | None = None
        self.syncs = [
            FamilySync(
                engine,
                Schedule(self._periods(), self._backoff()),
                Differences(settle=options.settle, repeat=options.verify_period),
            )
            for engine in engines
        ]

    @property
    def engines(self) -> tuple[Engine, ...]:
        """The engines, one a family."""
        return tuple(sync.engine for sync in self.syncs)

    @property
    def synced(self) -> bool:
        """Whether every family was in sync at least once."""
        return all(sync.synced for sync in self.syncs)

    def take(self, event: Event) -> None:
        """Take in what the API server said. Raises PodCIDRsChanged."""
        if isinstance(event, Trouble | Watching):
            self._reporter.watching(event)
            return
        before = self.store.service_changes, self.store.endpoint_changes
        problems = self.store.take(event)
        if problems:
            self._reporter.problems(problems)
        if event.resource.name == "nodes" and (
            isinstance(event, Listed) or event.name == self.store.node_name
        ):
            self._follow_node()
        after = self.store.service_changes, self.store.endpoint_changes
        if after != before:
            self._reporter.queued(*after)
        self._note_change()

    def take_facts(self, facts: NodeFacts) -> None:
        """Take in what the node says of its addresses and counters."""
        self._facts = facts
        self._use_facts()
        self._note_change()

    def follow_addresses(self, interfaces: Mapping[str, Sequence[str]] | None) -> None:
        """Take in the node's addresses, as interface names to addresses with prefix length."""
        if self.started and interfaces is not None:
            listed = NodeFacts.from_mapping({"interfaces": interfaces}).interfaces
            self.take_facts(attrs.evolve(self._facts, interfaces=listed))

    def reconfigure(self, config: ProxyConfig) -> None:
        """Go on with another configuration."""
        self.config = config
        self.health.timeout = 2 * config.sync_period
        self.store.touch()
        if self.started:
            self._facts = self._prepare(self.store.node_with_facts(), config)
            for sync in self.syncs:
                sync.schedule.follow(self._periods(), self._backoff(), self._clock())
        self._use_facts()
        self._note_change()

    def step(self) -> float:
        """Do what is due, one thing a family at most; returns the seconds until to call again.

        Raises PodCIDRsChanged where there is no point in going on.
        """
        if not self.started:
            now = self._clock()
            reasons = self._missing(now)
            if reasons:
                if reasons != self._said:
                    self._said = reasons
                    self._reporter.waiting(reasons)
                # Nothing wakes the loop when a wait for the Node is over, so it asks again.
                return 1.0
            self._begin(now)
        # One task a family and no more: if one of them is always due, events still get their turn.
        for sync in self.syncs:
            now = self._clock()
            task = sync.schedule.due(now)
            if task is not None:
                self._do(sync, task, now)
        self._publish()
        return min(sync.schedule.wait(self._clock()) for sync in self.syncs)

    def _begin(self, now: float) -> None:
        node = self.store.node_with_facts()
        # Before the first rules: they name nfacct counters, and the kernel refuses a rule whose
        # counter is not there (nfacct_mt_checkentry in net/netfilter/xt_nfacct.c).
        self._facts = self._prepare(node, self.config)
        self.started = True
        self._pod_cidrs = node.pod_cidrs
        self._use_facts()
        for sync in self.syncs:
            sync.schedule.begin(now)
        self._note_change()

    def _missing(self, now: float) -> tuple[str, ...]:
        """What the first sync waits for."""
        reasons = [
            f"the first complete list of {name}"
            for name in ("services", "endpointslices")
            if name not in self.store.listed
        ]
        node, waited = self.store.node, now - self._began
        if self.config.detect_local_mode == "NodeCIDR" and (node is None or not node.pod_cidrs):
            if waited >= self.options.pod_cidr_wait:
                raise PodCIDRsChanged(
                    f"Node {self.store.node_name} has no podCIDRs after {waited:.0f} s, and "
                    "detectLocalMode NodeCIDR needs them"
                )
            reasons.append(f"the podCIDRs of Node {self.store.node_name}")
        elif (node is None or not node.addresses) and waited < self.options.node_wait:
            reasons.append(f"an address of Node {self.store.node_name}")
        return tuple(reasons)

    def _follow_node(self) -> None:
        node = None if self.store.node_gone else self.store.node
        self.health.take_node(node)
        self._use_facts()
        known = node is not None
        if known is not self._node_known:
            self._node_known = known
            self._reporter.node(known=known)
        if (
            # Rules for the old networks would take what comes from Pods for what comes from
            # outside. kube-proxy ends then, too, to be started again with the new ones
            # (pkg/proxy/node.go).
            self.started
            and node is not None
            and self.config.detect_local_mode == "NodeCIDR"
            and node.pod_cidrs != self._pod_cidrs
        ):
            raise PodCIDRsChanged(
                f"Node {node.name} got other podCIDRs ({', '.join(node.pod_cidrs) or 'none'}): "
                "start again with them"
            )

    def _use_facts(self) -> None:
        """Hand on the facts, but of the addresses only those that rules can depend on.

        Every Pod that starts brings an interface with addresses, and where node ports answer on
        all addresses that is no reason to translate anything again.
        """
        node, config = self.store.node_with_facts(), self.config
        node = attrs.evolve(node, facts=self._facts)
        for sync in self.syncs:
            sync.engine.local_addresses = frozenset(node.interface_addresses(sync.family))
        contexts = [make_context(node, config, family) for family in Family]
        wanted = {a for c in contexts if not c.all_addresses for a in c.node_port_addresses}
        listed = self._facts.interfaces
        if all(context.all_addresses for context in contexts):
            listed = None
        elif listed is not None:
            listed = {
                name: kept
                for name, entries in listed.items()
                if (kept := tuple(e for e in entries if e.partition("/")[0] in wanted))
            }
        self.store.take_facts(attrs.evolve(self._facts, interfaces=listed, routes=None))

    def _note_change(self) -> None:
        """Hand every sync what changed; each brings it to the kernel in its own time."""
        if not self.started or not self.store.dirty:
            return
        pending, changes = self.store.take_changes(self.config)
        for sync in self.syncs:
            sync.add(changes, pending)
            sync.schedule.changed(self._clock())
        self._publish()

    def _publish(self) -> None:
        """Let the probes know since when a change waits, and whether all was in sync once."""
        self.health.synced = self.synced
        waiting = [sync.schedule.pending_since for sync in self.syncs]
        self.health.pending_since = min((at for at in waiting if at is not None), default=None)

    def _do(self, sync: FamilySync, task: Task, now: float) -> None:
        try:
            if task is Task.CHECK:
                self._check(sync)
                sync.schedule.done(task, now, self._clock())
                return
            outcome = sync.engine.verify() if task is Task.VERIFY else sync.engine.sync()
        except NptablesError as error:
            pause = sync.schedule.failed(task, self._clock())
            writing = task is not Task.CHECK and sync.engine.writing
            self._reporter.failed(
                Failure(sync.family, task, error, pause, writing, first=not sync.synced)
            )
            return
        done = self._clock()
        # Whatever was due: a sync that read the tables and found them right has verified them.
        sync.schedule.done(Task.VERIFY if outcome.verified else Task.SYNC, now, done)
        if outcome.read and not outcome.verified:
            # Nobody waits for it: the node is in sync as soon as the kernel has accepted the rules.
            sync.schedule.verify_at(done)
        if outcome.starved is not None:
            sync.schedule.starved(done)
        if outcome.read or outcome.starved is not None:
            sync.starved = outcome.starved
        sync.synced = True
        if self.options.observe:
            self._observe(sync, outcome, done)
        elif outcome.drift:
            self._reporter.drift(sync.family, Drift.of(outcome.drift))
        pending, differing = sync.take_pending(), sync.differences.lines
        self._reporter.synced(task, outcome, pending, done - now, differing)

    def _check(self, sync: FamilySync) -> None:
        missing = sync.engine.missing()
        if missing:
            self._reporter.flushed(sync.family, missing)
            sync.schedule.verify_at(self._clock())

    def _observe(self, sync: FamilySync, outcome: Outcome, now: float) -> None:
        """Tell what lasts, and when it is over."""
        seen = sync.differences
        before = seen.drift
        news = seen.compare(outcome.plan, now)
        if news and seen.drift is not None:
            self._reporter.drift(sync.family, seen.drift)
        elif before is not None and seen.drift is None:
            self._reporter.settled(sync.family)
        sync.schedule.verify_at(seen.next_look)

    def _periods(self) -> Periods:
        options, config = self.options, self.config
        return Periods(
            # An observer reads whole tables, and another proxy needs time to follow anyway.
            min_sync=options.settle if options.observe else config.min_sync_period,
            check=config.sync_period if options.check_period is None else options.check_period,
            verify=options.verify_period,
        )

    def _backoff(self) -> Backoff:
        longest = max(FIRST_RETRY, self.config.sync_period)
        return Backoff(self._random, first=FIRST_RETRY, longest=longest)
