"""Logs, the lock that makes an agent the only one, the queue, and the service manager."""

from __future__ import annotations

import errno
import gc
import io
import json
import logging
import os
import signal
import socket
import threading
import warnings
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nptables.agent.events import EventQueue
from nptables.agent.process import (
    CollectorRest,
    InstanceLock,
    Log,
    OtherProxyWatch,
    ServiceManager,
    words_of_libraries,
)
from nptables.errors import AlreadyRunning

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def log(*, as_json: bool, level: str = "info", clock: Any = lambda: 0.0) -> tuple[Log, io.StringIO]:
    stream = io.StringIO()
    return Log(stream, level=level, as_json=as_json, wall=lambda: 0.0, clock=clock), stream


@given(event=st.text(), value=st.text(), as_json=st.booleans())
def test_nothing_in_an_event_ends_its_line_or_reaches_a_terminal(
    *,
    event: str,
    value: str,
    as_json: bool,
) -> None:
    written, stream = log(as_json=as_json)
    written.warning(event, object=value, several=[value])
    text = stream.getvalue()
    assert text.endswith("\n")
    assert text[:-1].isprintable()


def test_json_lines_have_time_level_event_and_fields() -> None:
    written, stream = log(as_json=True)
    written.info("synced", services=["default/web"], seconds=0.123456)
    assert json.loads(stream.getvalue()) == {
        "time": "1970-01-01T00:00:00.000+00:00",
        "level": "info",
        "event": "synced",
        "services": ["default/web"],
        "seconds": 0.1235,
    }


def test_text_lines_are_short() -> None:
    written, stream = log(as_json=False)
    written.warning("rules differ", family="IPv4", lines=3)
    assert stream.getvalue() == "00:00:00.000 warning rules differ family=IPv4 lines=3\n"


def test_events_below_the_level_are_not_written() -> None:
    written, stream = log(as_json=False, level="warning")
    written.info("a")
    written.debug("b")
    written.error("c")
    assert len(stream.getvalue().splitlines()) == 1


def test_what_repeats_is_said_once_a_minute_with_the_number_left_out() -> None:
    now = [0.0]
    written, stream = log(as_json=True, clock=lambda: now[0])
    for _ in range(120):
        written.repeating("bad object", about="Service default/web")
        now[0] += 1
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line.get("leftOut", 0) for line in lines] == [0, 59]


def test_a_closed_stream_does_not_stop_the_agent() -> None:
    written, stream = log(as_json=False)
    stream.close()
    written.error("nobody reads this")


def test_what_libraries_say_is_in_the_log_and_nowhere_else(
    capfd: pytest.CaptureFixture[str],
) -> None:
    written, stream = log(as_json=True)
    with warnings.catch_warnings(), words_of_libraries(written):
        # As urllib3 has it for requests to a server whose certificate is not checked.
        warnings.simplefilter("always")
        for _ in range(3):
            warnings.warn("unverified\nrequest", UserWarning, stacklevel=1)
        logging.getLogger("urllib3.connectionpool").warning("retrying %s", "\x1b[2J")
        logging.getLogger("kubernetes").info("the body of an answer")
        # Words that do not fit; pytest's own handler would not have them.
        odd = logging.LogRecord("kubernetes", logging.WARNING, "", 0, "%d", ("x",), None)
        logging.getLogger().handlers[-1].handle(odd)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(line["level"], line["kind"], line["reason"]) for line in lines] == [
        ("warning", "UserWarning", "unverified\\nrequest"),
        ("warning", "urllib3.connectionpool", "retrying \\x1b[2J"),
        ("warning", "kubernetes", "%d"),
    ]
    assert capfd.readouterr().err == ""


def test_a_clock_that_is_set_back_silences_nothing() -> None:
    wall, clock = [10**9], [0.0]
    stream = io.StringIO()
    written = Log(stream, level="info", as_json=True, wall=lambda: wall[0], clock=lambda: clock[0])
    written.repeating("bad object", about="x")
    wall[0] -= 10 * 86400
    clock[0] += 60
    written.repeating("bad object", about="x")
    assert len(stream.getvalue().splitlines()) == 2


def test_a_lock_is_had_although_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        held = InstanceLock(tmp_path, node_name="node1")
    with held, pytest.raises(AlreadyRunning, match="it does not say which"):
        InstanceLock(tmp_path, node_name="node2")


def test_a_second_agent_is_told_who_runs(tmp_path: Path) -> None:
    with (
        InstanceLock(tmp_path, node_name="node1"),
        pytest.raises(AlreadyRunning, match=f"pid {os.getpid()}, node node1") as caught,
    ):
        InstanceLock(tmp_path, node_name="node2")
    assert caught.value.exit_code == 4
    with InstanceLock(tmp_path, node_name="node2"):
        pass


def test_the_queue_gives_everything_in_order_and_knows_its_oldest() -> None:
    now = [10.0]
    inbox: EventQueue[int] = EventQueue(lambda: now[0])
    assert inbox.oldest() is None
    inbox.put(1)
    now[0] = 20.0
    inbox.put(2)
    assert inbox.oldest() == 10.0
    assert list(inbox.wait(0)) == [1, 2]
    assert inbox.oldest() is None
    assert list(inbox.wait(0)) == []


