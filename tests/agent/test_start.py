"""How `nptables run` starts where something is in its way, and how it is stopped meanwhile."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trustme

from nptables.family import Family
from tests.support.agents import LIMIT, AgentProcess, running, wait_for
from tests.support.apiserver import ApiServer
from tests.support.netns import BACKENDS, Backend, network_namespace, processes_in
from tests.support.objects import endpoint_slice, node, service
from tests.support.requirements import requires
from tests.support.tls import server_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

    from tests.support.netns import Namespace

pytestmark = pytest.mark.kernel

DATAGRAM = socket.SOCK_DGRAM


@contextlib.contextmanager
def agent_on(
    backend: Backend, folder: Path, tls: ssl.SSLContext | None = None
) -> Iterator[AgentProcess]:
    requires("root", "netns", backend)
    with network_namespace(backend) as namespace:
        namespace.run(["ip", "link", "set", "lo", "up"])
        with ApiServer(namespace=namespace.name, tls=tls) as server:
            server.put(node(), service("web", node_port=30080), endpoint_slice("web", "10.244.0.5"))
            yield AgentProcess(namespace, server, folder)


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[AgentProcess]:
    """An agent that is not started yet; the backend makes no difference here."""
    with agent_on("nft", tmp_path) as made:
        yield made


def stand_in(folder: Path, name: str, script: str) -> None:
    """Put a shell script in the place of a program; `$real` is the program."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\nreal={shutil.which(name)}\n{script}\n")
    path.chmod(0o755)


