"""What others do to the tables of a node, and what faults of the API server do to an agent."""

from __future__ import annotations

import os
import random
import signal
import time
from typing import TYPE_CHECKING

import pytest

from nptables.family import Family
from tests.support.agents import AgentProcess, descriptors, running, wait_for, watched
from tests.support.apiserver import ApiServer, Fault
from tests.support.objects import endpoint_slice, node, service

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.netns import Namespace

pytestmark = pytest.mark.kernel

# The periods of the standing agent, the second that the promise adds, and what a machine may need
# that runs many tests at once. That the periods are kept is proved with a clock of our own.
LOADED = 5
CHECKED_WITHIN = 0.5 + 1 + LOADED
VERIFIED_WITHIN = 2 + 1 + LOADED
FOREIGN = (
    "*nat\n:OTHERS - [0:0]\n-A OTHERS -j RETURN\n-A POSTROUTING -j OTHERS\nCOMMIT\n"
    "*filter\n:OTHERS - [0:0]\n-A OTHERS -j ACCEPT\n-A FORWARD -j OTHERS\nCOMMIT\n"
)
# How often the agent is killed; the proof by hand takes 50.
KILLS = int(os.environ.get("NPTABLES_KILLS", "4"))


def rules(text: str) -> list[str]:
    return sorted(line for line in text.splitlines() if line.startswith("-A "))


def flush(*tables: str, chains: bool = False) -> Callable[[Namespace], None]:
    def act(namespace: Namespace) -> None:
        for table in tables:
            namespace.iptables("IPV4", "-t", table, "-F")
            if chains:
                namespace.iptables("IPV4", "-t", table, "-X")

    return act


def ruleset_flushed(namespace: Namespace) -> None:
    if namespace.backend == "nft":
        namespace.run(["nft", "flush", "ruleset"])
    else:
        flush("nat", "filter", "mangle", chains=True)(namespace)


def one_jump(namespace: Namespace) -> None:
    nat = namespace.save("IPV4").split("*nat\n")[1].splitlines()
    rule = next(line for line in nat if line.startswith("-A OUTPUT"))
    namespace.restore(f"*nat\n-D{rule[2:]}\nCOMMIT\n", "IPV4", noflush=True)


def one_rule(namespace: Namespace) -> None:
    line = "-A KUBE-MARK-MASQ -j MARK --set-xmark 0x9/0x9"
    text = f"*nat\n:KUBE-MARK-MASQ - [0:0]\n{line}\nCOMMIT\n"
    namespace.restore(text, "IPV4", noflush=True)


def all_of_ours(namespace: Namespace) -> None:
    text = namespace.save("IPV4")
    for table in ("nat", "filter"):
        part = text.split(f"*{table}\n")[1].split("COMMIT")[0].splitlines()
        mine = [line[1:].split()[0] for line in part if line.startswith(":KUBE")]
        jumps = [f"-D{x[2:]}" for x in part if x.startswith("-A") and not x.startswith("-A KUBE")]
        jumps = [line for line in jumps if "KUBE" in line]
        flushed = [f"-F {chain}" for chain in mine]
        gone = [f"-X {chain}" for chain in mine]
        whole = "\n".join([f"*{table}", *jumps, *flushed, *gone, "COMMIT", ""])
        namespace.restore(whole, "IPV4", noflush=True)


@pytest.mark.parametrize(
    ("act", "within"),
    [
        pytest.param(flush("nat"), CHECKED_WITHIN, id="nat flushed"),
        pytest.param(flush("filter"), CHECKED_WITHIN, id="filter flushed"),
        pytest.param(flush("mangle"), CHECKED_WITHIN, id="mangle flushed"),
        pytest.param(flush("nat", chains=True), CHECKED_WITHIN, id="nat chains deleted"),
        pytest.param(ruleset_flushed, CHECKED_WITHIN, id="everything flushed"),
        pytest.param(one_jump, CHECKED_WITHIN, id="a jump deleted"),
        pytest.param(one_rule, VERIFIED_WITHIN, id="a rule altered"),
        pytest.param(all_of_ours, CHECKED_WITHIN, id="all our chains deleted"),
    ],
)
def test_what_others_break_is_repaired_in_time(
    standing: AgentProcess, act: Callable[[Namespace], None], within: float
) -> None:
    namespace = standing.namespace
    namespace.restore(FOREIGN, "IPV4", noflush=True)
    namespace.iptables("IPV4", "-P", "FORWARD", "DROP")
    standing.converges()
    told = len(standing.log("are gone")) + len(standing.log("repaired"))
    act(namespace)
    kept = "OTHERS" in namespace.save("IPV4")
    standing.converges(within)
    wait_for(lambda: _canaries(namespace) == 3, within)
    wait_for(lambda: len(standing.log("are gone")) + len(standing.log("repaired")) > told, within)
    after = namespace.save("IPV4")
    if kept:
        assert "OTHERS" in after
    if act is not ruleset_flushed:
        assert ":FORWARD DROP" in after


def _canaries(namespace: Namespace) -> int:
    return namespace.save("IPV4").count("-A KUBE-PROXY-CANARY ")


