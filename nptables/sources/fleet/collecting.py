"""Reading every node of a cluster into a folder, without installing anything.

1. The objects are listed before the first node is read, and watched until the last one is.
2. Nodes are read some at a time, each within a limit of time; one that cannot be read is noted,
   and stops nobody.
3. Whatever is written is whole. A collection that was killed goes on where it was: what is there
   is not fetched again, and what changed meanwhile is added to what is known of the objects.
4. Nothing in the cluster is created, changed or deleted, but for the DaemonSet that was asked for.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any

import attrs

from nptables.errors import ApiServerError, NptablesError, printable
from nptables.immutable import frozen
from nptables.model.times import rfc3339_seconds
from nptables.sources.apiserver import Connection
from nptables.sources.fleet import objects
from nptables.sources.fleet.daemonset import daemon_set, leaving_none_behind
from nptables.sources.fleet.folder import READ, UNREACHABLE, WAITING, Folder, NodeRecord
from nptables.sources.fleet.pod_snapshot import take_snapshot
from nptables.sources.fleet.pods import NAMESPACE, SELECTORS, ProxyPod, proxy_pods
from nptables.words import counted

AT_ONCE = 8
SECONDS = 60.0
POD_TIMEOUT = 120.0
NO_POD = "no Pod of kube-proxy is on it"
_INTERRUPTED = "the collection was interrupted"
# Between two looks at whether Pods run, in seconds.
_GLANCE = 1.0


@frozen
class CollectOptions:
    """What to collect, and how.

    `nodes` is a label selector for Nodes. Pods are found in `namespace` by any of `selectors`, and
    read in `container` (empty: the one of kube-proxy). `seconds` is the limit for a node. With
    `daemonset` nodes that have no such Pod get one for the time of the collection, of `image`
    where that is not empty, and have `pod_timeout` seconds to start it.
    """

    nodes: str = ""
    namespace: str = NAMESPACE
    selectors: Sequence[str] = SELECTORS
    container: str = ""
    at_once: int = AT_ONCE
    seconds: float = SECONDS
    daemonset: bool = False
    image: str = ""
    pod_timeout: float = POD_TIMEOUT


def _unheard(text: str) -> None:
    """Where nobody wants to know."""


@frozen
class Runtime:
    """What collecting needs of the world: connections, clocks in seconds, random numbers.

    `tell` is told what a person should know while it happens.
    """

    connect: Callable[[], Connection]
    monotonic: Callable[[], float]
    epoch: Callable[[], float]
    random: Callable[[], float]
    sleep: Callable[[float], None] = time.sleep
    tell: Callable[[str], None] = _unheard


@frozen
class Progress:
    """A node that is done, of how many there are."""

    node: str
    record: NodeRecord
    done: int
    total: int


def collect(
    folder: Folder, options: CollectOptions, runtime: Runtime, about: Mapping[str, Any]
) -> Generator[Progress, None, None]:
    """Read the nodes into a folder, and say of each when it is done.

    `about` goes into the manifest. Raises ApiServerError where the cluster itself cannot be asked,
    and InvalidInput where the folder holds something else.
    """
    connection = runtime.connect()
    names = sorted(str(n["metadata"]["name"]) for n in objects.nodes(connection, options.nodes))
    there = folder.records()
    whole = {n: r for n, r in there.items() if r.state == READ and folder.has_node(n)}
    left = [name for name in names if name not in whole]
    with _pods_on(left, connection, options, runtime) as pods:
        start = objects.start(connection)
        folder.make()
        _keep(folder, start, runtime.epoch())
        records = {**whole, **dict.fromkeys(left, NodeRecord(WAITING, "it was not read yet"))}
        yield from _collect(
            folder, names, records, pods, start, connection, options, runtime, about
        )


@contextmanager
def _pods_on(
    names: Sequence[str], connection: Connection, options: CollectOptions, runtime: Runtime
) -> Iterator[Mapping[str, ProxyPod]]:
    """The Pods by which these nodes are read, for as long as they are needed."""

    def seen() -> Mapping[str, ProxyPod]:
        return proxy_pods(
            connection,
            namespace=options.namespace,
            selectors=options.selectors,
            container=options.container,
        )

    def lacking(pods: Mapping[str, ProxyPod]) -> list[str]:
        return [name for name in names if name not in pods or not pods[name].running]

    pods = seen()
    if not options.daemonset:
        yield pods
        return
    if not lacking(pods):
        # It may be the Pods of a collection that was killed that run.
        with leaving_none_behind(runtime.connect, options.namespace, runtime.tell):
            yield pods
        return
    with daemon_set(runtime.connect, options.namespace, options.image, runtime.tell):
        runtime.tell(f"waiting for Pods on {counted(len(lacking(pods)), 'node')}")
        end = runtime.monotonic() + options.pod_timeout
        while lacking(pods := seen()) and runtime.monotonic() < end:
            runtime.sleep(_GLANCE)
        if missing := lacking(pods):
            nodes = counted(len(missing), "node")
            runtime.tell(f"on {nodes} no Pod runs after {options.pod_timeout:g} seconds")
        yield pods


def _collect(
    folder: Folder,
    names: Sequence[str],
    records: dict[str, NodeRecord],
    pods: Mapping[str, ProxyPod],
    start: objects.Start,
    connection: Connection,
    options: CollectOptions,
    runtime: Runtime,
    about: Mapping[str, Any],
) -> Iterator[Progress]:
    began = rfc3339_seconds(runtime.epoch())
    watches = objects.Watches(
        start, runtime.connect, folder.add_change, clock=runtime.epoch, random=runtime.random
    )
    left = [name for name in names if records[name].state != READ]
    done = 0
    finished = ""
    _note(folder, records, about, began, "", ())
    try:
        with watches:
            for name in [name for name in names if name not in left]:
                done += 1
                yield Progress(name, records[name], done, len(names))
            for name, record in _read_all(left, pods, folder, options, runtime):
                records[name] = record
                done += 1
                # A collection that is killed has at least the nodes; this is what it says of them.
                _note(folder, records, about, began, "", watches.troubles)
                yield Progress(name, record, done, len(names))
            watches.catch_up(connection, runtime.monotonic)
        folder.settle()
        finished = rfc3339_seconds(runtime.epoch())
    finally:
        _note(folder, records, about, began, finished, watches.troubles)


def _keep(folder: Folder, start: objects.Start, now: float) -> None:
    """Keep the objects; in a folder that has some already, what changed since."""
    if not folder.holds_cluster:
        folder.write_objects(start.items)
        return
    items, changes = folder.objects()
    for change in objects.since(items, changes, start, now):
        folder.add_change(change)


def _note(
    folder: Folder,
    records: Mapping[str, NodeRecord],
    about: Mapping[str, Any],
    began: str,
    finished: str,
    troubles: Sequence[str],
) -> None:
    nodes = {
        name: {key: value for key, value in attrs.asdict(record).items() if value}
        for name, record in sorted(records.items())
    }
    folder.write_manifest(
        {**about, "started": began, "finished": finished, "troubles": [*troubles], "nodes": nodes}
    )


def _read_all(
    names: Sequence[str],
    pods: Mapping[str, ProxyPod],
    folder: Folder,
    options: CollectOptions,
    runtime: Runtime,
) -> Iterator[tuple[str, NodeRecord]]:
    """Read nodes some at a time, in whatever order they are done."""
    connections: queue.SimpleQueue[Connection] = queue.SimpleQueue()

    @contextmanager
    def borrowed() -> Iterator[Connection]:
        try:
            connection = connections.get_nowait()
        except queue.Empty:
            connection = runtime.connect()
        try:
            yield connection
        finally:
            connections.put(connection)

    stopped = threading.Event()

    def clock() -> float:
        # Whoever waits for a Pod looks at the clock, and so hears that nobody wants to know.
        if stopped.is_set():
            raise ApiServerError(_INTERRUPTED)
        return runtime.monotonic()

    def read(name: str) -> NodeRecord:
        began = runtime.monotonic()
        pod = pods.get(name)
        if pod is None:
            return NodeRecord(UNREACHABLE, NO_POD)
        record = NodeRecord(UNREACHABLE, pod=pod.container.pod)
        if not pod.running:
            waits = f" ({printable(pod.waits_for)})" if pod.waits_for else ""
            return attrs.evolve(record, why=f"its Pod does not run{waits}")
        if stopped.is_set():
            return attrs.evolve(record, why=_INTERRUPTED)
        try:
            with borrowed() as connection:
                taken = rfc3339_seconds(runtime.epoch())
                document = take_snapshot(
                    connection, pod, taken, seconds=options.seconds, clock=clock
                )
            folder.write_node(name, document)
        except NptablesError as error:
            return attrs.evolve(record, why=printable(str(error)))
        took = round(runtime.monotonic() - began, 3)
        return attrs.evolve(record, state=READ, taken=taken, seconds=took)

    pool = ThreadPoolExecutor(max_workers=options.at_once)
    waiting: dict[Future[NodeRecord], str] = {pool.submit(read, name): name for name in names}
    try:
        while waiting:
            ended, _ = wait(waiting, return_when=FIRST_COMPLETED)
            for future in ended:
                yield waiting.pop(future), future.result()
    finally:
        stopped.set()
        # Whoever gave up does not wait for Pods that do not answer.
        pool.shutdown(wait=not waiting, cancel_futures=True)
