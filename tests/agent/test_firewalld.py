"""A real firewalld beside the agent: it reloads and restarts, and flushes the tables of everybody.

With FirewallBackend=iptables its rules stand in the tables of the agent. With nftables they stand
in a table of its own, and yet firewalld 1.3 flushes the tables of the iptables program that it
finds, for the sake of its direct rules.
"""

from __future__ import annotations

import contextlib
import re
import time
from typing import TYPE_CHECKING

import pytest

from nptables.family import Family
from nptables.iptables import Ruleset
from nptables.iptables.ruleset import BUILT_IN_CHAINS
from tests.agent.test_chaos import CHECKED_WITHIN
from tests.support.agents import AgentProcess, running, wait_for
from tests.support.apiserver import ApiServer
from tests.support.firewalld import NEEDS, Firewalld, firewalld
from tests.support.netns import BACKENDS, network_namespace
from tests.support.objects import endpoint_slice, node, service
from tests.support.requirements import requires

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.netns import Backend, Namespace

    # By family, table and chain: the policy or nothing, and the rules that are not the agent's.
    Others = dict[tuple[str, str, str], tuple[str, list[str]]]

pytestmark = pytest.mark.kernel

STEADY = (
    service("steady", node_port=30080, sessionAffinity="ClientIP"),
    endpoint_slice("steady", "10.244.0.5"),
    service("six", cluster_ip="fd00:10:96::10"),
    endpoint_slice("six", "fd00:1::5"),
)


def saved(namespace: Namespace, family: Family) -> Ruleset:
    return Ruleset.from_save(
        namespace.save("IPV4" if family is Family.IPV4 else "IPV6"), family=family
    )


def of_others(namespace: Namespace) -> Others:
    """What firewalld made, in its order but for the jumps to RFC3964_IPv4, which come first.

    firewalld inserts these two at a place that it counts from the top of the chain, over
    everybody's rules. Where the agent repairs while firewalld reloads, they stand a little further
    up among the rules of firewalld than where it found the chain empty.
    """
    return {
        (family.value, name, chain): (
            table.policies.get(chain, ""),
            sorted(
                (line for line in lines if "KUBE-" not in line),
                key=lambda line: not line.endswith(" -j RFC3964_IPv4"),
            ),
        )
        for family in Family
        for name, table in saved(namespace, family).tables.items()
        for chain, lines in table.chains.items()
        if not chain.startswith("KUBE-")
    }


def rules(others: Others) -> list[str]:
    return [line for _, lines in others.values() for line in lines]


def assert_jumps_come_first(agent: AgentProcess) -> None:
    """The agent's jumps stand before the rules of firewalld, whose last one refuses the rest."""
    for family in Family:
        found = saved(agent.namespace, family)
        for name, table in agent.expected(family).tables.items():
            for chain, lines in table.chains.items():
                if chain in BUILT_IN_CHAINS[name]:
                    assert found.lines(name, chain)[: len(lines)] == lines


def assert_all_is_back(agent: AgentProcess, gone: int) -> None:
    """Both families are as they should be in time, and the log says what had happened."""
    until = time.monotonic() + CHECKED_WITHIN
    for family in Family:
        agent.converges(until - time.monotonic(), family=family)
    wait_for(lambda: len(agent.log("are gone")) > gone, until - time.monotonic())
    wait_for(lambda: canaries(agent.namespace) == 6, until - time.monotonic())
    assert_jumps_come_first(agent)


def canaries(namespace: Namespace) -> int:
    text = namespace.save("IPV4") + namespace.save("IPV6")
    return text.count("-A KUBE-PROXY-CANARY ")


@contextlib.contextmanager
def agent_in(namespace: Namespace, folder: Path) -> Iterator[AgentProcess]:
    with ApiServer(namespace=namespace.name) as server:
        server.put(node(), *STEADY)
        agent = AgentProcess(
            namespace,
            server,
            folder / "agent",
            options=("--check-period", "500ms"),
            config={"iptables": {"minSyncPeriod": "100ms"}},
            hasty=True,
        )
        with running(agent):
            agent.gets_ready()
            agent.settles()
            assert canaries(namespace) == 6
            yield agent


@contextlib.contextmanager
def namespace_for(backend: Backend) -> Iterator[Namespace]:
    requires("root", "netns", backend, *NEEDS)
    with network_namespace(backend) as namespace:
        namespace.run(["ip", "link", "set", "lo", "up"])
        yield namespace


@pytest.fixture(scope="module", params=BACKENDS)
def beside(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Firewalld, AgentProcess, Others]]:
    """firewalld and the agent in the same tables, and what firewalld wrote when it was alone."""
    folder = tmp_path_factory.mktemp("firewalld")
    with (
        namespace_for(request.param) as namespace,
        firewalld(namespace, folder, iptables=request.param) as other,
    ):
        theirs = of_others(namespace)
        with agent_in(namespace, folder) as agent:
            yield other, agent, theirs


def reload(other: Firewalld) -> None:
    other.command("--reload")


def complete_reload(other: Firewalld) -> None:
    other.command("--complete-reload")


def restart(other: Firewalld) -> None:
    other.stop()
    other.start()


