"""The list-and-watch loop against answers written out by hand, with a clock that we turn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nptables.errors import ApiServerError
from nptables.sources.apiserver import (
    ENDPOINT_SLICES,
    SERVICES,
    Changed,
    Listed,
    Reflector,
    Resource,
    Trouble,
    Watching,
    list_cluster,
    node_named,
)
from nptables.sources.apiserver.backoff import Backoff
from nptables.sources.apiserver.reflector import whole_lines
from nptables.sources.apiserver.refusals import error_of, parse_retry_after

RECORDINGS = {
    entry["name"]: entry
    for entry in json.loads(Path("fixtures/apiserver/recordings.json").read_text())
}


class Answer:
    """An answer whose pieces are given; an ApiServerError among them is raised in its place."""

    def __init__(self, *pieces: bytes | ApiServerError, lives: float = 0.0) -> None:
        self.pieces = pieces
        self.lives = lives
        self.clock: Clock | None = None

    def read(self) -> bytes:
        return b"".join(self.chunks())

    def chunks(self) -> Any:
        for piece in self.pieces:
            if isinstance(piece, ApiServerError):
                raise piece
            yield piece
        if self.clock is not None:
            self.clock.now += self.lives

    def close(self) -> None:
        pass


class Clock:
    """Time that passes only where somebody waits, and an end after the scripted answers."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.waited: list[float] = []
        self.over = False

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> bool:
        self.waited.append(seconds)
        self.now += seconds
        return self.over


class Script:
    """A transport that gives scripted answers in order and notes what was asked, and when."""

    def __init__(self, clock: Clock, *answers: Answer | ApiServerError) -> None:
        self.clock = clock
        self.answers = list(answers)
        self.asked: list[tuple[float, dict[str, str]]] = []
        self.renewed = 0

    def get(self, path: str, query: Any, *, read_timeout: float = 60.0) -> Answer:  # noqa: ARG002
        self.asked.append((self.clock.now, dict(query)))
        answer = self.answers.pop(0)
        self.clock.over = not self.answers
        if isinstance(answer, ApiServerError):
            raise answer
        answer.clock = self.clock
        return answer

    def renew(self) -> None:
        self.renewed += 1


def run(
    *answers: Answer | ApiServerError, resource: Resource = SERVICES, random: float = 0.0
) -> tuple[list[Any], Script, Clock]:
    """The events that scripted answers lead to."""
    clock = Clock()
    script = Script(clock, *answers)
    events: list[Any] = []
    Reflector(
        resource, script, events.append, clock=clock, wait=clock.wait, random=lambda: random
    ).run()
    assert script.answers == []
    return events, script, clock


def body(name: str) -> Answer:
    return Answer(RECORDINGS[name]["body"].encode())


def stream(name: str, lives: float = 0.0) -> Answer:
    lines = [entry["line"].encode() + b"\n" for entry in RECORDINGS[name]["stream"]]
    return Answer(*lines, lives=lives)


def event(kind: str, name: str, version: int, **metadata: Any) -> bytes:
    item = {
        "kind": "Service",
        "apiVersion": "v1",
        "metadata": {
            "name": name,
            "namespace": "default",
            "resourceVersion": str(version),
            **metadata,
        },
        "spec": {"clusterIP": "10.96.0.1", "ports": [{"port": 80}]},
    }
    return json.dumps({"type": kind, "object": item}).encode() + b"\n"


def names(found: Any) -> list[str]:
    return sorted(name for _, name in found)


def test_recorded_pages_become_one_list() -> None:
    events, script, _ = run(
        body("list-services-page-1"), body("list-services-page-2"), stream("watch-services-future")
    )
    assert isinstance(events[0], Listed)
    assert names(events[0].cluster.services) == ["kubernetes", "web-0", "web-1", "web-2"]
    token = json.loads(RECORDINGS["list-services-page-1"]["body"])["metadata"]["continue"]
    assert [query.get("continue") for _, query in script.asked[:2]] == [None, token]


def test_a_recorded_watch_reports_every_change_in_order() -> None:
    events, _, _ = run(body("list-services"), stream("watch-services"))
    changes = [(e.name, e.value is not None) for e in events if isinstance(e, Changed)]
    assert changes == [("late", True), ("late", True), ("late", False)]


