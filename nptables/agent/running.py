"""`nptables run`: the agent with its threads, servers, signals, and its end."""

from __future__ import annotations

import contextlib
import math
import os
import random
import resource
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs

from nptables.agent.engine import Engine
from nptables.agent.inbox import Inbox
from nptables.agent.loop import Agent, Options
from nptables.agent.metrics import CONTENT_TYPE, Metrics
from nptables.agent.process import (
    Announcements,
    InstanceLock,
    Log,
    ServiceManager,
    choose_patiently,
)
from nptables.agent.reports import Reports
from nptables.agent.serving import (
    Answer,
    HealthPorts,
    Listener,
    Server,
    StatusSocket,
    healthz,
    livez,
)
from nptables.agent.serving.configz import configz
from nptables.agent.serving.http import by_path
from nptables.errors import AnotherProxy, BackendUnavailable, InvalidInput, KernelError
from nptables.family import Family
from nptables.kernel.node import facts as node_facts
from nptables.kernel.node import nfacct
from nptables.kernel.node.conntrack import delete_stale_flows
from nptables.kernel.node.interfaces import AddressWatch
from nptables.kernel.node.kube_proxy import find_kube_proxy
from nptables.kernel.node.preparation import prepare
from nptables.model import Node, NodeFacts, ProxyConfig
from nptables.sources.apiserver import (
    ENDPOINT_SLICES,
    SERVICES,
    Connection,
    Event,
    Recorder,
    Reflector,
    node_named,
)
from nptables.sources.apiserver import Settings as WatchSettings
from nptables.translation.context import make_context

_STOPPING = (signal.SIGTERM, signal.SIGINT)
# Without anything due the loop still turns this often, so that probes see it alive.
_LONGEST_WAIT = 10.0
# How long changed addresses rest before they are read.
_ADDRESSES_REST = 0.5


@attrs.frozen
class Settings:
    """What the command line says.

    `read_config` reads the configuration, again for SIGHUP; it raises InvalidInput. `listen`
    opens the probes' and the metrics' ports (never in observe mode unless asked for).
    """

    node_name: str
    read_config: Callable[[], ProxyConfig]
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
    watch: WatchSettings = attrs.field(factory=WatchSettings)


@attrs.frozen
class _Signalled:
    number: int


@attrs.frozen
class _AddressesChanged:
    pass


@attrs.frozen
class _Broken:
    error: Exception


_Item = Event | _Signalled | _AddressesChanged | _Broken


def run(settings: Settings, log: Log) -> int:
    """Keep the node in sync until SIGTERM or SIGINT; returns the exit code.

    Raises AlreadyRunning, AnotherProxy, MissingPackage, ApiServerError for an unusable
    kubeconfig, KernelError where no backend can be used, and PodCIDRsChanged.
    """
    config = settings.read_config()
    _leave_programs_their_stack()
    with InstanceLock(settings.run_folder, node_name=settings.node_name):
        _notice_kube_proxy(settings, log)
        running = _Running(settings, config, log)
        try:
            running.serve()
            return running.loop()
        finally:
            running.close()


def _leave_programs_their_stack() -> None:
    """iptables-nft-save runs out of the usual 8 MB of stack where there are 120,000 chains."""
    _, hard = resource.getrlimit(resource.RLIMIT_STACK)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_STACK, (hard, hard))


def _notice_kube_proxy(settings: Settings, log: Log) -> None:
    found = find_kube_proxy()
    if not found:
        return
    if settings.options.observe or settings.force:
        log.info("another proxy runs on this node", found=found)
        return
    raise AnotherProxy(
        f"{found} runs on this node and would undo what nptables programs: stop it first, watch it "
        "with --mode observe, or go on with --force",
        found=found,
    )