def test_the_rules_of_firewalld_are_those_that_the_tests_ask_for(
    beside: tuple[Firewalld, AgentProcess, Others],
) -> None:
    _, agent, theirs = beside
    text = "\n".join(rules(theirs))
    assert "-A IN_public_allow -p tcp -m tcp --dport 8443" in text
    assert "-A IN_public_deny -s 198.51.100.0/24 -j REJECT" in text
    assert "--match-set office src" in text
    assert "-A FORWARD -j REJECT --reject-with icmp-host-prohibited" in text
    assert theirs["IPv4", "filter", "FORWARD"][0] == "ACCEPT"
    assert_jumps_come_first(agent)
    assert of_others(agent.namespace) == theirs


@pytest.mark.parametrize("act", [reload, complete_reload, restart])
def test_the_rules_come_back_and_those_of_firewalld_stay(
    beside: tuple[Firewalld, AgentProcess, Others], act: Callable[[Firewalld], None]
) -> None:
    other, agent, theirs = beside
    gone = len(agent.log("are gone"))
    act(other)
    assert_all_is_back(agent, gone)
    assert of_others(agent.namespace) == theirs
    # What comes later reaches the kernel as before.
    agent.server.put(endpoint_slice("steady", "10.244.0.5", "10.244.0.6"))
    agent.converges()
    agent.server.put(endpoint_slice("steady", "10.244.0.5"))
    agent.converges()
    assert of_others(agent.namespace) == theirs
    assert other.complaints() == []


def test_the_rules_come_back_when_firewalld_stops_and_goes(
    beside: tuple[Firewalld, AgentProcess, Others],
) -> None:
    other, agent, theirs = beside
    gone = len(agent.log("are gone"))
    other.stop()
    assert_all_is_back(agent, gone)
    left = of_others(agent.namespace)
    assert rules(left) == []
    assert {policy for policy, _ in left.values()} == {"ACCEPT"}
    gone = len(agent.log("are gone"))
    other.start()
    assert_all_is_back(agent, gone)
    assert of_others(agent.namespace) == theirs
    assert other.complaints() == []


def test_a_repair_in_the_middle_of_a_reload_stays_before_the_rules_that_follow(
    beside: tuple[Firewalld, AgentProcess, Others],
) -> None:
    other, agent, theirs = beside
    gone = len(agent.log("are gone"))
    with other.held_while_reloading():
        assert_all_is_back(agent, gone)
        assert "-A INPUT -j INPUT_direct" not in agent.namespace.save("IPV4")
    assert_all_is_back(agent, gone)
    assert of_others(agent.namespace) == theirs
    assert other.complaints() == []
    # firewalld wants this one in the fourth place, and three jumps of the agent were there by then.
    output = saved(agent.namespace, Family.IPV6).lines("filter", "OUTPUT")
    assert output.index("-A OUTPUT -j RFC3964_IPv4") == 3


# firewalld in a table of its own, and the iptables tables that it flushes all the same.


def own_table(namespace: Namespace, *options: str) -> str:
    """The table of firewalld: its text, with -a also the numbers that tell new rules from old."""
    return namespace.read(["nft", "-s", *options, "list", "table", "inet", "firewalld"])


def tables_of_the_agent(namespace: Namespace) -> list[str]:
    """As text, on nft with the numbers that tell new rules from old ones of the same text."""
    if namespace.backend == "legacy":
        return [namespace.save("IPV4"), namespace.save("IPV6")]
    text = namespace.read(["nft", "-s", "-a", "list", "ruleset"])
    tables = re.findall(r"^table .*?^}", text, re.MULTILINE | re.DOTALL)
    return sorted(table for table in tables if not table.startswith("table inet firewalld "))


@pytest.mark.long
@pytest.mark.parametrize("backend", BACKENDS)
def test_nothing_of_the_agent_reaches_the_nftables_table_of_firewalld(
    tmp_path: Path, backend: Backend
) -> None:
    with (
        namespace_for(backend) as namespace,
        firewalld(namespace, tmp_path, iptables=backend, backend="nftables") as other,
    ):
        theirs, numbered = own_table(namespace), own_table(namespace, "-a")
        assert "tcp dport 8443" in theirs
        with agent_in(namespace, tmp_path) as agent:
            assert own_table(namespace, "-a") == numbered
            for act in (reload, complete_reload, restart):
                gone = len(agent.log("are gone"))
                act(other)
                numbered = own_table(namespace, "-a")
                # It flushed the tables of iptables, in which it has nothing.
                assert_all_is_back(agent, gone)
                assert rules(of_others(namespace)) == []
                assert own_table(namespace) == theirs
                assert own_table(namespace, "-a") == numbered
            assert agent.stop() == 0
        assert own_table(namespace, "-a") == numbered
        assert other.complaints() == []


@pytest.mark.long
@pytest.mark.parametrize(("backend", "iptables"), [BACKENDS, BACKENDS[::-1]])
def test_a_firewalld_that_finds_the_other_iptables_leaves_every_rule_untouched(
    tmp_path: Path, backend: Backend, iptables: Backend
) -> None:
    requires(iptables)
    with (
        namespace_for(backend) as namespace,
        firewalld(namespace, tmp_path, iptables=iptables, backend="nftables") as other,
        agent_in(namespace, tmp_path) as agent,
    ):
        ours = tables_of_the_agent(namespace)
        assert sum(table.count("KUBE-SVC-") for table in ours) > 2
        for act in (reload, complete_reload, restart):
            act(other)
            assert tables_of_the_agent(namespace) == ours
        assert agent.log("are gone") == agent.log("repaired") == []
        assert agent.stop() == 0
        assert other.complaints() == []