def test_a_watch_resumes_from_the_bookmark() -> None:
    _, script, _ = run(body("list-services"), stream("watch-services"), Answer())
    # The recorded list is of version 646, the last bookmark of the recorded watch of 657.
    versions = [q["resourceVersion"] for _, q in script.asked if "watch" in q]
    assert versions == ["646", "657"]


def test_recorded_slices_come_through_a_watch() -> None:
    events, _, _ = run(
        body("list-endpointslices"), stream("watch-endpointslices"), resource=ENDPOINT_SLICES
    )
    first = next(e for e in events if isinstance(e, Changed))
    assert first.name == "web-0-abc"
    assert [(e.address, e.terminating) for e in first.value.endpoints] == [
        ("10.244.0.5", False),
        ("10.244.1.6", True),
    ]


def test_the_selectors_of_kube_proxy_are_sent_with_every_request() -> None:
    _, script, _ = run(body("list-services"), Answer())
    for _, query in script.asked:
        assert query["labelSelector"] == "!service.kubernetes.io/service-proxy-name"
        assert query["fieldSelector"] == "spec.clusterIP!=None"
    assert node_named("node1").selectors == {"fieldSelector": "metadata.name=node1"}


@pytest.mark.parametrize("name", ["watch-services-expired", "watch-endpointslices-expired"])
def test_an_expired_version_leads_to_a_new_list(name: str) -> None:
    events, script, _ = run(body("list-services"), stream(name), body("list-services"), Answer())
    assert ["watch" in query for _, query in script.asked] == [False, True, False, True]
    assert sum(isinstance(e, Listed) for e in events) == 2


def test_an_expired_continue_token_starts_the_list_again_and_reports_no_half() -> None:
    gone = ApiServerError("The provided continue parameter is too old", status=410)
    events, script, _ = run(body("list-services-page-1"), gone, body("list-services"), Answer())
    assert [names(e.cluster.services) for e in events if isinstance(e, Listed)] == [
        ["kubernetes", "web-0", "web-1", "web-2"]
    ]
    assert "continue" not in script.asked[2][1]


def test_half_a_line_counts_for_nothing_and_the_watch_resumes_before_it() -> None:
    whole, half = event("ADDED", "a", 650), event("ADDED", "b", 651)[:60]
    events, script, _ = run(body("list-services"), Answer(whole, half), Answer())
    assert [e.name for e in events if isinstance(e, Changed)] == ["a"]
    assert script.asked[-1][1]["resourceVersion"] == "650"


def test_a_connection_cut_within_an_event_resumes_before_it() -> None:
    cut = ApiServerError("the answer broke off")
    events, script, _ = run(
        body("list-services"), Answer(event("ADDED", "a", 650)[:50], cut), Answer()
    )
    assert not [e for e in events if isinstance(e, Changed)]
    assert script.asked[-1][1]["resourceVersion"] == "646"


def test_a_whole_line_that_is_no_event_leads_to_a_new_list() -> None:
    _, script, _ = run(
        body("list-services"), Answer(b'{"type":{{{\n'), body("list-services"), Answer()
    )
    assert ["watch" in query for _, query in script.asked] == [False, True, False, True]


def test_an_object_that_cannot_be_used_is_reported_with_its_problems() -> None:
    bad = event("ADDED", "a", 650).replace(b'"10.96.0.1"', b'"10.96.0.300"')
    events, _, _ = run(body("list-services"), Answer(bad))
    (change,) = (e for e in events if isinstance(e, Changed))
    assert change.problems[0].subject == "Service default/a"
    assert '"10.96.0.300" is not an IP address' in str(change.problems[0])


def test_an_object_without_a_usable_name_is_no_object() -> None:
    bad = event("ADDED", "A\\n-j ACCEPT", 650)
    events, _, _ = run(body("list-services"), Answer(bad))
    (change,) = (e for e in events if isinstance(e, Changed))
    assert change.value is None
    assert "is not a valid name" in str(change.problems[0])


def test_the_trigger_time_of_a_slice_is_read() -> None:
    annotations = {"endpoints.kubernetes.io/last-change-trigger-time": "2026-11-22T22:40:13Z"}
    events, _, _ = run(
        body("list-services"), Answer(event("ADDED", "a", 650, annotations=annotations))
    )
    (change,) = (e for e in events if isinstance(e, Changed))
    # 2026-11-22 is day 20779 since the epoch (56 years of 365 days, 14 leap days, 325 days).
    assert change.triggered == 20779 * 86400 + 22 * 3600 + 40 * 60 + 13


