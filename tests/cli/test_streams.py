"""What a command exits with when its output is cut off, full or closed."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nptables.cli import main
from tests.support.scenarios import CONFORMANCE

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = CONFORMANCE / "named" / "nodeport-local-policy-no-local-endpoint"
TUTORIAL = "fixtures/tutorial/two-nodes.yaml"
NPTABLES = f"{sys.executable} -m nptables"
# Every command that prints data without a node, and the code of what it finds: by the contract,
# 1 is a difference, a finding or a packet that does not arrive.
COMMANDS = {
    f"render {TUTORIAL} --node node1": 0,
    f"render {TUTORIAL} --node node1 -o json": 0,
    f"render {TUTORIAL} --node node1 -o restore": 0,
    f"check {FOLDER}/cluster.yaml": 1,
    f"check {FOLDER}/cluster.yaml -o json": 1,
    f"check {FOLDER}/cluster.yaml -o sarif": 1,
    f"check {FOLDER}/cluster.yaml -o github": 1,
    f"diff {TUTORIAL} --node node1 --current /dev/null": 1,
    f"diff {TUTORIAL} --node node1 --current /dev/null -o json": 1,
    f"diff {TUTORIAL} --node node1 --current /dev/null -o restore": 1,
    f"diff {TUTORIAL} --node node1 --current /dev/null -o github": 1,
    f"trace {TUTORIAL} --node node1 --from outside --to nodeport:30081": 1,
    f"trace {TUTORIAL} --node node1 --from outside --to nodeport:30081 -o json": 1,
    "name default/web": 0,
    f"whose KUBE-SVC-QATUYZLPU4I4HE4S {TUTORIAL}": 0,
    "facts": 0,
    "status": 1,
    "status -o json": 1,
    "--help": 0,
}
CLOSED = None
# What an agent in observe mode answers that sees two lines of drift.
STATUS = {
    "node": "node1",
    "mode": "observe",
    "pid": 4711,
    "synced": True,
    "healthy": True,
    "pendingSeconds": 0,
    "lastSync": "2026-01-01T00:00:00Z",
    "families": [{"family": "IPv4", "backend": "nft", "rules": 31, "driftLines": 2}],
    "services": 1,
    "endpointSlices": 1,
    "otherProxy": "",
    "problems": 0,
    "nodeEligible": True,
    "watches": {"Service": "ok"},
}


def ended(command: str, output: int | None, words: int | None) -> int:
    """Exit code of a command with these descriptors for its streams; CLOSED is what `>&-` does.

    As a process that the interpreter starts and ends, and far cheaper: a stream is None where its
    descriptor is closed, and a last flush that fails is exit code 120.
    """
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    for number, given in ((1, output), (2, words)):
        if given is CLOSED:
            os.close(number)
        else:
            os.dup2(given, number)
    sys.stdout = sys.stderr = None  # type: ignore[assignment]
    if output is not CLOSED:
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    if words is not CLOSED:
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)
    code = 99
    try:
        code = main(command.split())
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except OSError:
        code = 120
    finally:
        os._exit(code)


@pytest.fixture(scope="module", autouse=True)
def imported() -> Iterator[None]:
    """Import once what every child would import anew; an agent answers `status`."""
    patch = pytest.MonkeyPatch()
    patch.setattr("nptables.agent.serving.ask_status", lambda _: STATUS)
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
        for command in COMMANDS:
            main(command.split())
    yield
    patch.undo()


@pytest.fixture
def unread() -> int:
    """The writing end of a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    return writing


@pytest.fixture
def full() -> int:
    return os.open("/dev/full", os.O_WRONLY)


@pytest.fixture
def nowhere() -> int:
    return os.open(os.devnull, os.O_WRONLY)


def test_the_code_is_what_was_found_although_the_reader_left(unread: int, tmp_path: Path) -> None:
    words = tmp_path / "words"
    with words.open("w") as file:
        found = {command: ended(command, unread, file.fileno()) for command in COMMANDS}

    assert found == COMMANDS
    assert "error: " not in words.read_text().replace("1 error", "")


@pytest.mark.parametrize("words", ["unread", "full", "closed"])
def test_words_that_nobody_hears_change_no_code(
    words: str, nowhere: int, request: pytest.FixtureRequest
) -> None:
    stream = CLOSED if words == "closed" else request.getfixturevalue(words)

    assert {command: ended(command, nowhere, stream) for command in COMMANDS} == COMMANDS


@pytest.mark.parametrize(
    ("output", "why"), [("full", "no space left on device"), ("closed", "it is closed")]
)
def test_data_that_cannot_be_written_are_exit_code_3_and_one_sentence(
    output: str, why: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    stream = CLOSED if output == "closed" else request.getfixturevalue(output)
    words = tmp_path / "words"
    found = {}
    for command in COMMANDS:
        with words.open("w") as file:
            code = ended(command, stream, file.fileno())
        found[command] = code, words.read_text().splitlines()[-1]

    assert found == dict.fromkeys(COMMANDS, (3, f"error: standard output cannot be written: {why}"))


@pytest.mark.parametrize(
    ("redirection", "code"),
    [("| head -1 >/dev/null", 1), (">/dev/full", 3), (">&-", 3), ("2>&-", 1)],
)
def test_a_shell_sees_the_same(redirection: str, code: int) -> None:
    command = f"{NPTABLES} diff {TUTORIAL} --node node1 --current /dev/null {redirection}"

    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], check=False, capture_output=True, text=True
    )

    assert done.returncode == code
    assert "Exception ignored" not in done.stderr


def test_standard_output_is_not_missed_by_a_command_that_prints_no_data(
    tmp_path: Path, nowhere: int, capfd: pytest.CaptureFixture[str]
) -> None:
    inputs = f"{TUTORIAL} --node node1"
    assert main(f"render {inputs}".split()) == 0
    (tmp_path / "dump").write_text(capfd.readouterr().out)

    assert ended(f"diff {inputs} --current {tmp_path}/dump", CLOSED, nowhere) == 0


def test_closed_standard_input_is_named() -> None:
    done = subprocess.run(
        ["bash", "-c", f"{NPTABLES} render - <&-"], check=False, capture_output=True, text=True
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: <stdin>: cannot be read: it is closed\n"


def test_characters_that_the_terminal_lacks_are_escaped() -> None:
    done = subprocess.run(
        ["bash", "-c", f"PYTHONIOENCODING=ascii {NPTABLES} render ä.yaml"],
        check=False,
        capture_output=True,
    )

    assert done.stderr == b"error: \\xe4.yaml: there is no such file\n"
