"""Judging the files of many nodes on a Dask cluster: the same results, in whatever order they come.

What the cluster's objects are is sent once to each worker, which makes what nodes share once. A
snapshot is read by the worker where all of them see its file, else it is sent. Dask gives the work
of a worker that dies to the others.
"""

from __future__ import annotations

import tempfile
import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import attrs

import nptables
from nptables.auditing import Judge, NodeResult, Options
from nptables.errors import MissingPackage, NptablesError, printable
from nptables.model import Cluster
from nptables.sources.fleet.working import File, judge_file

# Files that wait for each thread of a worker: it never waits for the next one.
_AHEAD = 3
_PATIENCE = "15s"


@attrs.frozen
class _Task:
    """What every worker needs to judge nodes; `token` tells one audit from another."""

    token: str
    version: str
    cluster: Cluster
    options: Options


def judge_on_dask(
    address: str, cluster: Cluster, options: Options, files: Iterable[File]
) -> Iterator[NodeResult]:
    """Judge the nodes whose snapshots are in files by the workers of a scheduler.

    `address` is as `dask scheduler` prints it, such as `tcp://10.0.0.5:8786`. Raises MissingPackage
    without the `distributed` package, and NptablesError where the scheduler cannot be reached or
    has no worker, and where a worker has another version of nptables.
    """
    try:
        from distributed import Client, as_completed  # noqa: PLC0415 - heavy, and an extra
    except ImportError as error:
        raise MissingPackage("distributed", extra="fleet", purpose="use a Dask cluster") from error
    try:
        client = Client(address, timeout=_PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise NptablesError(f"the Dask scheduler {printable(address)} cannot be reached") from error
    with client:
        threads = _threads(client)
        left = iter(files)
        ahead = list(islice(left, threads * _AHEAD))
        seen = not ahead or all(client.run(_sees, str(ahead[0][1])).values())
        task = _Task(uuid.uuid4().hex, nptables.__version__, cluster, options)
        (sent,) = client.scatter([task], broadcast=True, hash=False)

        def submit(file: File) -> Any:
            name, path = file
            content = str(path.resolve()) if seen or path.is_dir() else path.read_bytes()
            return client.submit(_judge, sent, name, content, pure=False)

        waiting = as_completed(list(map(submit, ahead)), loop=client.loop)
        for future in waiting:
            yield from _result(future)
            for file in islice(left, 1):
                waiting.add(submit(file))


def _threads(client: Any) -> int:
    """How many threads the workers have. Raises NptablesError where they cannot be used."""
    versions: Mapping[str, object] = client.run(_version, on_error="return")
    if not versions:
        raise NptablesError("the Dask scheduler has no worker: start some with `dask worker`")
    for worker, version in sorted(versions.items()):
        if isinstance(version, ModuleNotFoundError):
            raise NptablesError(f"the Dask worker {worker} has no nptables: install it there")
        _refuse_other(version, worker, nptables.__version__)
    return sum(client.nthreads().values())


def _refuse_other(version: object, worker: str, wanted: str) -> None:
    if version != wanted:
        raise NptablesError(
            f"the Dask worker {worker} has nptables {version}, and this is {wanted}: their results "
            "would not be the same; install one version everywhere"
        )


def _result(future: Any) -> list[NodeResult]:
    try:
        found: list[NodeResult] = future.result()
    except NptablesError:
        raise
    except Exception as error:
        text = printable(str(error)) or type(error).__name__
        raise NptablesError(f"the Dask cluster lost the work: {text}") from error
    return found


# What follows runs on the workers.

_judges: dict[str, Judge] = {}
_lock = threading.Lock()


def _version() -> str:
    return nptables.__version__


def _sees(path: str) -> bool:
    return Path(path).exists()


def _judge(task: _Task, name: str, content: str | bytes) -> list[NodeResult]:
    # One that has come since the others were asked is asked here.
    _refuse_other(nptables.__version__, "that came later", task.version)
    with _lock:
        judge = _judges.get(task.token)
        if judge is None:
            _judges.clear()
            judge = _judges[task.token] = Judge(task.cluster, task.options)
    if isinstance(content, str):
        return judge_file(judge, (name, Path(content)))
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        return judge_file(judge, (name, Path(file.name)))