@pytest.mark.parametrize("status", [0, 403, 404, 429, 500, 503, 504])
def test_pauses_double_while_nothing_but_failures_come(status: int) -> None:
    failure = ApiServerError("no", status=status)
    _, _, clock = run(*[failure] * 8)
    # client-go's back-off: 0.8 s, doubling, at most 30 s.
    assert clock.waited == pytest.approx([0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30, 30])


def test_a_pause_is_stretched_at_random_by_at_most_itself() -> None:
    _, _, clock = run(*[ApiServerError("no")] * 3, random=0.5)
    assert clock.waited == pytest.approx([1.2, 2.4, 4.8])


def test_a_server_that_asks_for_a_pause_gets_it() -> None:
    slow = ApiServerError("later", status=429, retry_after=20)
    events, _, clock = run(slow, body("list-services"), Answer(lives=60))
    assert clock.waited[0] == 20
    assert [e.retry_in for e in events if isinstance(e, Trouble)] == [20]


def test_a_refused_credential_is_read_again() -> None:
    _, script, _ = run(
        ApiServerError("Unauthorized", status=401), body("list-services"), Answer(lives=60)
    )
    assert script.renewed == 1


def test_a_watch_that_ends_when_its_time_is_over_is_renewed_at_once() -> None:
    _, _, clock = run(body("list-services"), Answer(lives=400), Answer(lives=400))
    assert clock.waited == [0, 0]


def test_watches_that_end_at_once_are_renewed_ever_more_slowly() -> None:
    _, _, clock = run(body("list-services"), *[Answer(event("ADDED", "a", 650))] * 4)
    assert clock.waited == pytest.approx([0.8, 1.6, 3.2, 6.4])


def test_a_watch_that_lived_forgives_the_failures_before_it() -> None:
    failure = ApiServerError("no")
    _, _, clock = run(failure, failure, body("list-services"), Answer(lives=60), failure)
    assert clock.waited == pytest.approx([0.8, 1.6, 0, 0.8])


def test_an_error_event_other_than_410_keeps_the_version() -> None:
    status = {"kind": "Status", "metadata": {}, "message": "etcd", "code": 500}
    line = json.dumps({"type": "ERROR", "object": status}).encode() + b"\n"
    _, script, _ = run(body("list-services"), Answer(line), Answer())
    assert [q.get("resourceVersion") for _, q in script.asked] == [None, "646", "646"]


def test_the_reader_is_told_when_a_watch_stands_and_when_it_does_not() -> None:
    events, _, _ = run(body("list-services"), ApiServerError("refused", status=500), Answer())
    assert [type(e) for e in events] == [Listed, Trouble, Watching]


@given(st.lists(st.binary(max_size=40).map(lambda b: b.replace(b"\n", b"")), max_size=8), st.data())
def test_lines_come_out_whole_however_the_stream_is_cut(lines: list[bytes], data: Any) -> None:
    text = b"".join(line + b"\n" for line in lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert list(whole_lines(iter(pieces))) == [line.strip() for line in lines if line.strip()]


def test_a_line_without_end_does_not_fill_the_memory() -> None:
    endless = iter(lambda: b"x" * 1000, b"")
    with pytest.raises(ApiServerError, match="longer than 4096 bytes"):
        list(whole_lines(endless, longest=4096))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("3", 3),
        (" 12 ", 12),
        ("", 0),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 0),
        ("-4", 0),
        ("9" * 40, 3600),
    ],
)
def test_retry_after_is_a_number_of_seconds(text: str, seconds: float) -> None:
    assert parse_retry_after(text) == seconds


def test_a_list_of_everything_joins_the_collections() -> None:
    clock = Clock()
    script = Script(
        clock, body("list-services"), body("list-endpointslices"), body("list-nodes-final")
    )
    cluster = list_cluster(script)
    assert names(cluster.services) == ["kubernetes", "web-0", "web-1", "web-2"]
    assert names(cluster.slices) == ["kubernetes", "web-0-abc"]
    assert list(cluster.nodes) == ["node1"]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"items": 3}', "null"])
def test_a_list_that_is_none_is_an_error(text: str) -> None:
    with pytest.raises(ApiServerError):
        list_cluster(Script(Clock(), Answer(text.encode())), [SERVICES])


