"""`nptables audit`: which nodes of a cluster do what the cluster says."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import click

from nptables.auditing import GRACE, NodeResult, Options
from nptables.cli.fleet.report import Report, print_report
from nptables.cli.manifests import names_a_cluster, read_manifests
from nptables.cli.options import manifest_options
from nptables.cli.output import say
from nptables.cli.versions import asked, version_option
from nptables.errors import InvalidInput, Problem
from nptables.model.durations import parse_duration
from nptables.sources import find_config
from nptables.sources.fleet.folder import snapshot_files
from nptables.sources.fleet.reading import Collection, missing_in, read_collection
from nptables.sources.fleet.working import judge_files

_INTERRUPTED = 130


def _seconds(context: click.Context, option: click.Parameter, value: str) -> float:  # noqa: ARG001
    """A duration such as 10s."""
    found = parse_duration(value)
    if found is None or found < 0:
        raise click.BadParameter(f'"{value}" is not a duration: write 10s or 2m')
    return found


@click.command("audit")
@manifest_options
@click.option(
    "--snapshots",
    "folder",
    required=True,
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="What `nptables collect` made, or a folder with a file for each node, named after it: a "
    "snapshot, or what iptables-save printed.",
)
@click.option(
    "--config",
    "config_path",
    metavar="FILE",
    help="The KubeProxyConfiguration of nodes whose snapshots do not show theirs.",
)
@version_option
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many processes judge nodes.  [default: as many as there are processors]",
)
@click.option(
    "--dask",
    "dask_address",
    metavar="ADDRESS",
    help="Judge nodes on the Dask cluster of this scheduler (extra `fleet`), as in "
    "tcp://10.0.0.5:8786.",
)
@click.option(
    "--grace",
    default=f"{GRACE:g}s",
    show_default=True,
    metavar="DURATION",
    callback=_seconds,
    help="With FILEs: a Service that changed so shortly before a node was read is never held "
    "against it.",
)
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json", "sarif", "github"]),
    default="text",
    show_default=True,
)
def command(
    *,
    folder: Path,
    files: tuple[str, ...],
    more_files: tuple[str, ...],
    lenient: bool,
    config_path: str | None,
    workers: int | None,
    dask_address: str | None,
    grace: float,
    output: str,
) -> int:
    """Judge every node of a cluster by what packets notice; exit 1 if any is not right.

    Each node is compared with what its own kube-proxy should have programmed, in its version and
    configuration. The cluster is the one that `collect` found, or that of the FILEs.
    """
    if not folder.is_dir():
        raise InvalidInput([Problem("there is no such folder", file=str(folder))])
    if names_a_cluster(files, more_files):
        loaded = read_manifests(files, more_files, lenient=lenient)
        missing = missing_in(folder, loaded.cluster)
        found = Collection(loaded.cluster, (), loaded.proxy_config, missing)
        watched = False
    else:
        found, watched = _collected(folder), True
    configuration = found.configuration
    if config_path is not None:
        configuration = find_config(config_path).value
    options = Options(configuration, asked() or "", found.movements, watched, grace)
    there = snapshot_files(folder)
    if dask_address is not None:
        from nptables.sources.fleet.spreading import judge_on_dask  # noqa: PLC0415 - an extra

        judging = judge_on_dask(dask_address, found.cluster, options, there.items())
    else:
        count = min(workers or _processors(), max(1, len(there)))
        judging = judge_files(found.cluster, options, there.items(), count)
    results, whole = _judged(judging, len(there))
    if whole:
        results += _without_snapshot(found, {result.name for result in results})
    print_report(Report.of(results, whole=whole), output)
    if not whole:
        say("interrupted: this is what was found so far", kind="warning")
        return _INTERRUPTED
    return 0 if all(result.verdict.healthy for result in results) else 1


def _collected(folder: Path) -> Collection:
    found = read_collection(folder)
    if found is None:
        raise InvalidInput(
            [
                Problem(
                    "holds no objects of a cluster",
                    hint="name them as FILEs, or let `nptables collect` make the folder",
                    file=str(folder),
                )
            ]
        )
    return found


def _judged(judging: Iterator[NodeResult], total: int) -> tuple[list[NodeResult], bool]:
    """The results, and whether they are those of all files."""
    results: list[NodeResult] = []
    with _progress(total) as step:
        try:
            for result in judging:
                results.append(result)
                step()
        except KeyboardInterrupt:
            return results, False
    return results, True


def _without_snapshot(found: Collection, judged: Iterable[str]) -> list[NodeResult]:
    """The nodes that nobody could read, or tried to."""
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
