"""Judging the nodes of a folder of snapshots, with a progress bar on a terminal."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import attrs
import click

from nptables.auditing import NodeResult, Options
from nptables.sources.fleet.folder import snapshot_files
from nptables.sources.fleet.locations import Place
from nptables.sources.fleet.process_pool import judge_files
from nptables.sources.fleet.reading import Collection


def judge_folder(
    found: Collection,
    options: Options,
    folder: Place,
    workers: int | None = None,
    *,
    dask: str | None = None,
) -> tuple[list[NodeResult], bool]:
    """The results for all nodes that are known, and whether Ctrl-C did not cut them short.

    Without `workers` there are as many processes as processors; with `dask`, the address of a
    scheduler, its workers do it.
    """
    files = snapshot_files(folder)
    if dask is not None:
        from nptables.sources.fleet.dask_cluster import judge_on_dask  # noqa: PLC0415 - an extra

        judging = judge_on_dask(dask, found.cluster, options, files.items())
    else:
        processes = min(workers or _processors(), max(1, len(files)))
        judging = judge_files(found.cluster, options, files.items(), processes)
    results: list[NodeResult] = []
    with _progress(len(files)) as step:
        try:
            for result in judging:
                results.append(result)
                step()
        except KeyboardInterrupt:
            return results, False
    results += _without_snapshot(found, {result.name for result in results})
    return results, True


def _without_snapshot(found: Collection, judged: Iterable[str]) -> list[NodeResult]:
    """The nodes that were not read."""
    known = set(judged)
    return [NodeResult.unreadable(n, why) for n, why in found.missing.items() if n not in known]


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@attrs.define
class _Rate:
    """How many nodes a second were done since it was made."""

    done: int = 0
    began: float = attrs.field(factory=time.monotonic)

    def __str__(self) -> str:
        passed = time.monotonic() - self.began
        return f"{self.done / passed:.1f} nodes/s" if passed > 0 else ""


@contextmanager
def _progress(total: int) -> Iterator[Any]:
    """A bar on a terminal; what it gives is called for each node that is done."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    rate = _Rate()
    bar: Any = click.progressbar(
        length=total, label="judging", file=sys.stderr, item_show_func=lambda _: str(rate)
    )
    with bar:

        def step() -> None:
            rate.done += 1
            bar.update(1, rate)

        yield step