def test_the_backoff_begins_again_after_a_reset() -> None:
    backoff = Backoff(lambda: 0.0)
    assert [backoff.delay(), backoff.delay()] == pytest.approx([0.8, 1.6])
    backoff.reset()
    assert backoff.delay() == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("wish", "seconds"),
    [
        ("7", 7),
        ("0.5", 0.5),
        # Ten days, infinity, and an integer that no float holds: an hour, as for the header.
        ("864000", 3600),
        ("1e999", 3600),
        (f"1{'0' * 400}", 3600),
        ("-1e999", 0),
        ("NaN", 0),
        ("-3", 0),
        ('"20"', 0),
        ("[1]", 0),
    ],
)
def test_a_wish_to_wait_is_a_sensible_number_wherever_it_stands(wish: str, seconds: float) -> None:
    status = json.loads(f'{{"message": "later", "details": {{"retryAfterSeconds": {wish}}}}}')
    assert error_of(status, "").retry_after == seconds
    line = json.dumps({"type": "ERROR", "object": status}).encode() + b"\n"
    _, _, clock = run(body("list-services"), Answer(line), Answer())
    # The first pause of a back-off is 0.8 s.
    assert clock.waited[0] == max(0.8, seconds)


@pytest.mark.parametrize(
    "text",
    [
        '{"items": [], "metadata": [1]}',
        '{"items": [], "metadata": "x"}',
        '{"items": {"a": 1}}',
        '{"items": [7, null, [], {"metadata": []}, {"metadata": {"name": {}}}], "metadata": 1e999}',
        "[]",
        "[" * 100_000,
        '"\\ud800"',
    ],
)
def test_a_malformed_list_is_a_failure_that_is_tried_again(text: str) -> None:
    events, _, clock = run(Answer(text.encode()), body("list-services"), Answer(lives=60))
    assert [type(e) for e in events] == [Trouble, Listed, Watching]
    assert clock.waited[0] == 0.8


def test_a_list_whose_pages_never_end_is_a_failure() -> None:
    page = b'{"items": [], "metadata": {"continue": "again"}}'
    events, script, _ = run(Answer(page), Answer(page), body("list-services"), Answer(lives=60))
    assert [type(e) for e in events] == [Trouble, Listed, Watching]
    assert [q.get("continue") for _, q in script.asked] == [None, "again", None, None]


class Broken(Answer):
    def chunks(self) -> Any:
        raise ZeroDivisionError("two\nlines")


def test_what_nobody_thought_of_is_told_by_its_type_and_tried_again_with_a_new_list() -> None:
    events, script, clock = run(
        body("list-services"), Broken(), body("list-services"), Answer(lives=60)
    )
    assert [type(e) for e in events] == [Listed, Watching, Trouble, Listed, Watching]
    assert events[2].reason == "the API server: ZeroDivisionError: two\\nlines"
    assert [q.get("watch") for _, q in script.asked] == [None, "1", None, "1"]
    assert clock.waited[0] == 0.8


KEYS = [
    "items",
    "metadata",
    "type",
    "object",
    "spec",
    "ports",
    "name",
    "namespace",
    "code",
    "details",
    "retryAfterSeconds",
    "continue",
    "resourceVersion",
    "endpoints",
    "status",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5)
    ),
    max_leaves=12,
)


@given(
    JSON,
    st.sampled_from(["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"]) | JSON,
    JSON,
    st.sampled_from([SERVICES, ENDPOINT_SLICES, node_named("n")]),
)
def test_no_answer_ends_the_loop(listed: Any, kind: Any, item: Any, resource: Resource) -> None:
    line = json.dumps({"type": kind, "object": item}).encode() + b"\n"
    good = b'{"items": [], "metadata": {"resourceVersion": "1"}}'
    # A list that may be a good one, so that this is watched next; then a good list at any rate.
    answers = [Answer(json.dumps(listed).encode()), Answer(line), Answer(good), Answer(lives=60)]
    clock = Clock()
    script = Script(clock, *answers)
    events: list[Any] = []
    Reflector(
        resource, script, events.append, clock=clock, wait=clock.wait, random=lambda: 0.0
    ).run()
    assert all(pause <= 3600 for pause in clock.waited)
    assert script.answers == []
