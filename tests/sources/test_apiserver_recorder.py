"""Events: how few they are, what they look like, and what becomes of those that fail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from nptables.errors import ApiServerError
from nptables.sources.apiserver import Announcement, Connection, Recorder, Regarding
from tests.support.apiserver import ApiServer

if TYPE_CHECKING:
    from pathlib import Path

STARTING = Announcement(
    Regarding("Node", "node1", uid="node1"), "Normal", "Starting", "StartKubeProxy"
)


def warning(number: int, namespace: str = "shop") -> Announcement:
    return Announcement(Regarding("Service", f"s{number}", namespace), "Warning", "R", "A", "note")


class Rig:
    """A recorder with a clock that we turn; `answers` are the next answers, None for success."""

    def __init__(self, answers: list[Exception | None] | None = None) -> None:
        self.now = 1000.0
        self.answers = answers or []
        self.posted: list[tuple[str, dict[str, Any]]] = []
        self.pauses: list[float] = []
        self.lost: list[str] = []
        self.renewed = 0
        self.recorder = Recorder(
            self,
            node="node1",
            clock=lambda: self.now,
            wall=lambda: 1_000_000_000.5,
            wait=lambda seconds: self.pauses.append(seconds) is not None,
            random=lambda: 0.0,
            failed=self.lost.append,
        )

    def post(self, path: str, document: dict[str, Any]) -> None:
        self.posted.append((path, document))
        answer = self.answers.pop(0) if self.answers else None
        if answer is not None:
            raise answer

    def renew(self) -> None:
        self.renewed += 1

    def send(self) -> None:
        self.recorder.stop()
        self.recorder.run()

    def names(self) -> list[str]:
        return [document["regarding"]["name"] for _, document in self.posted]


def test_an_event_about_a_node_is_in_the_default_namespace_and_has_its_name_as_uid() -> None:
    rig = Rig()
    rig.recorder.record(STARTING)
    rig.send()
    ((path, document),) = rig.posted
    assert path == "/apis/events.k8s.io/v1/namespaces/default/events"
    # 1,000,000,000.5 s since the epoch are 2001-09-09 01:46:40.5, and 0x38d7ea4ce2120 microseconds.
    assert document == {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": "node1.38d7ea4ce2120", "namespace": "default"},
        "eventTime": "2001-09-09T01:46:40.500000Z",
        "reportingController": "nptables",
        "reportingInstance": "nptables-node1",
        "type": "Normal",
        "reason": "Starting",
        "action": "StartKubeProxy",
        "note": "",
        "regarding": {"apiVersion": "v1", "kind": "Node", "name": "node1", "uid": "node1"},
    }


def test_the_same_event_is_written_once_an_hour() -> None:
    rig = Rig()
    for at in (0, 1, 3599, 3600):
        rig.now = 1000.0 + at
        rig.recorder.record(warning(1))
    rig.send()
    assert len(rig.posted) == 2
    assert rig.lost == []


def test_no_more_than_ten_are_written_at_once_and_then_one_a_minute() -> None:
    rig = Rig()
    for number in range(12):
        rig.recorder.record(warning(number))
    rig.now += 60
    rig.recorder.record(warning(20))
    rig.recorder.record(warning(21))
    rig.send()
    assert rig.names() == [f"s{number}" for number in (*range(10), 20)]
    assert len(rig.lost) == 3


def test_an_api_server_that_takes_nothing_keeps_nobody_waiting_and_no_memory() -> None:
    rig = Rig()
    for number in range(100):
        rig.now += 60
        rig.recorder.record(warning(number))
    # Twenty wait, and the first of them makes way for the end.
    rig.send()
    assert len(rig.posted) == 19
    assert len(rig.lost) == 80


@pytest.mark.parametrize("status", [0, 401, 429, 500, 503])
def test_what_fails_for_the_moment_is_tried_again_with_growing_pauses(status: int) -> None:
    error = ApiServerError("not now", status=status)
    rig = Rig([error, error, error])
    rig.recorder.record(STARTING)
    rig.send()
    assert len(rig.posted) == 4
    assert rig.pauses == [0.8, 1.6, 3.2]
    assert rig.lost == []
    assert rig.renewed == (3 if status == 401 else 0)


def test_it_gives_up_in_the_end() -> None:
    rig = Rig([ApiServerError("down", status=0)] * 100)
    rig.recorder.record(STARTING)
    rig.send()
    assert len(rig.posted) == 8
    assert rig.lost == ["the API server: down"]


@pytest.mark.parametrize("status", [400, 403, 404, 422])
def test_what_is_refused_is_not_tried_again(status: int) -> None:
    rig = Rig([ApiServerError("forbidden", status=status)])
    rig.recorder.record(STARTING)
    rig.recorder.record(warning(1))
    rig.send()
    assert rig.names() == ["node1", "s1"]
    assert rig.lost == ["the API server: forbidden"]


def test_an_event_that_is_there_already_came_through() -> None:
    rig = Rig([ApiServerError("exists", status=409)])
    rig.recorder.record(STARTING)
    rig.send()
    assert rig.lost == []


def test_no_error_of_any_kind_ends_the_thread() -> None:
    rig = Rig([RuntimeError("a library's\nown mistake")])
    rig.recorder.record(STARTING)
    rig.recorder.record(warning(1))
    rig.send()
    assert rig.names() == ["node1", "s1"]
    assert rig.lost == ["RuntimeError: a library's\\nown mistake"]


def test_a_hostile_namespace_reaches_no_path() -> None:
    rig = Rig()
    rig.recorder.record(warning(1, namespace="../../api/v1/namespaces/x"))
    rig.send()
    assert rig.posted == []
    assert rig.lost == ["an object has no usable namespace"]


def test_a_note_is_one_line_and_no_longer_than_the_api_takes() -> None:
    rig = Rig()
    note = "a\n" + "ü" * 2000
    rig.recorder.record(Announcement(Regarding("Service", "s", "d"), "Warning", "R", "A", note))
    rig.send()
    ((_, document),) = rig.posted
    assert "\n" not in document["note"]
    # "a", backslash and "n" are three bytes, and 510 letters of two bytes fit into 1024.
    assert document["note"] == "a\\n" + "ü" * 510


def test_a_connection_creates_and_says_what_is_refused(tmp_path: Path) -> None:
    with ApiServer() as server:
        connection = Connection(kubeconfig=str(server.kubeconfig(tmp_path / "config")))
        with pytest.raises(ApiServerError, match="could not find") as refused:
            connection.post("/apis/events.k8s.io/v1/events", {})
        assert refused.value.status == 404
        connection.renew()
