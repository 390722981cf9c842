"""The page and the bridge mean the same: the types of one are the shapes of the other."""

from __future__ import annotations

import re
from typing import Any, get_args, get_type_hints

import pytest

from nptables.playground import protocol
from nptables.playground.examples import examples
from tests.support.documentation import ROOT
from tests.support.playground import asked

TYPES = (ROOT / "playground" / "src" / "protocol.ts").read_text()
SHAPES = ("HeldFile", "Before", "State", "Request", "Fix", "Mark", "Note", "End", "Choices",
          "Example", "Reply", "Refusal")  # fmt: skip
WORDS = ("Ask", "View", "FamilyName", "FaultKind", "NoteKind")
STATES = {example["id"]: example["state"] for example in examples()}


def words(name: str) -> set[str]:
    """The words that a type of the page allows."""
    found = re.search(rf"export type {name} =([^;]*);", TYPES)
    assert found is not None
    return set(re.findall(r'"([^"]+)"', found[1]))


def fields(name: str) -> dict[str, bool]:
    """The fields of a type of the page, and whether each must be there."""
    found = re.search(
        rf"export interface {name}(?:<\w+>)?(?: extends (\w+))? {{(.*?)\n}}", TYPES, re.DOTALL
    )
    assert found is not None
    inherited = fields(found[1]) if found[1] else {}
    own = re.findall(r"^  readonly (\w+)(\??):", found[2], re.MULTILINE)
    return inherited | {field: not optional for field, optional in own}


@pytest.mark.parametrize("name", WORDS)
def test_both_know_the_same_words(name: str) -> None:
    assert set(get_args(getattr(protocol, name))) == words(name)


@pytest.mark.parametrize("name", SHAPES)
def test_both_know_the_same_fields(name: str) -> None:
    assert set(get_type_hints(getattr(protocol, name))) == set(fields(name))


def test_both_are_of_one_version() -> None:
    assert f"VERSION = {protocol.VERSION};" in TYPES


def lacking(value: Any, name: str) -> set[str]:
    """The fields that the page reads and an answer has not."""
    return {field for field, needed in fields(name).items() if needed and field not in value}


@pytest.mark.parametrize(
    ("ask", "example", "places"),
    [
        ("findings", "check-says-so", {"Findings": (), "Finding": ("document", "findings", 0)}),
        (
            "rules",
            "rules-as-text",
            {"Rules": (), "Chain": ("chains", 0), "RuleLine": ("chains", 0, "lines", 0)},
        ),
        ("graph", "rules-as-graph", {"Graph": ()}),
        (
            "trace",
            "session-affinity",
            {
                "Trace": (),
                "TraceAnswer": ("answers", 0),
                "TraceCase": ("answers", 0, "cases", 0),
                "WayLine": ("answers", 0, "cases", 0, "way", 0),
            },
        ),
        (
            "reach",
            "every-node-answers",
            {"Reach": (), "ReachRow": ("rows", 0), "ReachCell": ("rows", 0, "cells", 0)},
        ),
        ("changes", "cluster-to-local", {"Changes": (), "ChangedLine": ("rules", 0)}),
        ("versions", "cluster-to-local", {"Versions": ()}),
        ("command", "two-pods", {"Command": ()}),
        ("choices", "two-pods", {"Choices": (), "End": ("senders", 0)}),
        ("read", "two-pods", {"Read": ()}),
    ],
)
def test_an_answer_has_what_the_page_reads(
    ask: str, example: str, places: dict[str, tuple[str | int, ...]]
) -> None:
    result = asked(ask, STATES[example])["result"]
    for name, place in places.items():
        found = result
        for step in place:
            found = found[step]
        assert lacking(found, name) == set()


def test_a_refusal_has_what_the_page_reads() -> None:
    reply = asked("findings", STATES["affinity-typo"])

    assert lacking(reply, "Refusal") == set()
    assert lacking(reply["problems"][0], "Problem") == set()
    assert lacking(reply["marks"][0], "Mark") == set()
    assert lacking(reply["marks"][0]["fix"], "Fix") == set()
