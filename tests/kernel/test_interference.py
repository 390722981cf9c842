"""Killed at any moment, beside others who write, and with the lock held: nothing is lost."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from typing import TYPE_CHECKING

import pytest

from nptables import diff
from nptables.errors import KernelBusy
from nptables.kernel.tables.locks import lock_path, xtables_lock
from tests.kernel.nodes import LIBRARY, Node, endpoints, manifest, rules_for, service
from tests.support.requirements import requires

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.kernel

KILLS = 50
APPLIES = 100

FOREIGN = """\
*nat
:MY-NAT - [0:0]
-A PREROUTING -p tcp -m tcp --dport 8080 -j MY-NAT
-A MY-NAT -j RETURN
COMMIT
*filter
:MY-FILTER - [0:0]
-A FORWARD -i eth9 -j MY-FILTER
-A MY-FILTER -j DROP
COMMIT
"""

# Applies two rulesets in turn, in a process of its own inside the namespace.
ALTERNATE = """
import json, os, random, signal, sys, time
from nptables import Cluster, Family, ProxyConfig, diff, translate
from nptables.kernel import Applier, RestoreBackend
rulesets = []
for path in sys.argv[2:4]:
    cluster = Cluster.from_objects(json.load(open(path))["items"])
    rulesets.append(translate(cluster, cluster.node("node1"), ProxyConfig(), Family.IPV4))
if sys.argv[1] == "iptc":
    from nptables.kernel.tables.libiptc import LibiptcBackend
    backend = LibiptcBackend.load(Family.IPV4, wait=60)
else:
    backend = RestoreBackend(sys.argv[1], Family.IPV4, 60)
applier = Applier(backend, wait=60)

def alternate(turns):
    for turn in range(turns):
        applier.sync(rulesets[turn % 2])
"""
RUN = (
    ALTERNATE
    + """
alternate(int(sys.argv[4]))
print("done")
"""
)
# Kills a child that applies, then applies itself: all with one start of the interpreter.
KILL = (
    ALTERNATE
    + """
dice = random.Random(7)
wrong = 0
for _ in range(int(sys.argv[4])):
    child = os.fork()
    if child == 0:
        alternate(1000)
        os._exit(0)
    time.sleep(dice.uniform(0.01, 0.15))
    os.kill(child, signal.SIGKILL)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    applier.sync(rulesets[0])
    wrong += bool(diff(backend.read(), rulesets[0]))
