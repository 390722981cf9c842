"""Changes that are not confirmed are rolled back: all of them, however busy the node is."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from nptables import Ruleset, diff
from nptables.cli import main
from nptables.errors import KernelBusy
from nptables.kernel import Applier, confirming
from nptables.kernel.change import NodeChange, take_back
from nptables.kernel.confirming import FAILED, KEPT, TAKEN_BACK, Answer, Guarded, socket_path
from nptables.testing import FakeKernel
from tests.kernel.nodes import endpoints, rules_for, service
from tests.support.agents import wait_for
from tests.support.requirements import requires

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# A command that has a fifth of a second to be confirmed, and says what it is told. Taking its
# changes back leaves `begun`, goes on once there is `go-on`, and leaves `taken`.
COMMAND = """
import sys, time
from pathlib import Path
from nptables.kernel.confirming import guard
folder = Path(sys.argv[1])
def take_back():
    (folder / "begun").touch()
    while not (folder / "go-on").exists():
        time.sleep(0.01)
    (folder / "taken").touch()
    return []
guarded = guard(0.2, take_back, folder=folder)
print("guarded", flush=True)
for line in sys.stdin:
    guarded.say(line.strip())
"""


@pytest.fixture
def command(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A command with a guard, which is still at work."""
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "guarded\n"
        yield process
        # Its guard ends with what it takes back.
        (tmp_path / "go-on").touch()
        process.kill()
        wait_for((tmp_path / "taken").exists)


def say(command: subprocess.Popen[str], word: str) -> None:
    assert command.stdin is not None
    command.stdin.write(f"{word}\n")
    command.stdin.flush()


def test_the_time_does_not_begin_before_everything_is_applied(
    command: subprocess.Popen[str], tmp_path: Path
) -> None:
    """What a command writes after its changes were rolled back would stay for good."""
    time.sleep(0.8)
    assert not (tmp_path / "begun").exists()

    say(command, "applied")

    wait_for((tmp_path / "begun").exists)


def test_what_a_command_did_that_is_killed_while_it_applies_is_rolled_back(
    command: subprocess.Popen[str], tmp_path: Path
) -> None:
    command.kill()

    wait_for((tmp_path / "begun").exists)


def test_who_confirms_too_late_is_told_what_became_of_the_changes(
    command: subprocess.Popen[str], tmp_path: Path
) -> None:
    say(command, "applied")
    wait_for((tmp_path / "begun").exists)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.connect(str(socket_path(tmp_path)))
        late = Guarded(line)
        late.say("confirm")
        (tmp_path / "go-on").touch()

        assert late.answer() == Answer(TAKEN_BACK)


def test_a_guard_that_is_gone_is_an_answer() -> None:
    ours, guards = socket.socketpair()
    # What was not read makes the end of the line an error, as when the guard is killed.
    ours.sendall(b"confirm\n")
    guards.close()
    with ours:
        guarded = Guarded(ours)
        guarded.say("applied")

        assert guarded.answer() == Answer(FAILED, "the guard process is gone")


def test_who_may_not_confirm_is_not_told_that_nothing_waits(tmp_path: Path) -> None:
    requires("root")
    tmp_path.chmod(0o700)
    script = (
        "import os, sys; from pathlib import Path; from nptables.kernel.confirming import confirm;"
        "os.setuid(65534); confirm(folder=Path(sys.argv[1]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False
    )

    assert done.stderr.splitlines()[-1].endswith(".sock may be used by root only")


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        (Answer(KEPT), 0, "confirmed: the changes stay"),
        (Answer(TAKEN_BACK), 1, "too late: the changes were rolled back"),
        (Answer(FAILED, "IPv4: no"), 3, "the changes could not be rolled back: IPv4: no"),
    ],
)
def test_what_confirm_says_and_its_code_are_what_became_of_the_changes(
    answer: Answer,
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(confirming, "confirm", lambda: answer)

    assert main(["confirm"]) == code
    assert said in capsys.readouterr().err


class BusyKernel(FakeKernel):
    """A kernel whose tables others keep busy at first, so many times that they are read."""

    times = 0

    def read(self) -> Ruleset:
        if self.times:
            self.times -= 1
            message = "somebody holds the lock"
            raise KernelBusy(message)
        return super().read()


def applied(kernel: BusyKernel) -> NodeChange:
    """A change that a kernel has carried out."""
    plan = diff(kernel.read(), rules_for([service(1), endpoints(1, 1)]))
    Applier(kernel).apply(plan)
    assert kernel.read().tables["nat"].chains["KUBE-NODEPORTS"]
    return NodeChange(kernel, plan, "")


def test_changes_are_rolled_back_once_others_let_go_of_the_tables() -> None:
    kernel, passed = BusyKernel(), [0.0]
    change = applied(kernel)
    kernel.times = 90

    problems = take_back(
        [change],
        clock=lambda: passed[0],
        sleep=lambda seconds: passed.append(passed.pop() + seconds),
    )

    assert problems == []
    assert "KUBE-NODEPORTS" not in kernel.read().tables["nat"].chains


def test_a_kernel_that_stays_busy_is_said_and_keeps_no_other_change_from_being_rolled_back() -> (
    None
):
    stuck, free, passed = BusyKernel(), BusyKernel(), [0.0]
    changes = [applied(stuck), applied(free)]
    stuck.times = 1_000_000
    free.times = 1

    told = iter([["a setting cannot be set back"]])

    problems = take_back(
        changes,
        lambda: next(told),
        clock=lambda: passed[0],
        sleep=lambda seconds: passed.append(passed.pop() + seconds),
    )

    # What comes after the rules did not wait for those that are stuck.
    assert problems == ["a setting cannot be set back", "IPv4: somebody holds the lock"]
    assert "KUBE-NODEPORTS" not in free.read().tables["nat"].chains
    # Ten minutes.
    assert passed == [600.0]
