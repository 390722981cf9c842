"""Judging the files of many nodes on a Dask cluster: the same results, in whatever order they come.

What the cluster's objects are is sent once to each worker, which makes what nodes share once. A
snapshot is read by the worker where all of them see its file, else it is sent. Dask gives the work
of a worker that dies to the others.
"""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import nptables
from nptables.auditing import Judge, NodeResult, Options
from nptables.errors import InvalidInput, MissingPackage, NptablesError, Problem, printable
from nptables.immutable import frozen
from nptables.model import Cluster
from nptables.sources.fleet.locations import Place
from nptables.sources.fleet.process_pool import File, judge_file

# Files that wait for each thread of a worker: it never waits for the next one.
_AHEAD = 3
_TIMEOUT = "15s"
_ADDRESS = re.compile(r"(?:(tcp|tls|ucx|ws|wss)://)?(?:\[[0-9a-fA-F:.%]+\]|[^\s/:]+):[0-9]+/?")
# How often a node is handed out whose result was lost.
_TRIES = 3


@frozen
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
    without the `distributed` package, InvalidInput for what is no address, and NptablesError where
    the scheduler cannot be reached or has no worker, and where a worker has another version of
    nptables.
    """
    try:
        from distributed import Client, as_completed  # noqa: PLC0415 - heavy, and an extra
    except ImportError as error:
        raise MissingPackage("distributed", extra="fleet", purpose="use a Dask cluster") from error
    _check(address)
    try:
        client = Client(address, timeout=_TIMEOUT, set_as_default=False)
    except (OSError, ValueError) as error:
        raise NptablesError(f"the Dask scheduler {printable(address)} cannot be reached") from error
    with client:
        threads = _threads(client)
        left = iter(files)
        ahead = list(islice(left, threads * _AHEAD))
        seen = not ahead or all(client.run(_sees, _for_workers(ahead[0][1], seen=True)).values())
        task = _Task(uuid.uuid4().hex, nptables.__version__, cluster, options)
        sent = _scattered(client, task)
        handed: dict[str, tuple[File, int]] = {}

        def submit(file: File, tries: int = _TRIES) -> Any:
            nonlocal sent
            if sent.status != "finished":
                # All workers that had it are gone, and others have come.
                sent = _scattered(client, task)
            name, place = file
            given = (name, _for_workers(place, seen=seen))
            future = client.submit(_judge, sent, given, pure=False)
            handed[future.key] = file, tries
            return future

        waiting = as_completed([submit(file) for file in ahead], loop=client.loop)
        for future in waiting:
            file, tries = handed.pop(future.key)
            result = _result(future, may_be_lost=tries > 1)
            if result is None:
                waiting.add(submit(file, tries - 1))
                continue
            yield from result
            for following in islice(left, 1):
                waiting.add(submit(following))


def _check(address: str) -> None:
    """Raise for an address that Dask stumbles over for half a minute."""
    from distributed.security import Security  # noqa: PLC0415 - an extra

    found = _ADDRESS.fullmatch(address)
    if found is None:
        wrong = f'"{printable(address)}" is not the address of a Dask scheduler'
        raise InvalidInput([Problem(wrong, hint="write tcp://HOST:PORT, as the scheduler does")])
    certificates = Security().get_connection_args("client").get("ssl_context")
    if found[1] in ("tls", "wss") and certificates is None:
        raise NptablesError(
            f"{found[1]}:// needs certificates: name them in Dask's settings (distributed.comm.tls)"
        )


def _scattered(client: Any, task: _Task) -> Any:
    """What every worker needs, sent to each once."""
    try:
        (sent,) = client.scatter([task], broadcast=True, hash=False)
    except Exception as error:
        raise _lost(error) from error
    return sent


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


def _for_workers(place: Place | bytes, *, seen: bool) -> Place | bytes:
    """A place as workers know it; what is in it where they do not see it."""
    if not seen and not isinstance(place, bytes) and not place.is_dir():
        # What cannot be read here is for a worker to say.
        with suppress(OSError, NptablesError):
            return place.read_bytes()
    return place.resolve() if isinstance(place, Path) else place


def _result(future: Any, *, may_be_lost: bool) -> list[NodeResult] | None:
    """The results; None where a worker took it along when it died, and it may be judged again.

    Raises NptablesError.
    """
    try:
        found: list[NodeResult] = future.result()
    except NptablesError:
        raise
    except Exception as error:
        # Done, but gone before it was fetched: of such work the scheduler knows nothing any more.
        if may_be_lost and future.status in ("cancelled", "lost"):
            return None
        raise _lost(error) from error
    return found


def _lost(error: Exception) -> NptablesError:
    text = printable(str(error)) or type(error).__name__
    return NptablesError(f"the Dask cluster lost the work: {text}")


# What follows runs on the workers.

_judges: dict[str, Judge] = {}
_lock = threading.Lock()


def _version() -> str:
    return nptables.__version__


def _sees(place: Place | bytes) -> bool:
    try:
        return isinstance(place, bytes) or place.is_file() or place.is_dir()
    except NptablesError:
        # It is a URL, and here is no driver or no credentials for it.
        return False


def _judge(task: _Task, file: File) -> list[NodeResult]:
    # One that has come since the others were asked is asked here.
    _refuse_other(nptables.__version__, "that came later", task.version)
    with _lock:
        judge = _judges.get(task.token)
        if judge is None:
            _judges.clear()
            judge = _judges[task.token] = Judge(task.cluster, task.options)
    return judge_file(judge, file)
