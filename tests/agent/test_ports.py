"""The ports of a running agent: attacked, in use, and moved."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

from tests.support.agents import LIMIT, AgentProcess, running, wait_for
from tests.support.apiserver import ApiServer
from tests.support.netns import network_namespace
from tests.support.objects import endpoint_slice, node, service
from tests.support.requirements import requires

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.netns import Namespace

pytestmark = pytest.mark.kernel

BALANCED = service(
    "web",
    node_port=30080,
    type="LoadBalancer",
    externalTrafficPolicy="Local",
    healthCheckNodePort=32000,
)


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[AgentProcess]:
    requires("root", "netns", "nft")
    with network_namespace("nft") as namespace:
        namespace.run(["ip", "link", "set", "lo", "up"])
        with ApiServer(namespace=namespace.name) as server:
            server.put(node(), BALANCED, endpoint_slice("web", "10.244.0.5"))
            yield AgentProcess(namespace, server, tmp_path, config={}, hasty=True)


@contextlib.contextmanager
def inside(namespace: Namespace, script: str) -> Iterator[subprocess.Popen[str]]:
    """A Python script that runs in the namespace until its standard input ends."""
    command = ["ip", "netns", "exec", namespace.name, sys.executable, "-c", textwrap.dedent(script)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        yield child
    assert child.returncode == 0


@contextlib.contextmanager
def taken(namespace: Namespace, port: int) -> Iterator[None]:
    """Somebody else listens on a port of the namespace."""
    script = f"""
        import socket, sys
        with socket.create_server(("127.0.0.1", {port})):
            print("listening", flush=True)
            sys.stdin.read()
    """
    with inside(namespace, script) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "listening\n"
        yield


def status(namespace: Namespace, port: int, path: str = "/livez") -> int:
    """The status of an answer, or 0 where nobody listens."""
    code = f"""
        import http.client
        connection = http.client.HTTPConnection("127.0.0.1", {port}, timeout=10)
        try:
            connection.request("GET", "{path}")
            print(connection.getresponse().status)
        except ConnectionRefusedError:
            print(0)
    """
    return int(namespace.run([sys.executable, "-c", textwrap.dedent(code)]).stdout)


def test_probes_are_answered_while_every_port_is_held_by_slow_clients(agent: AgentProcess) -> None:
    script = """
        import http.client, json, socket, sys, threading, time

        ports = {10256: "/livez", 10249: "/proxyMode", 32000: "/"}
        over = threading.Event()

        def dribble(port):
            links = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(150)]
            started.release()
            while not over.wait(0.1):
                for at, link in enumerate(links):
                    try:
                        link.sendall(b"G")
                    except OSError:
                        link.close()
                        links[at] = socket.create_connection(("127.0.0.1", port), timeout=10)

        started = threading.Semaphore(0)
        threads = [threading.Thread(target=dribble, args=(port,)) for port in ports]
        for thread in threads:
            thread.start()
        for _ in threads:
            started.acquire()
        answers = {port: [] for port in ports}
        for _ in range(20):
            for port, path in ports.items():
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
                try:
                    connection.request("GET", path)
                    answers[port].append(connection.getresponse().status)
                except Exception as error:
                    answers[port].append(repr(error))
                connection.close()
            time.sleep(0.05)
        over.set()
        print(json.dumps(answers))
    """
    with running(agent):
        wait_for(lambda: status(agent.namespace, 32000, "/") == 200)
        with inside(agent.namespace, script) as child:
            answers = json.loads(child.communicate()[0])
        assert answers == {port: [200] * 20 for port in ("10256", "10249", "32000")}
        assert agent.stop() == 0


def test_a_port_in_use_at_the_start_is_served_once_it_is_free(agent: AgentProcess) -> None:
    namespace = agent.namespace
    with contextlib.ExitStack() as in_use:
        in_use.enter_context(taken(namespace, 10256))
        in_use.enter_context(taken(namespace, 32000))
        with running(agent):
            wait_for(lambda: bool(agent.log("health-check node port cannot be served")))
            assert [entry["address"] for entry in agent.log("healthz is not served")] == [
                "0.0.0.0:10256"
            ]
            in_use.close()
            wait_for(lambda: status(namespace, 10256) == 200)
            wait_for(lambda: status(namespace, 32000, "/") == 200)
            assert agent.stop() == 0


def test_a_port_in_use_ends_the_start_where_the_configuration_says_so(
    agent: AgentProcess,
) -> None:
    agent.config = {"bindAddressHardFail": True}
    with taken(agent.namespace, 10256):
        agent.start()
        assert agent.process is not None
        assert agent.process.wait(LIMIT) == 3
    assert "0.0.0.0:10256 cannot be listened on" in agent.log_path.read_text()


def test_a_port_in_use_never_ends_an_agent_that_reads_its_configuration_again(
    agent: AgentProcess,
) -> None:
    namespace = agent.namespace
    agent.config = {"bindAddressHardFail": True}
    with running(agent):
        wait_for(lambda: bool(agent.log("synced for the first time")))
        with taken(namespace, 10300):
            agent.write_config(
                {"bindAddressHardFail": True, "healthzBindAddress": "127.0.0.1:10300"}
            )
            agent.send(signal.SIGHUP)
            wait_for(lambda: bool(agent.log("healthz is not served")))
            assert status(namespace, 10256) == 200
        wait_for(lambda: status(namespace, 10300) == 200)
        # The new address is open before the old one is closed.
        wait_for(lambda: status(namespace, 10256) == 0)
        assert agent.stop() == 0


class Breakable(AgentProcess):
    """An agent whose event loops fail once there is a certain file."""

    @property
    def broken(self) -> Path:
        return self.folder / "broken"

    def argv(self, command: str = "run", *options: str) -> list[str]:
        code = f"""
            import os, selectors, sys
            from nptables.cli import main

            select = selectors.EpollSelector.select

            def fail(selector, timeout=None):
                if os.path.exists({str(self.broken)!r}):
                    raise OSError("no more")
                return select(selector, timeout)

            selectors.EpollSelector.select = fail
            sys.exit(main())
        """
        inside = ["ip", "netns", "exec", self.namespace.name]
        return [*inside, sys.executable, "-c", textwrap.dedent(code), command, *options]


def test_an_agent_that_can_answer_no_more_ends(agent: AgentProcess, tmp_path: Path) -> None:
    breakable = Breakable(agent.namespace, agent.server, tmp_path)
    with running(breakable):
        # Until all ports are open: that ends otherwise where the thread has ended before.
        wait_for(lambda: bool(breakable.log("synced for the first time")))
        wait_for(lambda: status(agent.namespace, 32000, "/") != 0)
        breakable.broken.touch()
        # The next connection wakes the thread.
        with contextlib.suppress(AssertionError):
            status(agent.namespace, 10256)
        assert breakable.process is not None
        assert breakable.process.wait(LIMIT) == 70
    text = breakable.log_path.read_text()
    assert "no more" in text, text[-3000:]