def test_the_clients_that_a_service_remembers_survive_a_repair(standing: AgentProcess) -> None:
    standing.converges()
    namespace = standing.namespace
    text = namespace.save("IPV4")
    name = next(w for w in text.split() if w.startswith("KUBE-SEP-"))
    remembered = f"/proc/net/xt_recent/{name}"
    namespace.run(["sh", "-c", f"echo +192.0.2.77 > {remembered}"])
    one_rule(namespace)
    standing.converges(VERIFIED_WITHIN)
    one_jump(namespace)
    standing.converges(VERIFIED_WITHIN)
    assert "192.0.2.77" in namespace.run(["cat", remembered]).stdout


def test_ipv6_is_kept_too(standing: AgentProcess) -> None:
    standing.server.put(
        service("six", cluster_ip="fd00:10:96::10"), endpoint_slice("six", "fd00:1::5")
    )
    standing.converges(family=Family.IPV6)
    standing.namespace.iptables("IPV6", "-t", "nat", "-F")
    standing.converges(CHECKED_WITHIN, family=Family.IPV6)
    standing.server.delete("Service", "six")
    standing.server.delete("EndpointSlice", "six-a")
    standing.converges(family=Family.IPV6)


FAULTS = [
    Fault(watch=True, cut_after=0),
    Fault(watch=True, cut_after=0, half_line=True),
    Fault(watch=True, cut_after=0, garbage=True),
    Fault(watch=True, expired=True),
    Fault(watch=True, status=429, retry_after=1),
    Fault(watch=True, status=500, times=2),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: str(f)[6:60])
def test_no_rule_is_lost_whatever_the_api_server_does(standing: AgentProcess, fault: Fault) -> None:
    standing.converges()
    server = standing.server

    def steady(text: str) -> bool:
        return "10.244.0.5:8080" in text and text.count("default/steady:p") > 4

    with watched(standing.namespace, steady) as lacking:
        wait_for(lambda: bool(server.watches))
        server.fail(fault)
        server.disconnect()
        server.put(service("extra", cluster_ip="10.96.0.20"), endpoint_slice("extra", "10.244.0.9"))
        standing.converges(15)
        wait_for(lambda: fault.times == 0)
        server.delete("Service", "extra")
        server.delete("EndpointSlice", "extra-a")
        standing.converges(15)
    assert lacking == []


def test_a_restart_of_the_api_server_with_its_history_gone_loses_no_rule(
    standing: AgentProcess,
) -> None:
    standing.converges()
    server = standing.server

    def while_down() -> None:
        server.put(service("new", cluster_ip="10.96.0.21"), endpoint_slice("new", "10.244.0.9"))
        server.compact()

    with watched(standing.namespace, lambda text: "10.244.0.5:8080" in text) as lacking:
        server.restart(while_down)
        standing.converges(20)
    assert lacking == []
    server.delete("Service", "new")
    server.delete("EndpointSlice", "new-a")
    standing.converges(20)


def test_hostile_names_and_addresses_reach_neither_rules_nor_log(standing: AgentProcess) -> None:
    evil = service("evil", cluster_ip="10.96.0.66\n-A INPUT -j ACCEPT")
    evil["spec"]["ports"][0]["name"] = 'x" -j ACCEPT \x1b[31m'
    slices = endpoint_slice("evil", "10.244.0.6\n-A INPUT -j DROP")
    before = standing.namespace.save("IPV4")
    standing.server.put(evil, slices)
    wait_for(lambda: bool(standing.log("left out")))
    time.sleep(0.5)
    standing.server.delete("Service", "evil")
    standing.server.delete("EndpointSlice", "evil-a")
    standing.converges()
    assert rules(standing.namespace.save("IPV4")) == rules(before)
    assert "\x1b" not in standing.log_path.read_text()


def test_memory_and_descriptors_stay_flat_while_watches_break(standing: AgentProcess) -> None:
    assert standing.process is not None
    server, pid = standing.server, standing.process.pid
    wait_for(lambda: len(server.requests) > 3)
    standing.converges()
    before = descriptors(pid)
    for number in range(20):
        server.put(endpoint_slice("steady", "10.244.0.5", f"10.244.1.{number}"))
        standing.converges()
    server.put(endpoint_slice("steady", "10.244.0.5"))
    standing.converges()
    assert descriptors(pid) <= before + 2


def test_being_killed_at_any_moment_is_harmless(namespace: Namespace, tmp_path: Path) -> None:
    choose = random.Random(7)
    with ApiServer(namespace=namespace.name) as server:
        server.put(
            node(), service("steady", node_port=30080), endpoint_slice("steady", "10.244.0.5")
        )
        namespace.restore(FOREIGN, "IPV4", noflush=True)
        agent = AgentProcess(
            namespace, server, tmp_path, config={"iptables": {"minSyncPeriod": "10ms"}}
        )
        with running(agent):
            agent.converges(20)
        with watched(namespace, lambda text: "10.244.0.5:8080" in text) as lacking:
            for _ in range(KILLS):
                with running(agent):
                    wait_for(lambda: bool(server.watches))
                    until = time.monotonic() + choose.uniform(0.2, 1.5)
                    while time.monotonic() < until:
                        ip, pod = choose.randrange(1, 200), choose.randrange(1, 250)
                        name = f"s{ip % 20}"
                        server.put(
                            service(name, cluster_ip=f"10.96.1.{ip % 20 + 1}"),
                            endpoint_slice(name, f"10.244.3.{pod}"),
                        )
                        time.sleep(0.01)
                    agent.stop(signal.SIGKILL)
            with running(agent):
                agent.converges(20)
        assert lacking == []
        assert "-A FORWARD -j OTHERS" in namespace.save("IPV4")
