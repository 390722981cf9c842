"""Agents as processes in network namespaces, and the rules that they should have made."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from nptables.agent.serving import ask_status
from nptables.agent.serving.status import NotRunning
from nptables.errors import SaveSyntaxError
from nptables.family import Family
from nptables.iptables import Ruleset
from nptables.iptables.changes import diff
from nptables.model import Cluster, ProxyConfig
from nptables.translation import translate
from tests.support.netns import FAMILIES, NPTABLES
from tests.support.pace import WATCH_SETTINGS, hasty_watch
from tests.support.polling import rules_by_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from nptables.sources.apiserver import Settings
    from tests.support.apiserver import ApiServer
    from tests.support.netns import Family as FamilyName
    from tests.support.netns import Namespace

_COUNTERS = re.compile(r"\[\d+:\d+\]")
# Seconds that anything is waited for that has to come: far more than a busy machine takes. What is
# to come within a time that is promised has a limit of its own.
LIMIT = 60.0


@dataclass
class AgentProcess:
    """`nptables run` in a namespace, against a test API server.

    A hasty one never waits longer than half a second before it asks the API server again, so that
    a test can break its watches many times in a row; `watch` has further settings of its watches.
    """

    namespace: Namespace
    server: ApiServer
    folder: Path
    node: str = "node1"
    options: tuple[str, ...] = ()
    config: dict[str, Any] | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    hasty: bool = False
    watch: dict[str, float] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def log_path(self) -> Path:
        return self.folder / f"{self.node}.log"

    @property
    def run_folder(self) -> Path:
        return self.folder / f"run-{self.node}"

    @property
    def pace(self) -> Settings:
        """How often a hasty one asks the API server."""
        return hasty_watch(self.watch)

    def argv(self, command: str = "run", *options: str) -> list[str]:
        inside = ["ip", "netns", "exec", self.namespace.name]
        module = "tests.support.hasty" if self.hasty else "nptables"
        return [*inside, sys.executable, "-m", module, command, *options]

    def start(self, stdin: IO[str] | None = None) -> AgentProcess:
        """Start it; it is not waited for."""
        self.folder.mkdir(exist_ok=True)
        kubeconfig = self.server.kubeconfig(self.folder / f"{self.node}.kubeconfig")
        options = ["--node", self.node, "--kubeconfig", str(kubeconfig)]
        options += ["--backend", self.namespace.backend, "--run-dir", str(self.run_folder)]
        options += ["--no-prepare", "-v", *self.options]
        if self.config is not None:
            options += ["--config", str(self.write_config(self.config))]
        with self.log_path.open("ab") as log:
            environment = {**os.environ, WATCH_SETTINGS: json.dumps(self.watch)}
            argv = self.argv("run", *options)
            self.process = subprocess.Popen(argv, stdin=stdin, stderr=log, env=environment)
        return self

    def write_config(self, document: dict[str, Any]) -> Path:
        """Write the configuration that the agent reads at its start and on SIGHUP."""
        self.config = {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            **document,
        }
        path = self.folder / f"{self.node}-config.json"
        path.write_text(json.dumps(self.config))
        return path

    def send(self, number: int) -> None:
        """Send a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it with a signal; returns its exit code."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)
        try:
            return self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    def status(self) -> dict[str, Any]:
        """What `nptables status -o json` says."""
        words = [*NPTABLES, "status", "--run-dir", str(self.run_folder), "-o", "json"]
        status: dict[str, Any] = json.loads(self.namespace.run(words, check=False).stdout)
        return status

    def log(self, event: str = "") -> list[dict[str, Any]]:
        """The events that it logged."""
        # A line that is being written may be seen in part.
        lines, _, _ = self.log_path.read_text().rpartition("\n")
        found = [json.loads(line) for line in lines.splitlines() if line.startswith("{")]
        return [entry for entry in found if event in entry["event"]]

    def expected(self, family: Family = Family.IPV4) -> Any:
        """A translation from scratch of what the API server has."""
        cluster = Cluster.from_objects(self.server.objects(), lenient=True)
        config = ProxyConfig.from_kube_proxy(self.config) if self.config else ProxyConfig()
        links = json.loads(self.namespace.run(["ip", "-j", "addr"]).stdout)
        counters = self.namespace.run(["nfacct", "list"]).stdout
        facts = {"interfaces": links, "nfacct": "ct_state_invalid_dropped_pkts" in counters}
        node = cluster.node(self.node, facts | self.facts)
        return translate(cluster, node, config, family)

    def difference(self, family: Family = Family.IPV4) -> str:
        """What the kernel would have to change to be as expected; empty where nothing."""
        return self._difference(self._tables(family), family)

    def _tables(self, family: Family) -> str:
        # What is no state of one moment is found out, and looked at again, by whoever compares.
        name: FamilyName = "IPV4" if family is Family.IPV4 else "IPV6"
        return self.namespace.save(name, one_moment=False)

    def _difference(self, tables: str, family: Family) -> str:
        try:
            current = Ruleset.from_save(tables, family=family)
        except SaveSyntaxError as error:
            # While the agent commits, iptables-nft-save may print a chain twice.
            return str(error)
        plan = diff(current, self.expected(family))
        return plan.to_restore() if plan else ""

    def _state(self, tables: str) -> tuple[object, str]:
        return self.server.version, _COUNTERS.sub("", tables)

    def converges(self, timeout: float = LIMIT, family: Family = Family.IPV4) -> float:
        """Wait until the kernel is as expected; returns the seconds. Fails with the difference."""
        started = time.monotonic()
        difference, compared = "", None
        while True:
            tables = self._tables(family)
            # Compared anew where something has changed: that takes far longer than to look.
            if (state := self._state(tables)) != compared:
                difference = self._difference(tables, family)
                # One table is read after the other. What no moment had may be as expected.
                if not difference and self._state(self._tables(family)) == state:
                    return time.monotonic() - started
                compared = state if difference else None
            if time.monotonic() - started > timeout:
                log = self.log_path.read_text()[-3000:]
                raise AssertionError(
                    f"after {timeout} s there is still to do:\n{difference}\n{log}"
                )
            time.sleep(0.02)

    def settles(self, timeout: float = LIMIT) -> None:
        """Wait until the kernel is as expected in both families."""
        until = time.monotonic() + timeout
        for family in Family:
            self.converges(until - time.monotonic(), family)

    def gets_ready(self) -> None:
        """Wait until both families were synced for the first time: it writes nothing more then."""
        wait_for(lambda: len(self.log("synced for the first time")) == len(Family))

    def rests(self) -> None:
        """Wait until no change waits any more: what follows the rules is done as well."""
        wait_for(self._rests)

    def _rests(self) -> bool:
        try:
            status = ask_status(self.run_folder)
        except NotRunning:
            return False
        return bool(status["synced"]) and status["pendingSeconds"] is None


