"""`nptables run`: the agent with its threads, servers, signals, and its end."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs

from nptables.agent.core.engine import Engine
from nptables.agent.core.health import Health
from nptables.agent.core.loop import Agent, Options
from nptables.agent.events import AddressesChanged, Broken, EventQueue, EventSources
from nptables.agent.metrics import Metrics
from nptables.agent.node import Addresses, NodeVersion
from nptables.agent.process import (
    Announcements,
    CollectorRest,
    InstanceLock,
    Log,
    OtherProxyWatch,
    ServiceManager,
    choose_backend,
    raise_stack_limit,
    words_of_libraries,
)
from nptables.agent.reports import Reports
from nptables.agent.serving import StatusSocket, rfc3339
from nptables.agent.serving.servers import Servers
from nptables.errors import (
    AnotherProxy,
    BackendUnavailable,
    InvalidInput,
    NptablesError,
)
from nptables.family import Family
from nptables.immutable import frozen
from nptables.kernel.node import facts as node_facts
from nptables.kernel.node import nfacct
from nptables.kernel.node.conntrack import delete_stale_flows
from nptables.kernel.node.kube_proxy import find_kube_proxy
from nptables.kernel.node.preparation import prepare
from nptables.kernel.node.services import find_handlers
from nptables.kernel.programs import Programs
from nptables.kernel.tables.choosing import probe
from nptables.model import Node, NodeFacts, ProxyConfig
from nptables.model.kubeproxy import NEWEST, Version
from nptables.signals import STOPPING, Signals, Stopped
from nptables.sources.apiserver import (
    ENDPOINT_SLICES,
    SERVICES,
    Connection,
    Event,
    Recorder,
    kubeconfig_of_proxy,
    node_named,
)
from nptables.sources.apiserver import Settings as WatchSettings
from nptables.translation.context import make_context

# Without anything due the loop still turns this often, so that probes see it alive.
_LONGEST_WAIT = 10.0


@frozen
class Settings:
    """What the command line says.

    `version` is the kube-proxy whose rules are made, None for what the Node says once it is
    known; `config_for` is the configuration as a version reads it, `read_config` reads its file
    again for SIGHUP; both raise InvalidInput. `listen` opens the probes' and the metrics' ports
    (never in observe mode unless asked for). `kube_proxy` is the one that runs here, in words, and
    `told` the version that it says, where that is the one whose rules are made.
    """

    node_name: str
    config: ProxyConfig
    config_for: Callable[[Version], ProxyConfig]
    read_config: Callable[[Version], ProxyConfig]
    options: Options
    run_folder: Path
    kubeconfig: str | None = None
    context: str | None = None
    backend: str = "auto"
    families: tuple[Family, ...] = (Family.IPV4, Family.IPV6)
    listen: bool = True
    prepare_node: bool = True
    cleanup_on_exit: bool = False
    force: bool = False
    version: Version | None = NEWEST
    kube_proxy: str = ""
    told: str = ""
    watch: WatchSettings = attrs.field(factory=WatchSettings)


@frozen
class _Signalled:
    number: int


_Item = Event | _Signalled | AddressesChanged | Broken


def run(settings: Settings, log: Log, signals: Signals) -> int:
    """Keep the node in sync until SIGTERM or SIGINT; returns the exit code.

    `signals` are caught already; one that stops ends the start, and later all reading, at once.
    Raises AlreadyRunning, AnotherProxy, MissingPackage, ApiServerError for an unusable
    kubeconfig, KernelError where no backend can be used, and PodCIDRsChanged.
    """
    raise_stack_limit()
    with (
        CollectorRest(time.monotonic) as collector,
        words_of_libraries(log),
        InstanceLock(settings.run_folder, node_name=settings.node_name),
    ):
        _notice_kube_proxy(settings, log)
        with contextlib.ExitStack() as closing:
            try:
                running = _Running(settings, log, signals, collector, closing)
            except Stopped as stopped:
                log.info("stopped before it was ready; the rules stay", signal=str(stopped))
                return 0
            return running.loop()


def _notice_kube_proxy(settings: Settings, log: Log) -> None:
    found = settings.kube_proxy
    if not found:
        _notice_others(settings, log)
        return
    if settings.options.observe or settings.force:
        log.info("another proxy runs on this node", found=found)
        if settings.told:
            log.info(
                "the rules are those of the kube-proxy that runs here",
                version=str(settings.config.version),
                kubeProxy=settings.told,
            )
        return
    raise AnotherProxy(
        f"{found} runs on this node and would undo what nptables programs: stop it first, watch it "
        "with --mode observe, or go on with --force",
        found=found,
    )


def _notice_others(settings: Settings, log: Log) -> None:
    """Programs other than kube-proxy in mode iptables that handle Services."""
    found = find_handlers()
    message = found.instead("this node")
    if not message:
        return
    if settings.options.observe or settings.force:
        log.info("another proxy handles Services on this node", found=message)
        return
    raise AnotherProxy(
        f"{message}: remove it first, or go on with --force", found=found.others[0].who.words
    )


class _Running:
    """Everything that lives as long as the agent runs; `closing` gives it back.

    Ports are open before the tables are looked at, which may take long.
    """

    def __init__(
        self,
        settings: Settings,
        log: Log,
        signals: Signals,
        collector: CollectorRest,
        closing: contextlib.ExitStack,
    ) -> None:
        self._settings = settings
        self._signals = signals
        self._config = config = settings.config
        self._version = NodeVersion(settings.version, settings.config_for, log)
        self._log = log
        self._observe = settings.options.observe
        self._collector = collector
        self._inbox: EventQueue[_Item] = EventQueue(time.monotonic)
        self._manager = ServiceManager()
        # A slow program ends in time, so waiting for one is not a hang.
        self._programs = Programs(
            waiting=self._manager.alive, looking=signals.at_once, starting=signals.put_off
        )
        self._addresses = Addresses(
            lambda: node_facts.interfaces(self._programs),
            complain=self._unread,
            clock=time.monotonic,
        )
        self._neighbour = OtherProxyWatch(
            find_kube_proxy,
            say=self._not_alone,
            clock=time.monotonic,
            found=settings.kube_proxy,
        )
        self._metrics = Metrics(time.time, nfacct.counters)
        self._health = Health(timeout=2 * config.sync_period)
        self._ports = Servers(
            self._health,
            self._metrics,
            log,
            oldest=self._inbox.oldest,
            broken=lambda error: self._inbox.put(Broken(error)),
            closing=closing,
        )
        if settings.listen:
            self._ports.start(config)
        self._settled = False
        self._sources = EventSources(self._inbox.put)
        closing.callback(self._sources.close)
        recorder = None if self._observe else self._make_recorder()
        announcements = None
        if recorder is not None:
            announcements = Announcements(
                recorder.record, node=settings.node_name, service_of=self._service_of
            )
        # The API server answers while the tables are looked at.
        self._start_sources(recorder)
        engines = self._make_engines()
        self._reports = Reports(
            log,
            self._metrics,
            self._manager,
            health=self._health,
            rule_counts={engine.family: engine.rule_counts for engine in engines},
            observe=self._observe,
            wall=time.time,
            after_sync=self._after_sync,
            announcements=announcements,
        )
        self._agent = Agent(
            node_name=settings.node_name,
            config=config,
            options=settings.options,
            engines=engines,
            reporter=self._reports,
            health=self._health,
            prepare=self._prepare,
            clock=time.monotonic,
            random=random.random,
        )
        try:
            closing.callback(StatusSocket(settings.run_folder, self._describe).close)
        except NptablesError as error:
            log.warning("nptables status will get no answer", reason=str(error))
        if announcements is not None:
            announcements.started()
        log.info(
            "started",
            node=settings.node_name,
            mode="observe" if self._observe else "sync",
            backends=[f"{e.family.value}: {e.backend.name}" for e in engines],
        )
        # Of a configuration for no known version nobody can say yet what has no effect.
        if settings.version is not None:
            self._say_remarks(config)

    def loop(self) -> int:
        """Run until a signal ends it."""
        self._signals.hand_to(lambda number: self._inbox.put(_Signalled(number)))
        try:
            number = self._run()
        except Stopped as stopped:
            number = stopped.number
        # The end may remove rules: a second signal must not leave half of them.
        self._signals.ignore()
        return self._end(number)

    def _run(self) -> int:
        """Do what is due again and again; returns the signal that stops it."""
        wait = 0.0
        while True:
            self._manager.alive()
            # Twice in the time that systemd allows between two signs of life: see `watchdog`.
            longest = min(_LONGEST_WAIT, self._manager.watchdog or _LONGEST_WAIT)
            again = min(self._ports.retry(), self._addresses.wait())
            for item in self._inbox.wait(min(wait, longest, again)):
                if isinstance(item, _Signalled):
                    if item.number in STOPPING:
                        return item.number
                    self._reload()
                elif isinstance(item, AddressesChanged):
                    self._addresses.changed()
                elif isinstance(item, Broken):
                    raise item.error
                else:
                    self._agent.take(item)
                    settled = self._version.settle(self._agent.store.node, self._config)
                    if settled is not None:
                        self._use(settled)
            self._neighbour.look()
            self._collector.look()
            if not self._addresses.wait():
                self._agent.follow_addresses(self._addresses.now())
            wait = self._agent.step()

    def _end(self, number: int) -> int:
        self._manager.stopping()
        if self._settings.cleanup_on_exit and not self._observe:
            self._remove()
            self._log.info("stopped and removed the rules", signal=signal.Signals(number).name)
        else:
            self._log.info("stopped; the rules stay", signal=signal.Signals(number).name)
        return 0

    def _remove(self) -> None:
        """Remove the rules of every family that lets us, then raise what one of them raised."""
        failure: NptablesError | None = None
        for engine in self._agent.engines:
            try:
                engine.remove()
            except NptablesError as error:
                failure = failure or error
                self._log.error(
                    "the rules could not be removed", family=engine.family.value, reason=str(error)
                )
        if failure is not None:
            raise failure

    def _reload(self) -> None:
        # A service manager takes READY for the end of a reload, and for that of the start.
        synced = self._agent.synced
        if synced:
            self._manager.reloading()
        try:
            config = self._settings.read_config(self._config.version)
        except InvalidInput as error:
            problems = [str(problem) for problem in error.problems]
            self._log.error("the new configuration is wrong; going on as before", problems=problems)
        else:
            self._log.info("read the configuration again")
            self._use(config)
        say = self._manager.ready if synced else self._manager.status
        say("read the configuration again")

    def _use(self, config: ProxyConfig) -> None:
        self._say_remarks(config)
        self._config = config
        self._agent.reconfigure(config)
        if self._settings.listen:
            self._ports.listen(config)

    def _say_remarks(self, config: ProxyConfig) -> None:
        for remark in config.remarks:
            self._log.warning("parts of the configuration have no effect", remark=remark)

    def _make_engines(self) -> list[Engine]:
        """An engine for each family that this kernel has."""
        engines: list[Engine] = []
        refused: BackendUnavailable | None = None
        run = self._programs
        for family in self._settings.families:
            try:
                choice = choose_backend(family, self._settings.backend, self._log, run)
                probe(choice.backend, may_create=not self._observe, run=run)
            except BackendUnavailable as error:
                # Many nodes have no IPv6. kube-proxy goes on with the family that there is, too
                # (platformCheckSupported in kubernetes/cmd/kube-proxy/app/server_linux.go).
                refused = error
                self._log.warning("this family is left out", family=family.value, reason=str(error))
                continue
            engines.append(
                Engine(
                    choice.backend,
                    observe=self._observe,
                    clean_flows=None if self._observe else delete_stale_flows,
                )
            )
        if not engines and refused is not None:
            raise refused
        return engines

    def _connect(self) -> Connection:
        settings = self._settings
        return Connection(
            kubeconfig=settings.kubeconfig or kubeconfig_of_proxy(self._config.kubeconfig),
            context=settings.context,
        )

    def _make_recorder(self) -> Recorder:
        return Recorder(
            self._connect(),
            node=self._settings.node_name,
            clock=time.monotonic,
            wall=time.time,
            wait=self._sources.stop.wait,
            random=random.random,
            failed=self._event_lost,
        )

    def _start_sources(self, recorder: Recorder | None) -> None:
        resources = (SERVICES, ENDPOINT_SLICES, node_named(self._settings.node_name))
        # One each, since a connection belongs to one thread; and all before the first thread
        # starts, so that a kubeconfig that cannot be used ends the start.
        connections = [self._connect() for _ in resources]
        for resource, connection in zip(resources, connections, strict=True):
            self._sources.watch(resource, connection, self._settings.watch)
        try:
            self._sources.follow_addresses()
        except OSError as error:
            self._log.warning("changes of the node's addresses are not followed", reason=str(error))
        if recorder is not None:
            self._sources.record(recorder)

    def _prepare(self, node: Node, config: ProxyConfig) -> NodeFacts:
        """Settings of the node that the rules need, and then its facts."""
        if self._settings.prepare_node and not self._observe:
            localhost = make_context(node, config, Family.IPV4).localhost_node_ports
            for setting in prepare(config, localhost_node_ports=localhost):
                say = self._log.warning if setting.problem else self._log.info
                say("prepared the node", setting=str(setting))
        return NodeFacts.from_mapping(
            {**node_facts.settings(self._programs), "interfaces": self._addresses.now()}
        )

    def _after_sync(self) -> None:
        if not self._observe:
            self._ports.follow(self._agent.store, self._config)
        if self._agent.synced and not self._settled:
            self._settled = True
            self._collector.synced()
            # One may have come during the start. Only now, since looking takes up to 20 ms.
            self._neighbour.soon()

    def _not_alone(self, found: str) -> None:
        """A kube-proxy that ran at the start was allowed and reported then."""
        if not self._observe and not self._settings.force:
            self._log.repeating(
                "another proxy runs on this node, and the two undo each other's work: stop one",
                about="another proxy",
                found=found,
            )

    def _unread(self, reason: str) -> None:
        self._log.repeating(
            "the node's addresses cannot be read; those known before are used",
            about="addresses",
            reason=reason,
        )

    def _event_lost(self, reason: str) -> None:
        self._metrics.event_lost()
        self._log.repeating(
            "a Kubernetes Event could not be written", about="events", reason=reason
        )

    def _service_of(self, key: tuple[str, str]) -> tuple[str, str] | None:
        found = self._agent.store.slices.get(key)
        return None if found is None else found.service_key

    def _describe(self) -> Mapping[str, Any]:
        """What `nptables status` shows."""
        agent, store, now = self._agent, self._agent.store, time.monotonic()
        # A change waits for the loop first, and then in it.
        waiting = (
            at for at in (self._inbox.oldest(), agent.health.pending_since) if at is not None
        )
        since = min(waiting, default=None)
        last = agent.health.last_sync
        return {
            "pid": os.getpid(),
            "node": store.node_name,
            "mode": "observe" if self._observe else "sync",
            "kubeProxyVersion": str(self._config.version),
            "healthy": self._ports.probes.healthy(),
            "nodeEligible": agent.health.node_eligible,
            "synced": agent.synced,
            "lastSync": None if last is None else rfc3339(last),
            "pendingSeconds": None if since is None else round(now - since, 3),
            "services": len(store.services),
            "endpointSlices": len(store.slices),
            "problems": len(store.problems),
            "otherProxy": self._neighbour.found,
            "watches": {name: reason or "ok" for name, reason in self._reports.watches.items()},
            "families": [
                {
                    "family": sync.family.value,
                    "backend": sync.engine.backend.name,
                    "rules": sum(sync.engine.rule_counts.rules.values()),
                    "synced": sync.synced,
                    "driftLines": sync.differences.lines,
                    "unverified": "" if sync.starved is None else str(sync.starved),
                }
                for sync in agent.syncs
            ],
        }
