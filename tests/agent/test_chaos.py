"""What others do to the tables of a node, and what it costs to kill an agent."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.agent.conftest import STEADY, kept_node
from tests.support.agents import LIMIT, AgentProcess, lasting, running, wait_for, watched
from tests.support.apiserver import ApiServer
from tests.support.netns import BACKENDS, FAMILIES
from tests.support.objects import endpoint_slice, node, service
from tests.support.polling import rules_by_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.netns import Family, Namespace

pytestmark = pytest.mark.kernel

# The periods of the agents, the second that the promise adds, and what a machine may need that
# runs many tests at once; by hand it is set to 0.
LOADED = float(os.environ.get("NPTABLES_LOADED", "5"))
CHECKED_WITHIN = 0.5 + 1 + LOADED
VERIFIED_WITHIN = 2 + 1 + LOADED
FOREIGN = (
    "*nat\n:OTHERS - [0:0]\n-A OTHERS -j RETURN\n-A POSTROUTING -j OTHERS\nCOMMIT\n"
    "*filter\n:OTHERS - [0:0]\n-A OTHERS -j ACCEPT\n-A FORWARD -j OTHERS\nCOMMIT\n"
)
# How often the agent is killed; the proof by hand takes 50.
KILLS = int(os.environ.get("NPTABLES_KILLS", "4"))
# Seconds between the changes of a cluster that is never quiet.
BETWEEN_CHANGES = 0.2


def rules(text: str) -> list[str]:
    return sorted(line for line in text.splitlines() if line.startswith("-A "))


@pytest.fixture(scope="module", params=BACKENDS)
def checking(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AgentProcess]:
    """An agent that looks at canaries and jumps every half second, and never at whole tables."""
    with kept_node(request.param, tmp_path_factory.mktemp("agent"), verify="1h") as agent:
        yield agent


@contextlib.contextmanager
def quiet(agent: AgentProcess) -> Iterator[None]:
    """A cluster in which nothing changes."""
    del agent
    yield


@contextlib.contextmanager
def changing(agent: AgentProcess) -> Iterator[None]:
    """A cluster in which an EndpointSlice changes all the time."""
    over, server = threading.Event(), agent.server

    def write() -> None:
        for number in itertools.count():
            if over.wait(BETWEEN_CHANGES):
                return
            server.put(endpoint_slice("busy", f"10.244.7.{number % 200 + 1}"))

    server.put(service("busy", cluster_ip="10.96.0.77"), endpoint_slice("busy", "10.244.7.1"))
    # Once it changes all the time, a busy machine may never see it and the kernel agree.
    agent.settles()
    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        server.delete("Service", "busy")
        server.delete("EndpointSlice", "busy-a")


def flush(*tables: str, chains: bool = False) -> Callable[[Namespace, Family], None]:
    def act(namespace: Namespace, family: Family) -> None:
        for table in tables:
            namespace.iptables(family, "-t", table, "-F")
            if chains:
                namespace.iptables(family, "-t", table, "-X")

    return act


def ruleset_flushed(namespace: Namespace, family: Family) -> None:
    if namespace.backend == "nft":
        namespace.run(["nft", "flush", "ruleset"])
    else:
        flush("nat", "filter", "mangle", chains=True)(namespace, family)


def one_jump(namespace: Namespace, family: Family) -> None:
    nat = namespace.save(family, one_moment=False).split("*nat\n")[1].splitlines()
    rule = next(line for line in nat if line.startswith("-A OUTPUT"))
    namespace.restore(f"*nat\n-D{rule[2:]}\nCOMMIT\n", family, noflush=True)


ALTERED = "-A KUBE-MARK-MASQ -j MARK --set-xmark 0x9/0x9"


def one_rule(namespace: Namespace, family: Family) -> None:
    text = f"*nat\n:KUBE-MARK-MASQ - [0:0]\n{ALTERED}\nCOMMIT\n"
    namespace.restore(text, family, noflush=True)


def all_of_ours(namespace: Namespace, family: Family) -> None:
    for table in ("nat", "filter"):
        saved = namespace.save(family, one_moment=False)
        part = saved.split(f"*{table}\n")[1].split("COMMIT")[0].splitlines()
        mine = [line[1:].split()[0] for line in part if line.startswith(":KUBE")]
        jumps = [f"-D{x[2:]}" for x in part if x.startswith("-A") and not x.startswith("-A KUBE")]
        jumps = [line for line in jumps if "KUBE" in line]
        flushed = [f"-F {chain}" for chain in mine]
        gone = [f"-X {chain}" for chain in mine]
        whole = "\n".join([f"*{table}", *jumps, *flushed, *gone, "COMMIT", ""])
        namespace.restore(whole, family, noflush=True)


def at_once(act: Callable[[Namespace, Family], None], namespace: Namespace) -> None:
    """Do it to both families; again where the agent changed a chain just then."""
    until = time.monotonic() + LIMIT
    for family in FAMILIES:
        while True:
            try:
                act(namespace, family)
            except AssertionError:
                if time.monotonic() > until:
                    raise
            else:
                break


def lacks(namespace: Namespace, wanted: dict[Family, list[str]]) -> list[str]:
    """What the tables lack of our rules, and what they have of foreign ones."""
    found = []
    for family, lines in wanted.items():
        # A chain that is printed twice lacks nothing, and while others write there is no time.
        there = rules_by_table(namespace.save(family, one_moment=False))
        found += [f"{family} {line}" for line in lines if line not in there]
        found += [f"{family} {line} is still there" for line in there if ALTERED in line]
    return found


def breaks_and_is_repaired(
    agent: AgentProcess,
    act: Callable[[Namespace, Family], None],
    within: float,
    around: Callable[[AgentProcess], contextlib.AbstractContextManager[None]],
) -> None:
    namespace = agent.namespace
    for family in FAMILIES:
        if "OTHERS" not in namespace.save(family):
            namespace.restore(FOREIGN, family, noflush=True)
        namespace.iptables(family, "-P", "FORWARD", "DROP")
    agent.settles()
    wanted = {
        family: [line for line in lines if "KUBE" in line]
        for family, lines in lasting(namespace).items()
    }
    assert all(str(lines).count(": -A KUBE-PROXY-CANARY ") == 3 for lines in wanted.values())
    told = len(agent.log("are gone")) + len(agent.log("repaired"))
    with around(agent):
        at_once(act, namespace)
        kept = [f for f in FAMILIES if "OTHERS" in namespace.save(f, one_moment=False)]
        broken = time.monotonic()
        while lacking := lacks(namespace, wanted):
            assert time.monotonic() - broken < within, lacking
            time.sleep(0.01)
        print(f"repaired within {time.monotonic() - broken:.2f} s")  # noqa: T201 - by hand
    wait_for(lambda: len(agent.log("are gone")) + len(agent.log("repaired")) > told, within)
    agent.settles()
    for family in FAMILIES:
        after = namespace.save(family)
        assert (family in kept) == ("OTHERS" in after)
        if act is not ruleset_flushed:
            assert ":FORWARD DROP" in after


@pytest.mark.parametrize("around", [quiet, changing], ids=["quiet", "changing"])
@pytest.mark.parametrize(
    "act",
    [
        pytest.param(flush("nat"), id="nat flushed"),
        pytest.param(flush("filter"), id="filter flushed"),
        pytest.param(flush("mangle"), id="mangle flushed"),
        pytest.param(flush("nat", chains=True), id="nat chains deleted"),
        pytest.param(ruleset_flushed, id="everything flushed"),
        pytest.param(one_jump, id="a jump deleted"),
        pytest.param(all_of_ours, id="all our chains deleted"),
    ],
)
def test_what_is_gone_is_back_within_the_check_period_and_a_second(
    checking: AgentProcess,
    act: Callable[[Namespace, Family], None],
    around: Callable[[AgentProcess], contextlib.AbstractContextManager[None]],
) -> None:
    breaks_and_is_repaired(checking, act, CHECKED_WITHIN, around)


@pytest.mark.parametrize("around", [quiet, changing], ids=["quiet", "changing"])
def test_what_is_altered_is_repaired_within_the_verify_period_and_a_second(
    standing: AgentProcess,
    around: Callable[[AgentProcess], contextlib.AbstractContextManager[None]],
) -> None:
    breaks_and_is_repaired(standing, one_rule, VERIFIED_WITHIN, around)


def test_the_clients_that_a_service_remembers_survive_repairs_and_a_kill(
    standing: AgentProcess,
) -> None:
    standing.settles()
    namespace = standing.namespace
    clients = {"IPV4": "192.0.2.77", "IPV6": "2001:0db8:0000:0000:0000:0000:0000:0077"}
    remembered = {
        client: next(
            f"/proc/net/xt_recent/{word}"
            for word in namespace.save(family).split()
            if word.startswith("KUBE-SEP-")
        )
        for family, client in clients.items()
    }
    for client, path in remembered.items():
        namespace.run(["sh", "-c", f"echo +{client} > {path}"])

    def kept() -> bool:
        return all(c in namespace.run(["cat", path]).stdout for c, path in remembered.items())

    assert kept()
    for act in (one_rule, one_jump):
        at_once(act, namespace)
        standing.settles()
        assert kept()
    standing.stop(signal.SIGKILL)
    # What it finds at its start is drift too, in a chain beside theirs.
    at_once(one_rule, namespace)
    standing.start()
    standing.settles()
    assert kept()


def test_hostile_names_and_addresses_reach_neither_rules_nor_log(standing: AgentProcess) -> None:
    evil = service("evil", cluster_ip="10.96.0.66\n-A INPUT -j ACCEPT")
    evil["spec"]["ports"][0]["name"] = 'x" -j ACCEPT \x1b[31m'
    slices = endpoint_slice("evil", "10.244.0.6\n-A INPUT -j DROP")
    standing.settles()
    before = standing.namespace.save("IPV4")
    standing.server.put(evil, slices)
    wait_for(lambda: bool(standing.log("left out")))
    time.sleep(0.5)
    standing.server.delete("Service", "evil")
    standing.server.delete("EndpointSlice", "evil-a")
    standing.converges()
    assert rules(standing.namespace.save("IPV4")) == rules(before)
    assert "\x1b" not in standing.log_path.read_text()


def test_being_killed_at_any_moment_is_harmless(namespace: Namespace, tmp_path: Path) -> None:
    choose = random.Random(7)
    with ApiServer(namespace=namespace.name) as server:
        server.put(node(), *STEADY)
        for family in FAMILIES:
            namespace.restore(FOREIGN, family, noflush=True)
        agent = AgentProcess(
            namespace, server, tmp_path, config={"iptables": {"minSyncPeriod": "10ms"}}
        )
        with running(agent):
            agent.settles()
        with watched(namespace, lasting(namespace)) as lacking:
            for _ in range(KILLS):
                _killed_while_things_change(agent, choose)
            with running(agent):
                agent.settles()
        assert lacking == []


def _killed_while_things_change(agent: AgentProcess, choose: random.Random) -> None:
    before = len(agent.server.watches)
    with running(agent):
        # From now on it has something to follow until it is dead.
        wait_for(lambda: len(agent.server.watches) > before)
        until = time.monotonic() + choose.uniform(0, 0.7)
        while time.monotonic() < until:
            _change_something(agent.server, choose)
            time.sleep(0.01)
        agent.stop(signal.SIGKILL)


def _change_something(server: ApiServer, choose: random.Random) -> None:
    """Give one of twenty Services, ten in each family, another endpoint."""
    number, pod = choose.randrange(1, 21), choose.randrange(1, 250)
    network, pods = ("10.96.1.", "10.244.3.") if number % 2 else ("fd00:10:96::1:", "fd00:3::")
    server.put(
        service(f"s{number}", cluster_ip=f"{network}{number}"),
        endpoint_slice(f"s{number}", f"{pods}{pod}"),
    )
