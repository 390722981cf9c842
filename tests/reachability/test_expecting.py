"""What a team writes down of its Services, and what is said where it does not hold."""

from __future__ import annotations

from typing import Any

import pytest

from nptables import InvalidInput, load, reach
from nptables.reachability import Expectation, contradictions

WEB = {"service": "default/web"}


@pytest.mark.parametrize("document", [[WEB], {"expect": [WEB]}, [{"service": "web"}]])
def test_a_list_of_expectations_may_stand_alone_or_under_a_key(document: object) -> None:
    (found,) = Expectation.listed(document)

    assert found == Expectation("default/web", ("answers",))


def test_every_key_is_read() -> None:
    item = {
        "service": "shop/web", "port": 80, "to": "nodePort", "nodes": ["edge-*", "a"],
        "verdict": ["answers", "dropped"], "source": "kept", "endpoints": 2, "local": 0,
    }  # fmt: skip

    (found,) = Expectation.listed([item])

    assert found == Expectation(
        "shop/web", ("answers", "dropped"), "80", "nodePort", ("edge-*", "a"), "kept", 2, 0
    )
    assert found.text == "answers or dropped, at least 2 endpoints, source kept"
    assert found.covers("edge-1")
    assert found.covers("a")
    assert not found.covers("b")


@pytest.mark.parametrize(
    ("document", "messages"),
    [
        (None, ["expects nothing"]),
        ([], ["expects nothing"]),
        ("default/web", ["expects nothing"]),
        ({"expect": []}, ["expects nothing"]),
        ({"service": "web"}, ["expects nothing"]),
        (["default/web"], ["names no service"]),
        ([{"service": 5}], ["names no service"]),
        ([{**WEB, "node": "a"}], ['"node" is not a key']),
        ([{**WEB, "source": "hidden"}], ['"hidden" is not one of kept, rewritten, either']),
        ([{**WEB, "endpoints": -1}], ["is not a number of endpoints"]),
        ([{**WEB, "local": True}], ["is not a number of endpoints"]),
        ([{**WEB, "local": "2"}], ["is not a number of endpoints"]),
        ([WEB, {"service": 5}, {**WEB, "x": 1, "local": "2"}],
         ["names no service", '"x" is not a key', "is not a number of endpoints"]),
    ],
)  # fmt: skip
def test_everything_wrong_is_said_at_once(document: object, messages: list[str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        Expectation.listed(document)

    assert messages == [problem.message for problem in caught.value.problems]


def test_a_verdict_that_there_is_not_is_said_with_those_that_there_are() -> None:
    with pytest.raises(InvalidInput) as caught:
        Expectation.listed([{**WEB, "verdict": "works"}])

    (problem,) = caught.value.problems
    assert problem.message.startswith('"works" is not one of answers, ')
    assert problem.path == (0, "verdict")


@pytest.mark.parametrize(
    ("item", "found"),
    [
        # The fixture has one endpoint of one Service, on node1, and the policy Cluster.
        ({"nodes": ["node1"], "local": 1, "endpoints": 1}, []),
        ({"nodes": ["node2"], "local": 0, "endpoints": 1}, []),
        ({"nodes": ["node2"], "local": 1}, ["node2"]),
        ({"local": 1}, ["node2"]),
        ({"endpoints": 2}, ["node1", "node2"]),
        ({"verdict": "dropped"}, ["node1", "node2"]),
        ({"verdict": ["dropped", "answers"]}, []),
        ({"nodes": ["node3"]}, ["node3"]),
        ({"nodes": ["node1", "node3", "edge-*"]}, ["edge-*", "node3"]),
        ({"port": "81"}, []),
    ],
)
def test_what_does_not_hold_is_told_by_node(item: dict[str, Any], found: list[str]) -> None:
    matrix = reach(load("fixtures/tutorial/two-nodes.yaml").cluster)
    name = f"{matrix.rows[0].name.namespace}/{matrix.rows[0].name.name}"

    told = list(contradictions(Expectation.listed([{"service": name, **item}]), matrix))

    assert sorted(node for each in told for node in each.nodes) == found
    nothing = [each.found for each in told if "nothing that was examined" in each.found]
    assert len(nothing) == ("port" in item)
    assert all(name in str(each) and each.to_json()["service"] == name for each in told)
