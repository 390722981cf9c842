"""How `nptables run` starts where something is in its way, and how it is stopped meanwhile."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.agents import AgentProcess, running, wait_for
from tests.support.apiserver import ApiServer
from tests.support.netns import network_namespace
from tests.support.objects import endpoint_slice, node, service
from tests.support.requirements import requires

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.kernel


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[AgentProcess]:
    """An agent that is not started yet; the backend makes no difference here."""
    requires("root", "netns", "nft")
    with network_namespace("nft") as namespace:
        namespace.run(["ip", "link", "set", "lo", "up"])
        with ApiServer(namespace=namespace.name) as server:
            server.put(node(), service("web", node_port=30080), endpoint_slice("web", "10.244.0.5"))
            yield AgentProcess(namespace, server, tmp_path, hasty=False)


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


def imported(agent: AgentProcess) -> bool:
    """Whether the interpreter has come as far as the kubernetes client, which is imported late."""
    assert agent.process is not None
    return "_ssl" in Path(f"/proc/{agent.process.pid}/maps").read_text()


def test_a_reload_is_not_lost_while_packages_are_imported(agent: AgentProcess) -> None:
    agent.config = {}
    with running(agent):
        wait_for(lambda: catches(agent, signal.SIGHUP))
        assert not imported(agent)
        agent.send(signal.SIGHUP)
        wait_for(lambda: bool(agent.log("read the configuration again")))
        agent.converges(20)
        assert agent.stop() == 0


def test_a_stop_while_packages_are_imported_is_a_regular_end(agent: AgentProcess) -> None:
    with running(agent):
        wait_for(lambda: catches(agent, signal.SIGTERM))
        assert not imported(agent)
        assert agent.stop(signal.SIGTERM) == 0


@pytest.mark.parametrize("reading", [1, 2], ids=["choosing the backend", "the first sync"])
def test_a_stop_does_not_wait_for_tables_that_take_long_to_read(
    agent: AgentProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reading: int
) -> None:
    # Reading takes 1000 s, `AgentProcess.stop` waits for 20.
    folder, count = tmp_path / "bin", tmp_path / "count"
    stand_in(
        folder,
        "iptables-nft-save",
        f'echo >> {count}\n[ $(wc -l < {count}) = {reading} ] && exec sleep 1000\nexec $real "$@"',
    )
    start_with(agent, folder, monkeypatch)
    wait_for(lambda: count.exists() and count.read_text() == "\n" * reading, 20)
    assert agent.stop(signal.SIGTERM) == 0
    assert agent.log("the rules stay")
    inside = agent.namespace.run(["ip", "netns", "pids", agent.namespace.name]).stdout.split()
    assert "sleep\n" not in [Path(f"/proc/{pid}/comm").read_text() for pid in inside]