class _Running:
    """Everything that lives as long as the agent runs."""

    def __init__(self, settings: Settings, config: ProxyConfig, log: Log) -> None:
        self._settings = settings
        self._log = log
        self._observe = settings.options.observe
        self._stop = threading.Event()
        self._inbox: Inbox[_Item] = Inbox(time.monotonic)
        self._manager = ServiceManager()
        self._metrics = Metrics(time.time, nfacct.counters)
        self._server = Server()
        self._listeners: dict[str, tuple[str, Listener]] = {}
        self._reflectors: list[Reflector] = []
        self._watch: AddressWatch | None = None
        self._status: StatusSocket | None = None
        engines = self._make_engines()
        self._recorder = None if self._observe else self._make_recorder(config)
        self._announcements: Announcements | None = None
        if self._recorder is not None:
            self._announcements = Announcements(
                self._recorder.record, node=settings.node_name, service_of=self._service_of
            )
        self._reports = Reports(
            log,
            self._metrics,
            self._manager,
            tallies={engine.family: engine.tally for engine in engines},
            observe=self._observe,
            wall=time.time,
            after_sync=self._after_sync,
            announcements=self._announcements,
        )
        self._agent = Agent(
            node_name=settings.node_name,
            config=config,
            options=settings.options,
            engines=engines,
            reporter=self._reports,
            prepare=self._prepare,
            clock=time.monotonic,
            random=random.random,
        )
        self._health_ports = HealthPorts(
            self._server, healthy=self._healthy, complain=self._complain
        )

    def serve(self) -> None:
        """Open ports and start the threads that feed the loop."""
        settings = self._settings
        self._open_ports()
        self._status = StatusSocket(settings.run_folder, self._describe)
        connections = [
            Connection(kubeconfig=self._kubeconfig(self._agent.config), context=settings.context)
            for _ in range(3)
        ]
        resources = (SERVICES, ENDPOINT_SLICES, node_named(settings.node_name))
        for collection, connection in zip(resources, connections, strict=True):
            reflector = Reflector(
                collection,
                connection,
                self._inbox.put,
                clock=time.monotonic,
                wait=self._stop.wait,
                random=random.random,
                settings=settings.watch,
            )
            self._reflectors.append(reflector)
            self._start(reflector.run, f"watch {collection.name}")
        try:
            watch = self._watch = AddressWatch()
        except OSError as error:
            self._log.warning("changes of the node's addresses are not followed", reason=str(error))
        else:
            self._start(lambda: watch.run(lambda: self._inbox.put(_AddressesChanged())), "netlink")
        if self._recorder is not None and self._announcements is not None:
            self._start(self._recorder.run, "events")
            self._announcements.started()
        self._log.info(
            "started",
            node=settings.node_name,
            mode="observe" if self._observe else "sync",
            backends=[f"{e.family.value}: {e.backend.name}" for e in self._agent.engines],
        )

    def loop(self) -> int:
        """Turn until a signal ends it."""
        with _signals_to(lambda number: self._inbox.put(_Signalled(number))):
            wait, addresses_at = 0.0, math.inf
            while True:
                self._manager.alive()
                longest = min(_LONGEST_WAIT, self._manager.watchdog or _LONGEST_WAIT)
                until_then = max(0.0, addresses_at - time.monotonic())
                for item in self._inbox.wait(min(wait, longest, until_then)):
                    if isinstance(item, _Signalled):
                        if item.number in _STOPPING:
                            return self._end(item.number)
                        self._reload()
                    elif isinstance(item, _AddressesChanged):
                        # They come in bursts, as Pods start; the kernel is asked once.
                        addresses_at = min(addresses_at, time.monotonic() + _ADDRESSES_REST)
                    elif isinstance(item, _Broken):
                        raise item.error
                    else:
                        self._agent.take(item)
                if time.monotonic() >= addresses_at:
                    addresses_at = math.inf
                    self._agent.follow_addresses(node_facts.interfaces())
                wait = self._agent.step()

    def close(self) -> None:
        """Give back every port, socket and thread."""
        self._stop.set()
        for reflector in self._reflectors:
            reflector.interrupt()
        if self._recorder is not None:
            self._recorder.stop()
        if self._watch is not None:
            self._watch.close()
        if self._status is not None:
            self._status.close()
        self._server.stop()

    def _end(self, number: int) -> int:
        self._manager.stopping()
        if self._settings.cleanup_on_exit and not self._observe:
            for engine in self._agent.engines:
                engine.remove()
            self._log.info("stopped and removed the rules", signal=signal.Signals(number).name)
        else:
            self._log.info("stopped; the rules stay", signal=signal.Signals(number).name)
        return 0

    def _reload(self) -> None:
        self._manager.reloading()
        try:
            config = self._settings.read_config()
        except InvalidInput as error:
            problems = [str(problem) for problem in error.problems]
            self._log.error("the new configuration is wrong; going on as before", problems=problems)
        else:
            self._log.info("read the configuration again")
            self._agent.reconfigure(config)
            self._open_ports()
        self._manager.ready("read the configuration again")

    def _make_engines(self) -> list[Engine]:
        """An engine for each family that this kernel has."""
        engines: list[Engine] = []
        refused: BackendUnavailable | None = None
        for family in self._settings.families:
            try:
                choice = choose_patiently(family, self._settings.backend, self._log)
            except BackendUnavailable as error:
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

    def _prepare(self, node: Node, config: ProxyConfig) -> NodeFacts:
        """Settings of the node that the rules need, and then its facts."""
        if self._settings.prepare_node and not self._observe:
            localhost = make_context(node, config, Family.IPV4).localhost_node_ports
            for setting in prepare(config, localhost_node_ports=localhost):
                say = self._log.warning if setting.problem else self._log.info
                say("prepared the node", setting=str(setting))
        return _gather()

    def _after_sync(self) -> None:
        if self._observe:
            return
        picture = self._agent.picture
        if not picture.health_ports and not self._health_ports:
            return
        hosts = _health_hosts(picture.node_with_facts(), self._agent.config)
        self._health_ports.update(picture.health_ports, picture.local_endpoints(), hosts)

    def _healthy(self) -> bool:
        now = time.monotonic()
        oldest = self._inbox.oldest()
        late = oldest is not None and now - oldest >= self._agent.health.timeout
        return self._agent.health.healthy(now) and not late

    def _probe(self, name: str) -> Answer:
        now = _rfc3339(time.time())
        last = self._reports.last_sync
        updated = _rfc3339(last) if last is not None else "0001-01-01T00:00:00Z"
        healthy = self._healthy()
        if name == "healthz":
            eligible = self._agent.health.node_eligible
            answer = healthz(healthy=healthy, eligible=eligible, updated=updated, now=now)
        else:
            answer = livez(healthy=healthy, updated=updated, now=now)
        self._metrics.probed(name, answer.status)
        return answer

    def _open_ports(self) -> None:
        """Listen where the configuration says; a port that is in use fails only if told so."""
        config = self._agent.config
        wanted = {
            "healthz": (
                config.healthz_bind_address,
                by_path(
                    {
                        "/healthz": lambda: self._probe("healthz"),
                        "/livez": lambda: self._probe("livez"),
                    }
                ),
            ),
            "metrics": (
                config.metrics_bind_address,
                by_path(
                    {
                        "/metrics": lambda: Answer(
                            200, self._metrics.render(), {"Content-Type": CONTENT_TYPE}
                        ),
                        "/proxyMode": lambda: Answer(
                            200, b"iptables", {"Content-Type": "text/plain; charset=utf-8"}
                        ),
                        "/configz": lambda: configz(self._agent.config),
                        "/healthz": lambda: Answer(200, b"ok", {"Content-Type": "text/plain"}),
                    }
                ),
            ),
        }
        for name, (address, handler) in wanted.items() if self._settings.listen else ():
            known = self._listeners.get(name)
            if known is not None and known[0] == address:
                continue
            if known is not None:
                self._server.close(self._listeners.pop(name)[1])
            host, _, port = address.rpartition(":")
            host = host.removeprefix("[").removesuffix("]")
            try:
                listener = self._server.listen(_everywhere(host), int(port), handler)
            except OSError as error:
                if config.bind_address_hard_fail:
                    raise KernelError(
                        f"{address} cannot be listened on: {error.strerror}"
                    ) from error
                self._log.error(f"{name} is not served", address=address, reason=error.strerror)
            else:
                self._listeners[name] = (address, listener)

    def _complain(self, key: tuple[str, str], port: int, reason: str) -> None:
        self._log.repeating(
            "a health-check node port cannot be served",
            about=f"health port {port}",
            service="/".join(key),
            port=port,
            reason=reason,
        )

    def _kubeconfig(self, config: ProxyConfig) -> str | None:
        return self._settings.kubeconfig or config.kubeconfig or None

    def _make_recorder(self, config: ProxyConfig) -> Recorder:
        settings = self._settings
        return Recorder(
            Connection(kubeconfig=self._kubeconfig(config), context=settings.context),
            node=settings.node_name,
            clock=time.monotonic,
            wall=time.time,
            wait=self._stop.wait,
            random=random.random,
            failed=self._event_lost,
        )

    def _event_lost(self, reason: str) -> None:
        self._metrics.event_lost()
        self._log.repeating(
            "a Kubernetes Event could not be written", about="events", reason=reason
        )

    def _service_of(self, key: tuple[str, str]) -> tuple[str, str] | None:
        found = self._agent.picture.slices.get(key)
        return None if found is None else found.service_key

    def _describe(self) -> Mapping[str, Any]:
        """What `nptables status` shows."""
        agent, picture, now = self._agent, self._agent.picture, time.monotonic()
        since = agent.health.pending_since
        last = self._reports.last_sync
        return {
            "pid": os.getpid(),
            "node": picture.node_name,
            "mode": "observe" if self._observe else "sync",
            "healthy": self._healthy(),
            "nodeEligible": agent.health.node_eligible,
            "synced": agent.synced,
            "lastSync": None if last is None else _rfc3339(last),
            "pendingSeconds": None if since is None else round(now - since, 3),
            "services": len(picture.services),
            "endpointSlices": len(picture.slices),
            "problems": len(picture.problems),
            "watches": {name: reason or "ok" for name, reason in self._reports.watches.items()},
            "families": [
                {
                    "family": engine.family.value,
                    "backend": engine.backend.name,
                    "rules": sum(engine.tally.rules.values()),
                }
                for engine in agent.engines
            ],
        }

    def _start(self, target: Callable[[], None], name: str) -> None:
        def guarded() -> None:
            try:
                target()
            except Exception as error:  # noqa: BLE001 - a thread must not die unnoticed
                if not self._stop.is_set():
                    self._inbox.put(_Broken(error))

        threading.Thread(target=guarded, name=name, daemon=True).start()


def _gather() -> NodeFacts:
    """The facts of this node, as far as rules depend on them."""
    found = node_facts.gather()
    found.pop("routes", None)
    return NodeFacts.from_mapping(found)


def _health_hosts(node: Node, config: ProxyConfig) -> list[str]:
    """The addresses for health-check node ports: those of nodePortAddresses, or all."""
    contexts = [make_context(node, config, family) for family in Family]
    if all(context.all_addresses for context in contexts):
        return [""]
    return [
        address
        for context in contexts
        if not context.all_addresses
        for address in context.node_port_addresses
    ] or [""]


def _everywhere(host: str) -> str:
    return "" if host in ("0.0.0.0", "::") else host  # noqa: S104 - compared with


def _rfc3339(seconds: float) -> str:
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")
    return text.replace("+00:00", "Z")


@contextlib.contextmanager
def _signals_to(put: Callable[[int], None]) -> Iterator[None]:
    """Hand SIGTERM, SIGINT and SIGHUP to a function for as long as the context lasts."""
    numbers = (*_STOPPING, signal.SIGHUP)
    before = {n: signal.signal(n, lambda number, _: put(number)) for n in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