print("wrong", wrong)
"""
)


def two_clusters() -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """Two states with Services in one, in the other and in both, some with endpoints in one."""
    first = [o for i in range(12) for o in (service(i), endpoints(i, 1 + i % 3))]
    second = [o for i in range(4, 16) for o in (service(i), endpoints(i, i % 4, start=5 * (i % 2)))]
    return first, second


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    first, second = two_clusters()
    return manifest(tmp_path / "first.json", first), manifest(tmp_path / "second.json", second)


def start(
    node: Node, script: str, kind: str, files: tuple[Path, Path], turns: int
) -> subprocess.Popen[str]:
    enter = ["ip", "netns", "exec", node.netns.name, sys.executable, "-c", script]
    return subprocess.Popen(
        [*enter, kind, *map(str, files), str(turns)], stdout=subprocess.PIPE, text=True
    )


def foreign_lines(node: Node) -> list[str]:
    return [line for line in node.netns.save("IPV4").splitlines() if "MY-" in line]


def assert_killed_applies_converge(node: Node, kind: str, files: tuple[Path, Path]) -> None:
    node.netns.restore(FOREIGN, "IPV4", noflush=True)
    foreign = foreign_lines(node)

    process = start(node, KILL, kind, files, KILLS)
    output, _ = process.communicate(timeout=300)

    assert output == "wrong 0\n"
    assert process.returncode == 0
    assert foreign_lines(node) == foreign
    assert diff(node.read(), rules_for(two_clusters()[0])).empty


def test_after_a_kill_at_any_moment_the_next_apply_converges(
    node: Node, files: tuple[Path, Path]
) -> None:
    assert_killed_applies_converge(node, node.netns.backend, files)


def test_after_a_kill_of_libiptc_at_any_moment_the_next_apply_converges(
    legacy_node: Node, files: tuple[Path, Path]
) -> None:
    requires("python-iptables")
    assert_killed_applies_converge(legacy_node, "iptc", files)


class Writer(threading.Thread):
    """Writes chains of its own again and again, each time all it has, and counts what failed."""

    def __init__(self, node: Node) -> None:
        super().__init__()
        self.node = node
        self.stop = threading.Event()
        self.turns = 0
        self.failures: list[str] = []

    def run(self) -> None:
        while not self.stop.is_set():
            self.turns += 1
            text = textwrap.dedent(f"""\
                *nat
                :MY-NAT - [0:0]
                :MY-{self.turns} - [0:0]
                -A MY-NAT -m comment --comment turn{self.turns} -j RETURN
                -A MY-{self.turns} -j RETURN
                {f"-X MY-{self.turns - 1}" if self.turns > 1 else ""}
                COMMIT
                """)
            program = [self.node.netns.program("IPV4", "restore"), "--noflush", "-w", "60"]
            if self.turns > 1:
                text = text.replace("-A MY-NAT", f":MY-{self.turns - 1} - [0:0]\n-A MY-NAT", 1)
            done = self.node.netns.run(program, input=text, check=False)
            if done.returncode:
                self.failures.append(done.stderr)
            kept = self.node.read().lines("nat", "MY-NAT")
            if kept != (f"-A MY-NAT -m comment --comment turn{self.turns} -j RETURN",):
                self.failures.append(f"turn {self.turns} was lost: {kept}")


@pytest.fixture(params=["legacy", "nft", "iptc"])
def shared_node(request: pytest.FixtureRequest) -> Iterator[tuple[Node, str]]:
    fixture = "nft_node" if request.param == "nft" else "legacy_node"
    if request.param == "iptc":
        requires("python-iptables")
    return request.getfixturevalue(fixture), request.param


def test_two_writers_lose_nothing_of_each_other(
    shared_node: tuple[Node, str], files: tuple[Path, Path]
) -> None:
    node, kind = shared_node
    writer = Writer(node)
    writer.start()
    process = start(node, RUN, kind, files, APPLIES)
    try:
        output, _ = process.communicate(timeout=300)
    finally:
        process.kill()
        writer.stop.set()
        writer.join()

    assert output.splitlines()[-1] == "done"
    assert process.returncode == 0
    assert writer.turns > 10
    assert writer.failures == []
    assert diff(node.read(), rules_for(two_clusters()[(APPLIES - 1) % 2])).empty


HOLD = """
import fcntl, os, sys, time
handle = os.open(sys.argv[1], os.O_RDONLY | os.O_CREAT, 0o600)
fcntl.flock(handle, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(float(sys.argv[2]))
"""


@pytest.fixture
def lock_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lock of the test's own, since all namespaces of the machine share the usual one."""
    path = tmp_path / "xtables.lock"
    monkeypatch.setenv("XTABLES_LOCKFILE", str(path))
    return path


def hold(path: Path, seconds: float) -> subprocess.Popen[str]:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path), str(seconds)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


@pytest.mark.parametrize("backend", ["legacy", "iptc"])
def test_a_held_lock_is_waited_for_and_its_holder_named(
    backend: str, legacy_node: Node, lock_file: Path, tmp_path: Path
) -> None:
    if backend == "iptc":
        requires("python-iptables")
    path = manifest(tmp_path / "web.json", [service(1), endpoints(1, 1)])
    arguments = ["apply", path, "-4", "--no-prepare", "--backend", backend]
    holder = hold(lock_file, 600)
    try:
        busy = legacy_node.nptables(*arguments, "--wait", "1", check=False)
    finally:
        holder.kill()
        holder.communicate()
    assert busy.returncode == 4
    assert f"(pid {holder.pid}) holds the xtables lock" in busy.stderr
    assert "Traceback" not in busy.stderr

    holder = hold(lock_file, 2)
    try:
        done = legacy_node.nptables(*arguments, "--wait", "30", check=False)
    finally:
        holder.kill()
        holder.communicate()
    assert done.returncode == 0, done.stderr
    assert "chains created" in done.stderr


@pytest.mark.usefixtures("lock_file")
def test_a_rollback_that_others_hold_up_is_said_and_done(legacy_node: Node, tmp_path: Path) -> None:
    path = manifest(tmp_path / "web.json", [service(1), endpoints(1, 1)])
    # As long as a busy machine may take from the words on until we have the lock.
    words = ["apply", path, "-4", "--no-prepare", "--backend", "legacy", "--confirm", "6"]
    argv = ["ip", "netns", "exec", legacy_node.netns.name, *LIBRARY, *map(str, words)]
    with subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert any("press Enter within 6 s" in line for line in process.stderr)
        with xtables_lock(60):
            assert "still rolling back" in process.stderr.readline()
        assert "not confirmed: the changes were rolled back" in process.stderr.read()
    assert process.returncode == 1
    assert "KUBE-NODEPORTS" not in legacy_node.netns.save("IPV4")


def test_the_lock_is_ours_only_while_we_hold_it(lock_file: Path) -> None:
    assert lock_path() == lock_file
    with xtables_lock(1):
        with pytest.raises(KernelBusy) as caught, xtables_lock(0.01):
            pass
        assert "(pid" in caught.value.holder
    with xtables_lock(0):
        pass