def start_with(agent: AgentProcess, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start an agent that finds stand-ins first."""
    with monkeypatch.context() as environment:
        environment.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        agent.start()


def catches(agent: AgentProcess, number: int) -> bool:
    """Whether the process has a handler for a signal, as the kernel says."""
    assert agent.process is not None
    status = Path(f"/proc/{agent.process.pid}/status").read_text()
    caught = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught, 16) >> (number - 1) & 1)


class Importing(AgentProcess):
    """An agent that is held where the kubernetes client is imported, until it may go on."""

    @property
    def held(self) -> Path:
        return self.folder / "held"

    def go_on(self) -> None:
        self.held.unlink()

    def argv(self, command: str = "run", *options: str) -> list[str]:
        code = f"""
            import os, sys, time
            from nptables.cli import main

            class Holding:
                def find_spec(self, name, *_):
                    # Of what it imports this is first, and nothing else imports it here.
                    if name == "ssl":
                        open({str(self.held)!r}, "w").close()
                        while os.path.exists({str(self.held)!r}):
                            time.sleep(0.01)

            sys.meta_path.insert(0, Holding())
            sys.exit(main())
        """
        inside = ["ip", "netns", "exec", self.namespace.name]
        return [*inside, sys.executable, "-c", textwrap.dedent(code), command, *options]


@pytest.fixture
def importing(agent: AgentProcess, tmp_path: Path) -> Importing:
    return Importing(agent.namespace, agent.server, tmp_path)


def names_inside(namespace: Namespace) -> set[str]:
    """The names of the processes in a network namespace."""
    names = set()
    for pid in processes_in(namespace.name):
        with contextlib.suppress(OSError):
            names.add(Path(f"/proc/{pid}/comm").read_text().strip())
    return names


def test_a_reload_is_not_lost_while_packages_are_imported(importing: Importing) -> None:
    importing.config = {}
    with running(importing):
        wait_for(importing.held.exists)
        assert catches(importing, signal.SIGHUP)
        importing.send(signal.SIGHUP)
        importing.go_on()
        wait_for(lambda: bool(importing.log("read the configuration again")))
        importing.converges()
        assert importing.stop() == 0


def test_a_stop_while_packages_are_imported_is_a_regular_end(importing: Importing) -> None:
    with running(importing):
        wait_for(importing.held.exists)
        assert catches(importing, signal.SIGTERM)
        importing.send(signal.SIGTERM)
        importing.go_on()
        assert importing.process is not None
        assert importing.process.wait(LIMIT) == 0


@pytest.mark.parametrize("reading", [1, 2], ids=["choosing the backend", "the first sync"])
def test_a_stop_does_not_wait_for_tables_that_take_long_to_read(
    agent: AgentProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reading: int
) -> None:
    # Reading takes 1000 s, which is far more than `AgentProcess.stop` waits for.
    folder, count = tmp_path / "bin", tmp_path / "count"
    stand_in(
        folder,
        "iptables-nft-save",
        f'echo >> {count}\n[ $(wc -l < {count}) = {reading} ] && exec sleep 1000\nexec $real "$@"',
    )
    start_with(agent, folder, monkeypatch)
    wait_for(lambda: count.exists() and count.read_text() == "\n" * reading)
    assert agent.stop(signal.SIGTERM) == 0
    assert agent.log("the rules stay")
    wait_for(lambda: "sleep" not in names_inside(agent.namespace))


def test_a_change_that_waits_for_tables_to_be_read_is_old_in_the_probes_and_the_status(
    agent: AgentProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, hold, reading = tmp_path / "bin", tmp_path / "hold", tmp_path / "reading"
    stand_in(
        folder,
        "iptables-nft-save",
        f'while [ -e {hold} ]; do touch {reading}; sleep 0.05; done\nexec $real "$@"',
    )
    agent.config = {"iptables": {"syncPeriod": "400ms", "minSyncPeriod": "100ms"}}
    agent.options = ("--verify-period", "200ms")
    start_with(agent, folder, monkeypatch)
    try:
        agent.converges()
        hold.touch()
        wait_for(reading.exists)
        agent.server.put(service("late", cluster_ip="10.96.0.77"))
        wait_for(lambda: not agent.status()["healthy"])
        assert agent.status()["pendingSeconds"] >= 0.8
        hold.unlink()
        agent.converges()
        wait_for(lambda: agent.status()["healthy"])
        assert agent.stop() == 0
    finally:
        hold.unlink(missing_ok=True)
        agent.stop()


def test_a_stop_waits_for_a_change_that_is_being_written(
    agent: AgentProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, writing, go_on = tmp_path / "bin", tmp_path / "writing", tmp_path / "go-on"
    stand_in(
        folder,
        "iptables-nft-restore",
        f'touch {writing}\nuntil [ -e {go_on} ]; do sleep 0.05; done\nexec $real "$@"',
    )
    start_with(agent, folder, monkeypatch)
    assert agent.process is not None
    wait_for(writing.exists)
    agent.send(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        agent.process.wait(0.5)
    go_on.touch()
    assert agent.process.wait(LIMIT) == 0
    assert agent.difference() == ""


# What the programs of 1.8.9 say where the kernel has no IPv6 (ipv6.disable=1, or no module).
NO_NFT = "ip6tables v1.8.9 (nf_tables): Could not fetch rule set generation id: Invalid argument"
NO_LEGACY = (
    "ip6tables v1.8.9 (legacy): can't initialize ip6tables table \\`nat': "
    "Address family not supported by protocol"
)


def without_ipv6(folder: Path) -> None:
    for name in ("ip6tables-nft", "ip6tables-nft-save", "ip6tables-nft-restore"):
        stand_in(folder, name, f'echo "{NO_NFT}" >&2\nexit 4')
    for name in ("ip6tables-legacy", "ip6tables-legacy-restore"):
        stand_in(folder, name, f'echo "{NO_LEGACY}" >&2\nexit 3')
    # There are no tables, which is no error.
    stand_in(folder, "ip6tables-legacy-save", "exit 0")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("automatic", [True, False], ids=["auto", "named"])
def test_a_family_that_the_kernel_lacks_is_left_out_and_all_else_works(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    backend: Backend,
    automatic: bool,
) -> None:
    with agent_on(backend, tmp_path) as agent, socket.socket(socket.AF_UNIX, DATAGRAM) as manager:
        # The backend that has rules is the one that is chosen.
        agent.namespace.iptables("IPV4", "-A", "FORWARD", "-s", "192.0.2.1", "-j", "DROP")
        agent.options = ("--backend", "auto") if automatic else ()
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(LIMIT)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        without_ipv6(tmp_path / "bin")
        start_with(agent, tmp_path / "bin", monkeypatch)
        try:
            wait_for(lambda: manager.recv(1000).startswith(b"READY=1"))
            agent.converges()
            agent.server.put(endpoint_slice("web", "10.244.0.6"))
            agent.converges()
            left_out = agent.log("this family is left out")
            assert [entry["family"] for entry in left_out] == ["IPv6"]
            assert "this kernel lacks the tables" in left_out[0]["reason"]
            problems = [e for e in agent.log() if e["level"] in ("warning", "error")]
            assert problems == left_out
        finally:
            assert agent.stop() == 0


def test_looking_creates_no_legacy_tables_where_nft_is_used(agent: AgentProcess) -> None:
    names = ["cat", "/proc/net/ip_tables_names", "/proc/net/ip6_tables_names"]
    agent.options = ("--backend", "auto")
    agent.namespace.iptables("IPV4", "-A", "FORWARD", "-s", "192.0.2.1", "-j", "DROP")
    agent.namespace.iptables("IPV6", "-A", "FORWARD", "-s", "2001:db8::1", "-j", "DROP")
    with running(agent):
        agent.converges()
        assert agent.namespace.run(names, check=False).stdout == ""
        assert agent.stop() == 0


def test_a_kube_proxy_that_starts_later_is_noticed_in_the_log_and_the_status(
    agent: AgentProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, go_on = tmp_path / "reading", tmp_path / "go-on"
    stand_in(
        tmp_path / "bin",
        "iptables-nft-save",
        f'touch {reading}\nuntil [ -e {go_on} ]; do sleep 0.1; done\nexec $real "$@"',
    )
    # Only a process of that name counts; this one does nothing.
    other = tmp_path / "kube-proxy"
    other.symlink_to("/bin/sleep")
    start_with(agent, tmp_path / "bin", monkeypatch)
    wait_for(reading.exists)
    inside = ["ip", "netns", "exec", agent.namespace.name]
    with subprocess.Popen([*inside, str(other), "600"]) as standing:
        try:
            wait_for(lambda: "kube-proxy" in names_inside(agent.namespace))
            go_on.touch()
            wait_for(lambda: bool(agent.log("another proxy runs on this node")))
            agent.converges()
            words = [sys.executable, "-m", "nptables", "status", "--run-dir", agent.run_folder]
            said = agent.namespace.run(words, check=False).stderr
            assert f"another proxy runs on this node: kube-proxy (pid {standing.pid})" in said
        finally:
            standing.kill()
            go_on.touch()
            assert agent.stop() == 0


def test_a_reload_before_the_first_sync_does_not_make_it_ready(
    agent: AgentProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent.config = {}
    agent.hasty = True
    said: list[str] = []
    with socket.socket(socket.AF_UNIX, DATAGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(LIMIT)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        agent.server.stop()
        with running(agent):
            wait_for(lambda: bool(agent.log("started")))
            agent.send(signal.SIGHUP)
            while "STATUS=read the configuration again" not in said:
                said.append(manager.recv(1000).decode())
                assert "READY" not in said[-1]
                assert "RELOADING" not in said[-1]
            agent.server.start()
            agent.converges()
            wait_for(lambda: manager.recv(1000).startswith(b"READY=1\n"))
            agent.send(signal.SIGHUP)
            wait_for(lambda: manager.recv(1000).startswith(b"RELOADING=1\n"))
            wait_for(lambda: manager.recv(1000).startswith(b"READY=1\n"))
            assert agent.stop() == 0


def test_an_agent_runs_where_run_is_full(agent: AgentProcess) -> None:
    agent.folder.mkdir(exist_ok=True)
    agent.run_folder.mkdir()
    # Room for the folder, the file that fills it, and the lock, but not for the socket.
    mount = ["mount", "-t", "tmpfs", "-o", "size=4k,nr_inodes=3", "tmpfs", str(agent.run_folder)]
    subprocess.run(mount, check=True)
    try:
        (agent.run_folder / "full").write_bytes(b"x" * 4096)
        agent.start()
        agent.converges()
        assert [entry["level"] for entry in agent.log("will get no answer")] == ["warning"]
        assert agent.stop() == 0
    finally:
        subprocess.run(["umount", str(agent.run_folder)], check=True)


def test_a_configuration_on_standard_input_is_read_once_and_kept(agent: AgentProcess) -> None:
    # A configuration that changes rules, so that to converge means to have read it.
    path = agent.write_config({"iptables": {"masqueradeAll": True}})
    agent.options = ("--config", "-")
    given, agent.config = agent.config, None
    with path.open() as standard_input:
        agent.start(stdin=standard_input)
    agent.config = given
    try:
        agent.converges()
        agent.send(signal.SIGHUP)
        wait_for(lambda: bool(agent.log("going on as before")))
        assert "standard input cannot be read again" in str(agent.log("going on as before"))
        agent.server.put(endpoint_slice("web", "10.244.0.7"))
        agent.converges()
    finally:
        assert agent.stop() == 0


def test_a_closed_standard_error_is_no_reason_to_end(agent: AgentProcess) -> None:
    kubeconfig = agent.server.kubeconfig(agent.folder / "kubeconfig")
    words = ["--node", "node1", "--kubeconfig", kubeconfig, "--run-dir", agent.run_folder]
    command = " ".join(map(str, [sys.executable, "-m nptables run --no-prepare", *words]))
    shell = ["ip", "netns", "exec", agent.namespace.name, "sh", "-c"]
    with subprocess.Popen([*shell, f"exec {command} --backend nft 0<&- 2>&-"]) as process:
        try:
            agent.log_path.touch()
            agent.converges()
        finally:
            process.terminate()
        assert process.wait(LIMIT) == 0


def test_an_agent_that_hangs_is_named_with_its_pid(agent: AgentProcess) -> None:
    with running(agent):
        agent.gets_ready()
        assert agent.process is not None
        words = [sys.executable, "-m", "nptables", "status", "--run-dir", agent.run_folder]
        agent.send(signal.SIGSTOP)
        try:
            done = agent.namespace.run(words, check=False)
        finally:
            agent.send(signal.SIGCONT)
        assert done.returncode == 3
        assert f"(pid {agent.process.pid}, node node1) does not answer within 5 s" in done.stderr
        assert agent.namespace.run(words, check=False).returncode == 0
        assert agent.stop() == 0


def test_rules_of_one_family_are_removed_although_those_of_the_other_cannot_be(
    agent: AgentProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = tmp_path / "failing"
    stand_in(
        tmp_path / "bin",
        "iptables-nft-restore",
        f'[ -e {failing} ] && echo "iptables-restore: no" >&2 && exit 4\nexec $real "$@"',
    )
    agent.options = ("--cleanup-on-exit",)
    start_with(agent, tmp_path / "bin", monkeypatch)
    agent.converges()
    agent.converges(family=Family.IPV6)
    failing.touch()
    assert agent.stop() == 3
    assert [entry["family"] for entry in agent.log("could not be removed")] == ["IPv4"]
    assert not agent.log("removed the rules")
    assert "KUBE-SERVICES" in agent.namespace.save("IPV4")
    assert "KUBE-SERVICES" not in agent.namespace.save("IPV6")


def test_warnings_of_libraries_are_lines_of_the_log(tmp_path: Path) -> None:
    with agent_on("nft", tmp_path, server_context(trustme.CA())) as agent:
        path = agent.server.kubeconfig(tmp_path / "insecure")
        document = json.loads(path.read_text())
        document["clusters"][0]["cluster"]["insecure-skip-tls-verify"] = True
        path.write_text(json.dumps(document))
        agent.options = ("--kubeconfig", str(path))
        with running(agent):
            agent.converges()
            assert agent.stop() == 0
        said = agent.log("a library warns")
        assert [entry["kind"] for entry in said] == ["InsecureRequestWarning"]
        assert all(line.startswith("{") for line in agent.log_path.read_text().splitlines())
