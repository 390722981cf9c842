"""`nptables collect`: a snapshot of every node, by the kube-proxy Pods that are there."""

from __future__ import annotations

import random
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import click

import nptables
from nptables.cli.completion import FILE, contexts
from nptables.cli.output import say
from nptables.errors import printable
from nptables.sources.fleet.collecting import (
    AT_ONCE,
    NO_POD,
    POD_TIMEOUT,
    SECONDS,
    CollectOptions,
    Progress,
    Runtime,
)
from nptables.sources.fleet.collecting import collect as collect_nodes
from nptables.sources.fleet.folder import READ, Folder
from nptables.sources.fleet.pods import NAMESPACE, SELECTORS

_INTERRUPTED = 130


@click.command("collect")
@click.option(
    "-o",
    "--output",
    "folder",
    required=True,
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder to write; if it exists, what is missing is added.",
)
@click.option("--kubeconfig", type=FILE, metavar="FILE", help="The kubeconfig, as for kubectl.")
@click.option(
    "--context",
    "context_name",
    metavar="NAME",
    shell_complete=contexts,
    help="The context in the kubeconfig, as for kubectl.",
)
@click.option("--nodes", default="", metavar="SELECTOR", help="Only read Nodes with these labels.")
@click.option(
    "-n",
    "--namespace",
    default=NAMESPACE,
    show_default=True,
    metavar="NAME",
    help="The namespace of the kube-proxy Pods.",
)
@click.option(
    "-l",
    "--selector",
    "selectors",
    multiple=True,
    metavar="SELECTOR",
    help="The labels of the kube-proxy Pods; may be repeated.  [default: "
    f"{' or '.join(SELECTORS)}]",
)
@click.option(
    "--container", default="", metavar="NAME", help="Their container, if there are several."
)
@click.option(
    "--at-once",
    type=click.IntRange(1, 64),
    default=AT_ONCE,
    show_default=True,
    metavar="N",
    help="How many nodes to read at the same time.",
)
@click.option(
    "--timeout",
    "seconds",
    type=click.FloatRange(min=1),
    default=SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="How long one node may take.",
)
@click.option(
    "--with-daemonset",
    "daemonset",
    is_flag=True,
    help="Where kube-proxy has no Pods (k3s): create the DaemonSet of "
    "deploy/collect-daemonset.yaml, wait for its Pods, and delete it at the end.",
)
@click.option("--image", default="", metavar="IMAGE", help="The image of these Pods.")
@click.option(
    "--wait",
    "pod_timeout",
    type=click.FloatRange(min=0),
    default=POD_TIMEOUT,
    show_default=True,
    metavar="SECONDS",
    help="How long these Pods may take to start.",
)
def command(
    *,
    folder: Path,
    kubeconfig: str | None,
    context_name: str | None,
    nodes: str,
    namespace: str,
    selectors: tuple[str, ...],
    container: str,
    at_once: int,
    seconds: float,
    daemonset: bool,
    image: str,
    pod_timeout: float,
) -> int:
    """Save a cluster's objects and every node's tables to a folder; exit 1 if a node is unreadable.

    Nothing is installed or changed without --with-daemonset: in each kube-proxy Pod a script runs
    that only reads, or just iptables-save. What is in DIR already is not read again, and no secret
    is saved. `nptables audit --snapshots DIR` judges the result.
    """
    # It imports the kubernetes client, which is an extra.
    from nptables.sources.apiserver import Connection  # noqa: PLC0415

    if image and not daemonset:
        raise click.UsageError("--image needs --with-daemonset")
    say(f"reading {Connection(kubeconfig=kubeconfig, context=context_name).place}")
    options = CollectOptions(
        nodes,
        namespace,
        selectors or SELECTORS,
        container,
        at_once,
        seconds,
        daemonset,
        image,
        pod_timeout,
    )
    runtime = Runtime(
        lambda: Connection(kubeconfig=kubeconfig, context=context_name),
        time.monotonic,
        time.time,
        random.random,
        tell=say,
    )
    about = {"by": f"nptables {nptables.__version__}", "nodeSelector": nodes or None}
    counts = {True: 0, False: 0}
    podless = 0
    collecting = collect_nodes(Folder(folder), options, runtime, about)
    try:
        with _terminated_as_interrupted(), closing(collecting), _progress() as show:
            for progress in collecting:
                read = progress.record.state == READ
                counts[read] += 1
                show(progress)
                podless += progress.record.why == NO_POD
                if not read:
                    say(f"{progress.node}: {progress.record.why}", kind="warning")
    except KeyboardInterrupt:
        say(
            f"interrupted: {counts[True]} nodes are in {printable(str(folder))}; the same command "
            "goes on from there",
            kind="warning",
        )
        return _INTERRUPTED
    if podless and not daemonset:
        say("where kube-proxy has no Pods, --with-daemonset makes some for the time of the reading")
    missing = f", {counts[False]} could not be read" if counts[False] else ""
    say(f"{counts[True]} nodes are in {printable(str(folder))}{missing}")
    return 1 if counts[False] else 0


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM ends a collection as Ctrl-C does: what it made in the cluster is deleted."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _progress() -> Iterator[Any]:
    """A bar on a terminal; what it gives is called for each node that is done."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    bars: list[Any] = []

    def show(progress: Progress) -> None:
        if not bars:
            bars.append(
                click.progressbar(length=progress.total, label="reading nodes", file=sys.stderr)
            )
        bars[0].update(1)

    yield show
    for bar in bars:
        bar.render_finish()