def test_a_burst_is_one_turn_and_not_one_for_each_item() -> None:
    inbox: EventQueue[int] = EventQueue(lambda: 0.0)
    for number in range(20_000):
        inbox.put(number)
    assert len(list(inbox.wait(0))) == 20_000
    # Nothing is left that ends a wait at once: it lasts until somebody puts something.
    threading.Timer(0.2, inbox.put, (7,)).start()
    assert list(inbox.wait(10)) == [7]


def test_nothing_that_is_put_while_others_are_taken_is_left_lying() -> None:
    inbox: EventQueue[int] = EventQueue(lambda: 0.0)
    taken: list[int] = []

    def put(first: int) -> None:
        for number in range(first, first + 5000):
            inbox.put(number)

    putters = [threading.Thread(target=put, args=(first,)) for first in (0, 5000)]
    for putter in putters:
        putter.start()
    # A lost ring would have the last wait last for an hour; the test runner ends it then.
    while len(taken) < 10_000:
        got = list(inbox.wait(20))
        assert got, "there is something, and nobody rang"
        taken += got
    assert sorted(taken) == list(range(10_000))


def test_a_signal_handler_may_put_while_its_own_thread_waits() -> None:
    inbox: EventQueue[str] = EventQueue(lambda: 0.0)
    before = signal.signal(signal.SIGUSR1, lambda *_: inbox.put("signal"))
    try:
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        assert list(inbox.wait(10)) == ["signal"]
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_the_service_manager_hears_of_readiness_reloads_and_life(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(path)
        manager = ServiceManager({"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "20000000"})
        manager.ready("3 Services")
        manager.alive()
        manager.reloading()
        manager.stopping()
        said = [listening.recv(1000).decode() for _ in range(4)]
    assert said[0] == "READY=1\nSTATUS=3 Services"
    assert said[1] == "WATCHDOG=1"
    assert said[2].startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert said[3] == "STOPPING=1"
    assert manager.watchdog == 10.0


def test_without_a_service_manager_nothing_happens() -> None:
    manager = ServiceManager({})
    manager.ready("x")
    assert manager.watchdog is None
    assert ServiceManager({"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}).watchdog is None
    ServiceManager({"NOTIFY_SOCKET": "/nowhere/at/all"}).alive()


def test_another_proxy_is_looked_for_every_minute() -> None:
    now, running = [1000.0], [""]
    looked: list[float] = []
    said: list[str] = []

    def find() -> str:
        looked.append(now[0])
        return running[0]

    neighbour = OtherProxyWatch(find, say=said.append, clock=lambda: now[0])
    for _ in range(13):
        neighbour.look()
        now[0] += 10
        running[0] = "kube-proxy (pid 7)"
    assert looked == [1000, 1060, 1120]
    assert said == ["kube-proxy (pid 7)"] * 2
    assert neighbour.found == "kube-proxy (pid 7)"


def test_another_proxy_is_looked_for_a_minute_after_somebody_has_or_as_soon_as_asked() -> None:
    now = [1000.0]
    looked: list[float] = []

    def find() -> str:
        looked.append(now[0])
        return "kube-proxy (pid 7)"

    neighbour = OtherProxyWatch(
        find, say=lambda _: None, clock=lambda: now[0], found="kube-proxy (pid 5)"
    )
    assert neighbour.found == "kube-proxy (pid 5)"
    now[0] = 1059.0
    neighbour.look()
    assert looked == []

    neighbour.soon()
    neighbour.look()
    assert looked == [1059]
    assert neighbour.found == "kube-proxy (pid 7)"
    now[0] = 1119.0
    neighbour.look()
    assert looked == [1059, 1119]


@pytest.mark.usefixtures("collector")
def test_the_collector_rests_until_the_first_sync() -> None:
    with CollectorRest(lambda: 0.0) as rest:
        assert not gc.isenabled()

        frozen = gc.get_freeze_count()
        rest.synced()
        assert gc.isenabled()
        assert gc.get_freeze_count() > frozen


@pytest.mark.usefixtures("collector")
def test_the_collector_runs_again_after_a_minute_where_no_sync_comes() -> None:
    """An agent that cannot reach its API server must not keep garbage for days."""
    now = [1000.0]
    with CollectorRest(lambda: now[0]) as rest:
        now[0] = 1059.0
        rest.look()
        assert not gc.isenabled()

        now[0] = 1060.0
        rest.look()
        assert gc.isenabled()


@pytest.mark.usefixtures("collector")
def test_the_collector_runs_again_where_the_agent_ends_before_its_first_sync() -> None:
    with CollectorRest(lambda: 0.0):
        assert not gc.isenabled()
    assert gc.isenabled()


@pytest.fixture
def collector() -> Iterator[None]:
    """The collector as it was, whatever a test leaves."""
    yield
    gc.unfreeze()
    gc.enable()
