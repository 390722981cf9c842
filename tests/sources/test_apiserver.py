"""A connection and a watch over real HTTP, against a server that fails on cue."""

from __future__ import annotations

import itertools
import random
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from nptables.errors import ApiServerError
from nptables.sources.apiserver import (
    SERVICES,
    Changed,
    Connection,
    Listed,
    Reflector,
    Settings,
    Trouble,
    kubeconfig_of_proxy,
    list_cluster,
    list_pages,
    node_named,
)
from tests.support.apiserver import ApiServer, Fault
from tests.support.objects import node, service
from tests.support.tls import server_context, written

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Watcher:
    """A reflector in a thread, with its events; pauses are a hundredth of the real ones."""

    def __init__(self, server: ApiServer, kubeconfig: Path, settings: Settings) -> None:
        self.server = server
        self.events: list[Any] = []
        self.pauses: list[float] = []
        self.stopped = threading.Event()
        self.reflector = Reflector(
            SERVICES,
            Connection(kubeconfig=str(kubeconfig)),
            self.events.append,
            clock=time.monotonic,
            wait=self.wait,
            random=random.random,
            settings=settings,
        )
        self.thread = threading.Thread(target=self.reflector.run, daemon=True)

    def wait(self, seconds: float) -> bool:
        self.pauses.append(seconds)
        return self.stopped.wait(seconds / 100)

    def known(self) -> set[str]:
        """The Services that the events add up to."""
        found: set[str] = set()
        for event in list(self.events):
            if isinstance(event, Listed):
                found = {name for _, name in event.cluster.services}
            elif isinstance(event, Changed) and event.value is None:
                found.discard(event.name)
            elif isinstance(event, Changed):
                found.add(event.name)
        return found

    def sees(self, *wanted: str) -> bool:
        return self.server.waits_for(lambda: self.known() == set(wanted))

    def has_seen(self, kind: type, count: int = 1) -> bool:
        return self.server.waits_for(lambda: sum(isinstance(e, kind) for e in self.events) >= count)

    def stop(self) -> None:
        self.stopped.set()
        self.reflector.interrupt()
        self.thread.join(60)
        assert not self.thread.is_alive()


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as server:
        server.put(service("a"), service("b"))
        yield server


@pytest.fixture
def watch(server: ApiServer, tmp_path: Path) -> Iterator[Any]:
    started: list[Watcher] = []

    def start(**settings: Any) -> Watcher:
        watcher = Watcher(server, server.kubeconfig(tmp_path / "kubeconfig"), Settings(**settings))
        watcher.thread.start()
        started.append(watcher)
        return watcher

    yield start
    for watcher in started:
        watcher.stop()


def test_changes_arrive_as_they_happen(server: ApiServer, watch: Any) -> None:
    watcher = watch()
    assert watcher.sees("a", "b")
    server.put(service("c"))
    server.delete("Service", "a")
    assert watcher.sees("b", "c")
    assert len(server.lists) == 1


def test_a_service_that_another_proxy_takes_over_is_gone(server: ApiServer, watch: Any) -> None:
    watcher = watch()
    assert watcher.sees("a", "b")
    claimed = service("a")
    claimed["metadata"]["labels"] = {"service.kubernetes.io/service-proxy-name": "other"}
    server.put(claimed)
    server.put(service("b", clusterIP="None"))
    assert watcher.sees()


@pytest.mark.parametrize(
    "fault",
    [
        Fault(watch=True, cut_after=0),
        Fault(watch=True, cut_after=0, half_line=True),
        Fault(watch=True, cut_after=1, half_line=True),
        Fault(watch=True, cut_after=0, garbage=True),
        Fault(watch=True, expired=True),
        Fault(status=429, retry_after=1, watch=True),
        Fault(times=3, status=500),
        Fault(times=2, status=504),
        Fault(times=2, status=403),
    ],
    ids=str,
)
def test_after_a_fault_everything_is_known_again(
    server: ApiServer, watch: Any, fault: Fault
) -> None:
    server.fail(fault)
    watcher = watch()
    assert server.waits_for(lambda: bool(server.watches) or fault.times == 0)
    server.put(service("c"))
    server.put(service("d"))
    server.delete("Service", "a")
    assert watcher.sees("b", "c", "d")
    assert fault.times == 0
    assert watcher.has_seen(Trouble)


def test_a_restarted_server_is_found_again_without_a_new_list(
    server: ApiServer, watch: Any
) -> None:
    watcher = watch()
    assert watcher.sees("a", "b")
    assert server.waits_for(lambda: bool(server.watches))
    server.restart(lambda: server.put(service("c")))
    assert watcher.sees("a", "b", "c")
    assert len(server.lists) == 1


def test_a_compacted_history_leads_to_a_new_list(server: ApiServer, watch: Any) -> None:
    watcher = watch()
    assert watcher.sees("a", "b")
    assert server.waits_for(lambda: bool(server.watches))

    def change() -> None:
        server.delete("Service", "a")
        server.compact()

    server.restart(change)
    assert watcher.sees("b")
    assert len(server.lists) == 2


def test_a_silent_watch_is_renewed(server: ApiServer, watch: Any) -> None:
    server.fail(Fault(watch=True, silent=True))
    watcher = watch(silence=0.3)
    assert watcher.sees("a", "b")
    server.put(service("c"))
    assert watcher.sees("a", "b", "c")
    assert len(server.lists) == 1


