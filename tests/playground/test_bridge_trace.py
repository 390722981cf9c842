"""What a trace says on the page: plain words first, the rule that decides, the rest behind."""

from __future__ import annotations

from typing import Any

from nptables.playground.examples import examples
from tests.support.playground import asked
from tests.support.scenarios import FIXTURES

STATES = {example["id"]: example["state"] for example in examples()}


def traced(name: str) -> dict[str, Any]:
    """The answer to the packet of an example."""
    found: dict[str, Any] = asked("trace", {**STATES[name], "view": "trace"})["result"]
    return found["answers"][0]


def test_the_reason_comes_first_in_plain_words_and_then_what_the_sender_notices() -> None:
    answer = traced("no-pod-here")

    assert answer["verdict"] == "does not arrive"
    assert answer["sentence"] == (
        "default/shop has externalTrafficPolicy Local and none of its 2 ready endpoints is on "
        "worker-2 (they are on worker-1), so worker-2 drops the packet: the sender gets no answer."
    )
    assert "only to Pods that run on the node" in answer["meaning"]


def test_somebody_who_is_refused_is_told_so() -> None:
    answer = traced("none-ready")

    assert answer["sentence"].endswith(
        "so worker-1 refuses the packet: the sender gets an error at once."
    )


def test_no_word_of_iptables_stands_before_a_reason() -> None:
    """The command line writes `DROP: ` there, which its own answer keeps."""
    for name, state in STATES.items():
        reply = asked("trace", {**state, "view": "trace"})
        for answer in reply["result"]["answers"] if reply["ok"] else ():
            said = [answer["sentence"], *answer["reasons"]]
            assert [text for text in said if text.startswith(("DROP", "REJECT", "ONE-"))] == [], (
                name
            )
    assert traced("no-pod-here")["answer"].startswith("does not arrive: DROP: ")


def test_the_rule_that_decides_is_named_and_marked_on_the_way() -> None:
    """Of a node without a Pod it is the rule in filter that kube-proxy comments so."""
    (case,) = traced("no-pod-here")["cases"]
    decided = case["decided"]

    assert (decided["node"], decided["table"], decided["chain"]) == (
        "worker-2",
        "filter",
        "KUBE-EXTERNAL-SERVICES",
    )
    assert "has no local endpoints" in decided["line"]
    assert [decided["line"]] == [line["text"].strip() for line in case["way"] if line["decides"]]


def test_where_each_endpoint_has_a_rule_none_decides_alone_and_all_are_marked() -> None:
    """Two Pods: the rule of each that translates to it."""
    (case,) = traced("two-pods")["cases"]
    marked = [line["text"] for line in case["way"] if line["decides"]]

    assert case["decided"] is None
    assert len(marked) == len(case["rows"]) == 2
    assert all("--to-destination" in text for text in marked)


def test_of_several_dumps_alone_each_is_a_node_that_can_be_chosen() -> None:
    """Nothing but the name of the file says which node a dump is of."""
    dump = (FIXTURES / "cases" / "docker-forward-drop" / "dump.txt").read_text()
    held = [{"name": f"{node}.txt", "text": dump} for node in ("worker-1", "worker-2")]
    state = {"files": [], "evidence": held, "to": "nodeport:30080"}

    assert asked("choices", state)["result"]["nodes"] == ["worker-1", "worker-2"]
    for node in ("", "worker-2"):
        answers = asked("trace", {**state, "node": node})["result"]["answers"]
        assert [node or "worker-1"] == [answer["nodes"] for answer in answers]


def test_reach_says_why_without_the_word_before_it() -> None:
    rows = asked("reach", STATES["no-pod-here"])["result"]["rows"]
    why = [cell["why"] for cell in rows[0]["cells"] if not cell["good"]]

    assert [text.startswith("default/shop has externalTrafficPolicy") for text in why] == [True]
