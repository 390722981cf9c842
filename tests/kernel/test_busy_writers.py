"""Others commit to the nft tables faster than iptables-nft-save can read them.

It starts over at every commit of somebody else. The tables that it never gets through are those of
300 Services with 10 endpoints, which take it 0.1 s on a quiet machine. By hand the same is done
with NPTABLES_SERVICES=1000, NPTABLES_PACES=0.02,0.07,0.5 and NPTABLES_CHANGES=200.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING

import pytest

from benchmarks import workload
from nptables import Family, Ruleset, translate
from nptables.errors import KernelBusy
from nptables.iptables.changes import diff
from nptables.kernel.programs import Programs
from nptables.kernel.tables.nft_generation import Commits
from tests.support.agents import AgentProcess, running, wait_for
from tests.support.apiserver import ApiServer
from tests.support.netns import network_namespace
from tests.support.objects import node as node_object
from tests.support.requirements import requires
from tests.support.writers import CHAIN, committing

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from tests.kernel.nodes import Node
    from tests.support.netns import Namespace

SERVICES = int(os.environ.get("NPTABLES_SERVICES", "300"))
PACES = [float(pace) for pace in os.environ.get("NPTABLES_PACES", "0.02").split(",")]
CHANGES = int(os.environ.get("NPTABLES_CHANGES", "40"))
# Seconds for a reading while others commit, as docs/applying.md has them and as a hasty command
# has them, and for what else a command does on a machine that does much besides.
READING = 10
WAIT = 2
REST = 60 * max(1, SERVICES // 1000)


def wanted() -> Ruleset:
    cluster, node = workload.cluster_and_node(SERVICES, 10)
    return translate(cluster, node, workload.configuration(), Family.IPV4)


def rules_in(namespace: Namespace, chain: str) -> list[str]:
    return [line for line in namespace.save("IPV4").splitlines() if line.startswith(f"-A {chain} ")]


def hasty(node: Node, *words: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command that gives up a reading after WAIT seconds."""
    argv = [sys.executable, "-m", "tests.support.hasty", *words, "--wait", str(WAIT)]
    return node.netns.run(argv, check=check)


@pytest.mark.kernel
@pytest.mark.long
@pytest.mark.parametrize("pace", PACES)
def test_apply_and_cleanup_go_on_without_reading_and_say_so(
    nft_node: Node, tmp_path: Path, pace: float
) -> None:
    """What they write is right, and nothing is lost of what others write."""
    node, target = nft_node, wanted()
    node.applier().sync(target)
    damaged = next(c for c in node.read().tables["nat"].chains if c.startswith("KUBE-SEP-"))
    stale = f"*nat\n:{damaged} -\n:KUBE-SVC-AAAAAAAAAAAAAAAA -\nCOMMIT\n"
    node.netns.restore(stale, "IPV4", noflush=True)
    files, to_nft = _files(tmp_path), ("-4", "--no-prepare", "--backend", "nft")
    with committing(node.netns, pace) as writer:
        compared = node.nptables("diff", *files, "-4", "--live", check=False)
        refused = hasty(node, "apply", *files, *to_nft, "--no-blind", check=False)
        started = time.monotonic()
        done = hasty(node, "apply", *files, *to_nft)
        took = time.monotonic() - started
    assert (compared.returncode, compared.stdout) == (4, "")
    assert (refused.returncode, refused.stdout) == (4, "")
    for said, seconds in ((compared, READING), (refused, WAIT), (done, WAIT)):
        words = f"could not be read in {seconds} s: other programs changed them "
        assert words in said.stderr
    assert "going on without having read them" in done.stderr
    assert took < 2 * WAIT + REST
    assert not diff(node.read(), target)
    assert writer.rules == rules_in(node.netns, CHAIN)
    node.netns.run(["iptables-nft", "-w", "60", "-F", CHAIN])
    node.netns.run(["iptables-nft", "-w", "60", "-X", CHAIN])
    with committing(node.netns, pace) as writer:
        hasty(node, "cleanup", "-4", "--backend", "nft")
    left = [c for t in node.read().tables.values() for c in t.chains if c.startswith("KUBE-")]
    assert left == ["KUBE-FIREWALL"]
    assert writer.rules == rules_in(node.netns, CHAIN)