def test_bookmarks_keep_a_quiet_watch_alive(server: ApiServer, watch: Any) -> None:
    server.bookmark_every = 0.05
    watcher = watch(silence=2)
    assert watcher.sees("a", "b")
    # Longer than the silence that would end it.
    time.sleep(3)
    assert len(server.watches) == 1


def test_a_new_token_is_read_when_the_old_one_is_refused(
    server: ApiServer, watch: Any, tmp_path: Path
) -> None:
    server.token = "first"
    watcher = watch()
    assert watcher.sees("a", "b")
    assert server.waits_for(lambda: bool(server.watches))
    server.token = "second"
    server.disconnect()
    assert watcher.has_seen(Trouble, 2)
    server.kubeconfig(tmp_path / "kubeconfig")
    server.put(service("c"))
    assert watcher.sees("a", "b", "c")
    assert server.requests[-1].authorization == "Bearer second"


def test_requests_never_come_faster_than_the_backoff_allows(server: ApiServer, watch: Any) -> None:
    server.fail(Fault(times=6, status=500))
    watcher = watch()
    assert watcher.sees("a", "b")
    pauses = watcher.pauses[:6]
    # Each pause is at least the doubling delay of client-go, whatever the random stretch.
    assert all(
        p >= least for p, least in zip(pauses, [0.8, 1.6, 3.2, 6.4, 12.8, 25.6], strict=True)
    )
    times = [request.at for request in server.requests[:7]]
    gaps = [b - a for a, b in itertools.pairwise(times)]
    assert all(gap >= pause / 100 for gap, pause in zip(gaps, pauses, strict=True))


def test_a_new_authority_is_read_when_the_old_one_no_longer_vouches(tmp_path: Path) -> None:
    authority_file = tmp_path / "ca.crt"
    first, second = trustme.CA(), trustme.CA()
    written(first, authority_file)
    with ApiServer(tls=server_context(first)) as server:
        server.put(service("a"))
        kubeconfig = server.kubeconfig(tmp_path / "kubeconfig", authority=str(authority_file))
        connection = Connection(kubeconfig=str(kubeconfig))
        assert list(list_cluster(connection, [SERVICES]).services) == [("default", "a")]
        server.tls = server_context(second)
        server.restart()
        with pytest.raises(ApiServerError, match="certificate verify failed"):
            list_cluster(connection, [SERVICES])
        written(second, authority_file)
        assert list(list_cluster(connection, [SERVICES]).services) == [("default", "a")]


def test_a_refusal_carries_the_words_of_the_server(server: ApiServer, tmp_path: Path) -> None:
    connection = Connection(kubeconfig=str(server.kubeconfig(tmp_path / "kubeconfig")))
    server.fail(Fault(status=429, retry_after=7))
    with pytest.raises(ApiServerError, match="injected 429") as caught:
        connection.get("/api/v1/services", {})
    assert (caught.value.status, caught.value.retry_after) == (429, 7)


def test_nobody_listening_is_said_in_one_line(server: ApiServer, tmp_path: Path) -> None:
    connection = Connection(kubeconfig=str(server.kubeconfig(tmp_path / "kubeconfig")))
    server.stop()
    with pytest.raises(ApiServerError, match=r"cannot be reached: .*refused") as caught:
        connection.get("/api/v1/services", {})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "- 1", "kind: Config"])
def test_an_unusable_kubeconfig_is_said_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(text)
    with pytest.raises(ApiServerError, match="configuration cannot be used") as caught:
        Connection(kubeconfig=str(path))
    assert "\n" not in str(caught.value)


def test_only_the_own_node_is_asked_for(server: ApiServer, tmp_path: Path) -> None:
    server.put(node("node1"), node("node2", "192.168.0.3"))
    connection = Connection(kubeconfig=str(server.kubeconfig(tmp_path / "kubeconfig")))
    assert list(list_cluster(connection, [node_named("node2")]).nodes) == ["node2"]


def test_a_list_is_read_page_by_page(server: ApiServer, tmp_path: Path) -> None:
    connection = Connection(kubeconfig=str(server.kubeconfig(tmp_path / "kubeconfig")))
    server.put(*(service(f"s{number}") for number in range(5)))
    sizes = [len(p.cluster.services) for p in list_pages(connection, SERVICES, page_size=3)]
    assert sizes == [3, 3, 1]


def test_in_a_pod_the_service_account_stands_in_for_kube_proxys_kubeconfig(tmp_path: Path) -> None:
    pod, token = {"KUBERNETES_SERVICE_HOST": "10.96.0.1"}, tmp_path / "token"
    missing, there = str(tmp_path / "kubeconfig.conf"), tmp_path / "there"
    token.touch()
    there.touch()
    assert kubeconfig_of_proxy(missing, environment=pod, token=token) is None
    assert kubeconfig_of_proxy(str(there), environment=pod, token=token) == str(there)
    assert kubeconfig_of_proxy("", environment={}, token=token) is None
    with pytest.raises(ApiServerError, match="with --kubeconfig"):
        kubeconfig_of_proxy(missing, environment={}, token=token)
    with pytest.raises(ApiServerError, match="with --kubeconfig"):
        kubeconfig_of_proxy(missing, environment=pod, token=tmp_path / "none")
