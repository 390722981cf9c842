"""Credentials that change while an agent runs: a Pod's service account, and exec plugins."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING

import pytest
import trustme

from tests.agent.conftest import STEADY
from tests.support.agents import AgentProcess, lasting, running, wait_for, watched
from tests.support.apiserver import ApiServer
from tests.support.confined import ContainedAgent
from tests.support.netns import network_namespace
from tests.support.objects import node, service
from tests.support.plugins import FUTURE, PAST, ExecPlugin
from tests.support.requirements import requires
from tests.support.tls import server_context, written

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.netns import Namespace

pytestmark = pytest.mark.kernel

# Seconds of a hasty agent's first pause and of its longest.
FIRST, LONGEST = 0.05, 0.25


@pytest.fixture
def nft_node() -> Iterator[Namespace]:
    """A node of its own; the backend makes no difference here."""
    requires("root", "netns", "nft", "setpriv")
    with network_namespace("nft") as made:
        made.run(["ip", "link", "set", "lo", "up"])
        yield made


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def server(nft_node: Namespace, authority: trustme.CA) -> Iterator[ApiServer]:
    with ApiServer(
        namespace=nft_node.name, tls=server_context(authority), token="s3cret-1"
    ) as server:
        server.put(node(), *STEADY)
        yield server


def pauses_after_refusals(server: ApiServer, token: str, since: float) -> list[float]:
    """Seconds from each request with a token that was not taken to the next for the same."""
    found = []
    later = [request for request in server.requests if request.at >= since]
    for resource in {request.resource for request in later}:
        asked = [request for request in later if request.resource == resource]
        found += [
            after.at - before.at
            for before, after in itertools.pairwise(asked)
            if not before.authorization.endswith(f" {token}")
        ]
    return found


def test_a_service_account_that_changes_costs_no_rule_and_no_storm(
    nft_node: Namespace, server: ApiServer, authority: trustme.CA, tmp_path: Path
) -> None:
    agent = ContainedAgent(nft_node, server, tmp_path, hasty=True)
    agent.write_account(token="s3cret-1", authority=authority.cert_pem.bytes().decode())
    with running(agent):
        agent.settles()
        with watched(nft_node, lasting(nft_node)) as lacking:
            # The kubelet has written a new token, as it does long before the old one ends.
            agent.write_account(token="s3cret-2")
            server.token, changed = "s3cret-2", time.monotonic()
            server.disconnect()
            server.put(service("two", cluster_ip="10.96.0.12"))
            agent.settles()
            # Each of the three watches has learnt it from one refusal.
            assert 1 <= len(pauses_after_refusals(server, "s3cret-2", changed)) <= 3

            # The old one has ended, and there is no new one yet.
            (agent.account / "token").write_text("")
            server.token, changed = "s3cret-3", time.monotonic()
            server.disconnect()
            wait_for(lambda: "Token file exists but empty" in agent.log_path.read_text())
            agent.write_account(token="s3cret-3")
            server.put(service("three", cluster_ip="10.96.0.13"))
            agent.settles()
            pauses = pauses_after_refusals(server, "s3cret-3", changed)
            assert pauses
            assert min(pauses) >= FIRST

            # Another authority, and a server with its certificate.
            following = trustme.CA()
            server.tls = server_context(following)
            agent.write_account(token="s3cret-3", authority=following.cert_pem.bytes().decode())
            server.restart()
            server.put(service("four", cluster_ip="10.96.0.14"))
            agent.settles()
        assert lacking == []
        assert agent.stop() == 0
    reasons = {entry["reason"] for entry in agent.log("cannot be watched")}
    folder = "/var/run/secrets/kubernetes.io/serviceaccount"
    assert (
        "the API server: the cluster configuration cannot be used: the service account of this "
        f"Pod ({folder}): Token file exists but empty."
    ) in reasons
    assert "s3cret" not in agent.log_path.read_text()


@pytest.fixture
def plugin(tmp_path: Path) -> ExecPlugin:
    (tmp_path / "plugin").mkdir()
    return ExecPlugin(tmp_path / "plugin")


@pytest.fixture
def agent(
    nft_node: Namespace,
    server: ApiServer,
    authority: trustme.CA,
    plugin: ExecPlugin,
    tmp_path: Path,
) -> AgentProcess:
    kubeconfig = plugin.kubeconfig(
        tmp_path / "kubeconfig", server=server.url, authority=written(authority, tmp_path / "ca")
    )
    options = ("--kubeconfig", str(kubeconfig))
    return AgentProcess(nft_node, server, tmp_path, options=options, hasty=True)


def test_a_plugin_that_fails_for_a_while_costs_no_rule_and_no_storm(
    agent: AgentProcess, server: ApiServer, plugin: ExecPlugin
) -> None:
    plugin.does("echo no session yet >&2; exit 1")
    with running(agent):
        wait_for(lambda: bool(agent.log("cannot be watched")))
        assert server.requests == []
        plugin.gives(token="s3cret-1", expirationTimestamp=FUTURE)
        agent.settles()
        with watched(agent.namespace, lasting(agent.namespace)) as lacking:
            plugin.does("echo the session is over >&2; exit 1")
            server.token, before, started = "s3cret-2", plugin.runs, time.monotonic()
            server.disconnect()
            wait_for(lambda: "the session is over" in agent.log_path.read_text())
            # One of each of the three watches.
            wait_for(lambda: plugin.runs - before >= 3)
            time.sleep(2)
            runs = plugin.runs - before
            # Each has a pause of 0.05, 0.1 and 0.2 s and then 0.25 s at least; one run may be about
            # to be counted.
            assert runs <= 3 * (4 + (time.monotonic() - started) / LONGEST + 1)
            plugin.gives(token="s3cret-2", expirationTimestamp=FUTURE)
            server.put(service("two", cluster_ip="10.96.0.12"))
            agent.settles()
        assert lacking == []
        assert agent.stop() == 0
    said = f"the API server: the credential plugin {plugin.program} failed: process returned 1. "
    reasons = {entry["reason"] for entry in agent.log("cannot be watched")}
    assert {f"{said}no session yet", f"{said}the session is over"} <= reasons
    assert "s3cret" not in agent.log_path.read_text()


def test_a_token_that_expires_is_replaced_before_each_request_and_none_is_refused(
    agent: AgentProcess, server: ApiServer, plugin: ExecPlugin
) -> None:
    plugin.gives(token="s3cret-1", expirationTimestamp=PAST)
    with running(agent):
        agent.settles()
        wait_for(lambda: len(server.watches) == 3 and bool(server.events))
        assert plugin.runs == len(server.requests)
        # Requests come only from what is cut now: lists, watches and the Event are done.
        plugin.gives(token="s3cret-2", expirationTimestamp=PAST)
        server.token, changed = "s3cret-2", time.monotonic()
        server.disconnect()
        server.put(service("two", cluster_ip="10.96.0.12"))
        agent.settles()
        # The token of a watch that is not asked for yet would be one too many.
        wait_for(lambda: len(server.watches) == 6)
        assert agent.stop() == 0
    assert pauses_after_refusals(server, "s3cret-2", changed) == []
    assert plugin.runs == len(server.requests)