@pytest.mark.kernel
@pytest.mark.long
@pytest.mark.parametrize("pace", PACES)
def test_the_agent_starts_follows_and_verifies_when_they_pause(tmp_path: Path, pace: float) -> None:
    requires("root", "netns", "nft")
    with network_namespace("nft") as namespace:
        namespace.run(["ip", "link", "set", "lo", "up"])
        with ApiServer(namespace=namespace.name) as server:
            server.put(node_object())
            for number in range(SERVICES):
                server.put(workload.service(number), workload.endpoint_slice(number, 10))
            agent = AgentProcess(
                namespace,
                server,
                tmp_path,
                options=("-4", "--verify-period", "4s"),
                config={"iptables": {"minSyncPeriod": "10ms"}},
            )
            with committing(namespace, pace) as writer, running(agent):
                wait_for(lambda: bool(agent.log("synced for the first time")), REST)
                assert _ready(namespace)
                for number in range(CHANGES):
                    server.put(workload.endpoint_slice(number % SERVICES, 9 - number // SERVICES))
                    count = number + 1
                    wait_for(lambda count=count: _changes(agent) >= count, REST)
                wait_for(lambda: agent.status()["families"][0]["unverified"] != "", REST)
                assert agent.status()["synced"]
                writer.stop()
                wait_for(lambda: agent.status()["families"][0]["unverified"] == "", REST)
                assert agent.log("not verified")
                agent.converges(REST)
                assert writer.rules == rules_in(namespace, CHAIN)


def _ready(namespace: Namespace) -> bool:
    """Whether kube-proxy's health port says that the node is in sync."""
    url = "http://127.0.0.1:10256/healthz"
    done = namespace.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", url], check=False)
    return done.stdout == "200"


def _changes(agent: AgentProcess) -> int:
    """How many changes of slices the agent has brought to the kernel, by its log."""
    return sum(len(entry["slices"]) for entry in agent.log("synced") if "slices" in entry)


def _files(folder: Path) -> list[str | Path]:
    cluster, config, facts = (folder / n for n in ("cluster.json", "config.yaml", "facts.yaml"))
    items = workload.objects(SERVICES, 10)
    cluster.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    config.write_text(
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"
        "clusterCIDR: 10.0.0.0/8\n"
    )
    facts.write_text("nfacct: false\n")
    return [cluster, "--node", workload.NODE, "--config", config, "--facts", facts]


class Clock:
    """Seconds and commits, as a test says."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.commits = 7

    def starves(self, seconds: float, commits: int, counted: Commits) -> bool:
        self.seconds, self.commits = seconds, 7 + commits
        return counted.starve()


def test_a_reading_is_given_up_after_its_time_if_others_commit() -> None:
    clock = Clock()
    counted = Commits(10, now=lambda: clock.commits, clock=lambda: clock.seconds)
    assert not clock.starves(9.9, 1000, counted)
    assert clock.starves(10, 2, counted)
    assert counted.count == 2


def test_a_reading_that_nobody_disturbs_may_take_longer_and_one_commit_gives_it_as_long_again() -> (
    None
):
    clock = Clock()
    counted = Commits(10, now=lambda: clock.commits, clock=lambda: clock.seconds)
    assert not clock.starves(1000, 0, counted)
    assert not clock.starves(19.9, 1, counted)
    assert clock.starves(20, 1, counted)


def test_where_commits_cannot_be_counted_nothing_is_given_up() -> None:
    clock = Clock()
    assert not Commits(10, now=lambda: None, clock=lambda: clock.seconds).starve()
    clock.seconds = 1000
    counted = Commits(10, now=lambda: None, clock=lambda: clock.seconds)
    clock.seconds = 2000
    assert not counted.starve()


@pytest.mark.kernel
def test_every_commit_to_the_nft_tables_is_counted() -> None:
    """By the kernel, for this network namespace alone."""
    requires("root", "netns", "nft")
    code = (
        "import subprocess; from nptables.kernel.tables.nft_generation import generation\n"
        "before = generation()\n"
        "for words in (['-N', 'A'], ['-A', 'A'], ['-F', 'A']):\n"
        "    subprocess.run(['iptables-nft', *words], check=True)\n"
        "print(generation() - before)"
    )
    with network_namespace("nft") as namespace:
        namespace.run(["iptables-nft", "-N", "FIRST"])
        assert namespace.run([sys.executable, "-c", code]).stdout == "3\n"


def test_a_program_is_ended_when_it_is_given_up() -> None:
    with pytest.raises(KernelBusy):
        Programs()(["sleep", "60"], "", 60, lambda: True)
    done = Programs()(["sh", "-c", "sleep 0.6; echo done"], "", 60, lambda: False)
    assert (done.code, done.stdout, done.stderr) == (0, "done\n", "")