@contextlib.contextmanager
def running(agent: AgentProcess) -> Iterator[AgentProcess]:
    """Start an agent, and end it whatever happens."""
    agent.start()
    try:
        yield agent
    finally:
        if agent.process is not None and agent.process.poll() is None:
            agent.stop()


def lasting(namespace: Namespace) -> dict[FamilyName, list[str]]:
    """The rules that stand now, by family and each after the name of its table.

    They are those that no change of other Services may cost.
    """
    return {family: rules_by_table(namespace.save(family)) for family in FAMILIES}


@contextlib.contextmanager
def watched(
    namespace: Namespace, needed: Mapping[FamilyName, Sequence[str]]
) -> Iterator[list[dict[str, Any]]]:
    """Have another process read the tables whenever they change.

    What is yielded holds, in the end, what each reading lacked of what is needed.
    """
    wanted = {namespace.program(family, "save"): list(lines) for family, lines in needed.items()}
    inside = ["ip", "netns", "exec", namespace.name]
    with subprocess.Popen(
        [*inside, sys.executable, "-m", "tests.support.polling", json.dumps(wanted)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        lacking: list[dict[str, Any]] = []
        # It tells of nothing else unless something is lost, so that it never waits for us.
        first = json.loads(process.stdout.readline())
        try:
            yield lacking
        finally:
            process.stdin.close()
            told = [first, *map(json.loads, process.stdout)]
            lacking += [entry for entry in told if "lacking" in entry]
            assert told[-1]["polls"] > 1


def wait_for(condition: Callable[[], bool], timeout: float = LIMIT) -> None:
    """Wait until a condition holds; fail where it does not in time."""
    until = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < until, "it did not come true in time"
        time.sleep(0.02)


def resident(pid: int) -> int:
    """The memory of a process that is in RAM, in bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def descriptors(pid: int) -> int:
    """How many files and sockets a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))
