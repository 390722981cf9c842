"""Starting programs and waiting for them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from nptables.errors import BackendUnavailable, KernelBusy
from nptables.kernel import programs
from nptables.kernel.programs import Programs, run_program
from nptables.signals import Signals, Stopped


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "_WAITING", 0.05)


def test_whoever_watches_hears_of_a_program_as_long_as_it_runs_and_no_longer(
    tmp_path: Path,
) -> None:
    said: list[float] = []
    heard = tmp_path / "heard"

    def hear() -> None:
        said.append(time.monotonic())
        if len(said) == 3:
            heard.touch()

    run = Programs(waiting=hear)
    started = time.monotonic()
    run(["sh", "-c", f"until [ -e {heard} ]; do sleep 0.05; done"], "", 60)
    ended = time.monotonic()
    assert len(said) >= 3
    assert started < said[0] < said[-1] < ended
    run(["true"], "", 30)
    assert said[-1] < ended


def test_nothing_of_the_input_or_the_output_is_lost_in_a_long_wait() -> None:
    slow = "import sys, time; time.sleep(0.3); t = sys.stdin.read(); sys.stdout.write(t * 2)"
    run = Programs(waiting=lambda: None)
    done = run([sys.executable, "-c", slow], "x" * 3_000_000, 30)
    assert (done.code, len(done.stdout), done.stderr) == (0, 6_000_000, "")
    text = "a line with ü and \udcff\n" * 200_000
    assert run(["cat"], text, 30).stdout == text


def test_a_program_that_takes_too_long_is_killed() -> None:
    started = time.monotonic()
    with pytest.raises(KernelBusy, match=r"sleep was stopped after 0\.2 s"):
        run_program(["sleep", "60"], "", 0.2)
    assert time.monotonic() - started < 30


def test_a_program_ends_where_a_signal_comes_while_it_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Until then nobody else knows of the program, so nobody else could end it."""
    started: list[str] = []
    children = Path(f"/proc/self/task/{threading.get_native_id()}/children")

    def interrupted(*_: int) -> bytes:
        # By this reading Popen learns that the program has been executed.
        started.extend(set(children.read_text().split()) - before)
        raise KeyboardInterrupt

    before = set(children.read_text().split())
    monkeypatch.setattr(os, "read", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_program(["sleep", "1000"], "", 10)

    (number,) = started
    assert not Path("/proc", number).exists()


def test_a_program_ends_where_a_signal_comes_before_its_number_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a busy machine that is a long time: the program is executed before its parent goes on."""
    fork_exec = subprocess._fork_exec  # type: ignore[attr-defined]
    started: list[int] = []

    def interrupted(*arguments: object) -> int:
        started.append(fork_exec(*arguments))
        os.kill(os.getpid(), signal.SIGTERM)
        return started[0]

    monkeypatch.setattr(subprocess, "_fork_exec", interrupted)
    signals = Signals()
    run = Programs(looking=signals.at_once, starting=signals.put_off)
    with signals.caught(), pytest.raises(Stopped, match="SIGTERM"):
        run(["sleep", "1000"], "", 10)

    (number,) = started
    assert not Path("/proc", str(number)).exists()


def test_a_program_that_is_not_there_is_said_to_be_missing() -> None:
    with pytest.raises(BackendUnavailable, match="no-such-program is not installed"):
        run_program(["no-such-program"], "", 5)
