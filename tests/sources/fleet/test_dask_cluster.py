"""Judging nodes on a Dask cluster: a real scheduler and worker processes on loopback."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import fsspec
import pytest

from nptables.auditing import Options
from nptables.cli import main
from nptables.errors import InvalidInput, NptablesError
from nptables.sources.fleet.dask_cluster import judge_on_dask
from nptables.sources.fleet.folder import snapshot_files
from tests.support.fleets import CONFIG, Fleet, written

FLEET = Fleet(nodes=6, services=12)
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fleet")
    written(path, FLEET, {2: "masqueradeAll", 4: "damaged chain"})
    return path


def _started(command: list[str], said: str, cwd: Path) -> tuple[subprocess.Popen[str], str]:
    """A process of Dask, and what it says once it runs."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"}
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        cwd=cwd,
        env=environment,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if (found := re.search(said, line)) is not None:
            # Nobody reads the rest, and a full pipe would stop it.
            threading.Thread(target=process.stderr.read, daemon=True).start()
            return process, found[1]
    raise AssertionError(f"{command} ended")


@contextmanager
def dask_cluster(
    tmp_path: Path, workers: int, *options: str
) -> Iterator[tuple[str, list[subprocess.Popen[str]]]]:
    """A scheduler with so many workers; the address, and the processes of the workers."""
    scheduler, address = _started(
        ["distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"],
        r"Scheduler at:\s+(tcp://\S+)",
        tmp_path,
    )
    processes = []
    try:
        for _ in range(workers):
            command = ["distributed.cli.dask_worker", address, "--nthreads", "1", "--no-nanny"]
            command += ["--no-dashboard", "--local-directory", str(tmp_path), *options]
            processes.append(_started(command, r"Registered to:\s+(tcp://\S+)", tmp_path)[0])
        yield address, processes
    finally:
        for process in (*processes, scheduler):
            process.kill()
            process.wait(60)
            assert process.stderr is not None
            process.stderr.close()


def test_a_dask_cluster_prints_byte_for_byte_what_one_machine_does(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Two worker processes give the output of this one: by a path, a URL, and what is sent."""
    fsspec.filesystem("memory").put(str(folder), "/of-this-process", recursive=True)
    command = ["audit", "-o", "json", "--snapshots"]
    with dask_cluster(tmp_path, 2) as (address, _):
        spread = [
            (main([*command, place, "--dask", address]), capfd.readouterr().out)
            for place in (str(folder), folder.as_uri(), "memory://of-this-process")
        ]
    alone = main([*command, str(folder), "--workers", "1"]), capfd.readouterr().out
    assert [alone] * 3 == spread


@pytest.mark.long
def test_a_worker_that_is_killed_in_the_middle_loses_nothing(folder: Path, tmp_path: Path) -> None:
    """After SIGKILL to one of two workers every node has its result once."""
    files = [(f"node{n}", snapshot_files(folder)[f"node{n % 6}"]) for n in range(6)] * 20
    with dask_cluster(tmp_path, 2) as (address, workers):
        results = []
        judging = judge_on_dask(address, FLEET.cluster, Options(CONFIG, watched=True), files)
        for result in judging:
            results.append(result)
            if len(results) == 10:
                os.kill(workers[0].pid, signal.SIGKILL)
    names = sorted(result.name for result in results)
    assert sorted(name for name, _ in files) == names


def test_a_worker_with_another_version_of_nptables_is_refused(folder: Path, tmp_path: Path) -> None:
    """The message names the worker and both versions."""
    preload = tmp_path / "older.py"
    preload.write_text("import nptables\nnptables.__version__ = '0.0.1'\n")
    with (
        dask_cluster(tmp_path, 1, "--preload", str(preload)) as (address, _),
        pytest.raises(NptablesError, match=r"worker tcp://\S+ has nptables 0\.0\.1, and this is"),
    ):
        list(judge_on_dask(address, FLEET.cluster, Options(), snapshot_files(folder).items()))


def test_a_scheduler_without_workers_or_that_is_not_there_is_an_error(
    tmp_path: Path, folder: Path
) -> None:
    """Workers that are never started are not waited for."""
    with (
        dask_cluster(tmp_path, 0) as (address, _),
        pytest.raises(NptablesError, match="has no worker"),
    ):
        list(judge_on_dask(address, FLEET.cluster, Options(), snapshot_files(folder).items()))


@pytest.mark.parametrize(
    ("address", "error", "said"),
    [
        ("nonsense", InvalidInput, '"nonsense" is not the address of a Dask scheduler'),
        ("", InvalidInput, '"" is not the address of a Dask scheduler'),
        ("http://10.0.0.5:8786", InvalidInput, "is not the address"),
        ("tls://127.0.0.1:1", NptablesError, "tls:// needs certificates"),
    ],
)
def test_an_address_that_cannot_be_one_is_refused_at_once(
    address: str, error: type[Exception], said: str
) -> None:
    """Dask itself would hang on these for half a minute, and end with a traceback."""
    with pytest.raises(error) as raised:
        list(judge_on_dask(address, FLEET.cluster, Options(), []))
    assert said in str(raised.value)


def test_snapshots_that_workers_do_not_see_are_sent(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a file is of this machine alone its content goes along."""
    with dask_cluster(tmp_path, 1) as (address, _):
        monkeypatch.setattr("nptables.sources.fleet.dask_cluster._sees", _sees_nothing)
        found = judge_on_dask(
            address, FLEET.cluster, Options(CONFIG, watched=True), snapshot_files(folder).items()
        )
        verdicts = {result.name: result.verdict.value for result in found}
    assert {name: verdict for name, verdict in verdicts.items() if verdict != "ok"} == {
        "node2": "differs",
        "node4": "differs",
    }


def _sees_nothing(path: str) -> bool:
    return not path
