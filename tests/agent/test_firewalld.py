"""firewalld reloads and restarts beside the agent: a simulation, without the program itself.

With FirewallBackend=iptables, firewalld 1.3 feeds iptables-restore --noflush. A reload and a start
set the policies to DROP in every table but nat, then come -F, -X and -Z in every table, which take
the chains of everybody, then its rules, and policies ACCEPT; a stop (CleanupOnExit, the default) is
the -F, -X and -Z, and policies ACCEPT. Exactly that is done here. The rules are those that a real
firewalld left behind (fixtures/dumps), without the ones that need an ipset.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nptables.family import Family
from nptables.iptables import Ruleset
from tests.agent.test_chaos import CHECKED_WITHIN
from tests.support.agents import AgentProcess, running, wait_for
from tests.support.apiserver import ApiServer
from tests.support.objects import endpoint_slice, node, service

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.netns import Namespace

pytestmark = pytest.mark.kernel

RULES = "".join(
    line
    for line in Path("fixtures/dumps/firewalld.legacy.ipv4.save")
    .read_text()
    .splitlines(keepends=True)
    if "--match-set" not in line
)
BUILT_IN = {
    table: re.findall(r"^:(\S+) ACCEPT", text, re.MULTILINE)
    for table, text in re.findall(r"^\*(\w+)\n(.*?)^COMMIT", RULES, re.MULTILINE | re.DOTALL)
}


def feed(namespace: Namespace, table: str, *commands: str) -> None:
    text = "\n".join((f"*{table}", *commands, "COMMIT", ""))
    namespace.restore(text, "IPV4", noflush=True)


def set_policy(namespace: Namespace, policy: str) -> None:
    for table, chains in BUILT_IN.items():
        if table != "nat":
            feed(namespace, table, *(f"-P {chain} {policy}" for chain in chains))


def flush(namespace: Namespace) -> None:
    for table in BUILT_IN:
        for flag in ("-F", "-X", "-Z"):
            feed(namespace, table, flag)


def start(namespace: Namespace) -> None:
    set_policy(namespace, "DROP")
    flush(namespace)
    namespace.restore(RULES, "IPV4", noflush=True)
    set_policy(namespace, "ACCEPT")


def restart(namespace: Namespace) -> None:
    flush(namespace)
    set_policy(namespace, "ACCEPT")
    start(namespace)


def of_others(namespace: Namespace) -> dict[tuple[str, str], list[str]]:
    """The rules by chain, without the agent's chains and the jumps into them."""
    tables = Ruleset.from_save(namespace.save("IPV4"), family=Family.IPV4).tables
    return {
        (table, chain): [line for line in lines if "KUBE-" not in line]
        for table, found in tables.items()
        for chain, lines in found.chains.items()
        if not chain.startswith("KUBE-")
    }


def test_the_commands_of_firewalld_know_all_its_tables() -> None:
    assert set(BUILT_IN) == {"nat", "mangle", "raw", "security", "filter"}
    assert BUILT_IN["filter"] == ["INPUT", "FORWARD", "OUTPUT"]
    assert RULES.count("-A ") > 100


@pytest.mark.parametrize("act", [start, restart], ids=["reload", "restart"])
def test_the_rules_come_back_and_those_of_firewalld_stay(
    namespace: Namespace, tmp_path: Path, act: Callable[[Namespace], None]
) -> None:
    start(namespace)
    theirs = of_others(namespace)
    assert sum(map(len, theirs.values())) > 100
    with ApiServer(namespace=namespace.name) as server:
        server.put(
            node(), service("steady", node_port=30080), endpoint_slice("steady", "10.244.0.5")
        )
        agent = AgentProcess(
            namespace,
            server,
            tmp_path,
            options=("--check-period", "500ms"),
            config={"iptables": {"minSyncPeriod": "100ms"}},
            hasty=True,
        )
        with running(agent):
            agent.converges(20)
            assert of_others(namespace) == theirs
            act(namespace)
            agent.converges(CHECKED_WITHIN)
            wait_for(lambda: bool(agent.log("are gone")), CHECKED_WITHIN)
            wait_for(lambda: namespace.save("IPV4").count("-A KUBE-PROXY-CANARY ") == 3, 10)
            assert of_others(namespace) == theirs
            # What comes later reaches the kernel as before.
            server.put(endpoint_slice("steady", "10.244.0.5", "10.244.0.6"))
            agent.converges()
            assert agent.stop() == 0
    assert of_others(namespace) == theirs
