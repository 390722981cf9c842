"""Judging the files of many nodes in several processes, as results come.

Memory does not grow with the number of nodes: a worker holds one of them, and only few wait.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from itertools import islice

from nptables.auditing import Judge, NodeResult, Options
from nptables.errors import InvalidInput, NptablesError
from nptables.model import Cluster
from nptables.sources.fleet.locations import Place
from nptables.sources.fleet.reading import read_snapshots

File = tuple[str, Place | bytes]
# Files that wait for each worker: it never waits for the next one.
_AHEAD = 2


def judge_files(
    cluster: Cluster, options: Options, files: Iterable[File], workers: int
) -> Iterator[NodeResult]:
    """Judge the nodes whose snapshots are in files, in whatever order they are done.

    `workers` is how many processes do it; with one it is done here.
    """
    if workers == 1:
        judge = Judge(cluster, options)
        for file in files:
            yield from judge_file(judge, file)
        return
    # Python in WebAssembly has none of this, and other commands import this module.
    import multiprocessing  # noqa: PLC0415
    from concurrent.futures.process import (  # noqa: PLC0415
        BrokenProcessPool,
        ProcessPoolExecutor,
    )

    # Forked, they share the cluster with this process instead of each having a copy.
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("fork" if "fork" in methods else None)
    pool = ProcessPoolExecutor(workers, context, _start, (cluster, options))
    try:
        for results in _streamed(pool, _judge_there, files, workers * _AHEAD):
            yield from results
    except BrokenProcessPool as error:
        raise NptablesError("a worker ended (most likely there was no memory left)") from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def judge_file(judge: Judge, file: File) -> list[NodeResult]:
    """Judge the node of a file, or all in a bundle; a file that cannot be read is a result too.

    A bundle of the cluster alone has no node, and no result.
    """
    name, place = file
    try:
        found = read_snapshots(place)
    except InvalidInput as error:
        return [NodeResult.unreadable(name, str(error.problems[0].message))]
    except NptablesError as error:
        return [NodeResult.unreadable(name, str(error))]
    return [judge.judge(called or name, snapshot) for called, snapshot in found]


def _streamed(
    pool: Executor,
    work: Callable[[File], list[NodeResult]],
    files: Iterable[File],
    ahead: int,
) -> Iterator[list[NodeResult]]:
    """The results as they come, with so much work handed out ahead."""
    left = iter(files)
    waiting: set[Future[list[NodeResult]]] = {
        pool.submit(work, file) for file in islice(left, ahead)
    }
    while waiting:
        ended, waiting = wait(waiting, return_when=FIRST_COMPLETED)
        waiting |= {pool.submit(work, file) for file in islice(left, len(ended))}
        for future in ended:
            yield future.result()


_judge: list[Judge] = []


def _start(cluster: Cluster, options: Options) -> None:
    # Whoever pressed Ctrl-C is heard by the process that started this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _judge[:] = [Judge(cluster, options)]


def _judge_there(file: File) -> list[NodeResult]:
    return judge_file(_judge[0], file)
