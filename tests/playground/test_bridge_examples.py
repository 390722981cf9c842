"""The examples: what their answers say is what the library says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nptables.playground.examples import GROUPS, examples
from nptables.playground.examples.example import Given, Shown, Statement
from tests.support.documentation import ROOT
from tests.support.playground import asked
from tests.support.scenarios import FIXTURES

GIVEN = {given.id: given for found in GROUPS.values() for given in found}
FILES = ROOT / "nptables" / "playground" / "examples" / "files"
STATEMENTS = [
    pytest.param(given, statement, id=f"{name}-{number}")
    for name, given in GIVEN.items()
    for number, statement in enumerate(given.answer)
]


def at(value: Any, place: str) -> Any:
    """What stands at a place of an answer."""
    step, _, rest = place.partition(".")
    if not step:
        return value
    if step == "*":
        return [at(item, rest) for item in value]
    return at(value[int(step)] if isinstance(value, list) else value[step], rest)


def said(given: Given, shown: Shown) -> Any:
    """What the library says where a statement points to."""
    state = {**given.example("")["state"], **shown.state}
    reply = asked(shown.ask, state)
    return at(reply["result"] if reply["ok"] else reply, shown.at)


@pytest.mark.parametrize(("given", "statement"), STATEMENTS)
def test_an_answer_is_true(given: Given, statement: Statement) -> None:
    """Each statement points to what the library says; the words beside it say the same."""
    found = said(given, statement.shown)

    if statement.shown.has:
        text = found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)
        assert statement.shown.has in text
    else:
        assert statement.shown.equals == found


def test_there_is_an_example_for_each_step_feature_and_way_to_fail() -> None:
    failures, tutorial, features = GROUPS.values()

    assert len(tutorial) >= 12
    assert {"affinity", "local", "terminating", "hints", "dual-stack", "source-ranges"} == {
        given.id for given in features
    }
    assert len(failures) == 6
    assert len(examples()) == len(GIVEN)


@pytest.mark.parametrize("name", GIVEN)
def test_an_example_opens_at_what_its_question_is_about(name: str) -> None:
    """The view that it opens has an answer, but for manifests that are wrong on purpose."""
    state = GIVEN[name].example("")["state"]
    reply = asked(state["view"], state)

    assert (name not in ("affinity-typo", "broken-indent")) == reply["ok"]
    assert GIVEN[name].question.endswith("?")


def test_the_tutorial_and_its_examples_have_the_same_files() -> None:
    """They are written twice, since the package has no documentation in it."""
    for path in (ROOT / "docs" / "files").glob("*.yaml"):
        if path.name != "relied-on.yaml":
            assert path.read_text() == (FILES / path.name).read_text()
    for path in (FIXTURES / "tutorial").glob("broken-*.yaml"):
        assert path.read_text() == (FILES / path.name).read_text()


def test_every_file_is_used() -> None:
    used = {
        name
        for given in GIVEN.values()
        for name in (given.manifests, given.config, given.facts, given.evidence, given.before)
        if name
    }

    assert used == {path.name for path in FILES.iterdir()}
