"""Through the page everything that people have gets the answer of the command line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from nptables.playground import answer
from tests.support.browsers import EVERYTHING
from tests.support.playground import Case, asked, cases, document_of, manifests, printed
from tests.support.sites import served
from tests.support.tabs import fragment, new_tab, state

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

    from tests.support.tabs import Tab

pytestmark = pytest.mark.firefox


@pytest.fixture(scope="module")
def tab(browser: Browser, built: Path) -> Iterator[Tab]:
    with served(built) as site, new_tab(browser, site) as shown:
        yield shown.open()


def shown_by(tab: Tab, view: str, given: dict[str, Any]) -> Any:
    """The document of the view, as the page got it for exactly this state."""
    whole = state(**{**given, "view": view})
    reply = tab.follow(fragment(whole))[view]
    assert whole == reply["request"]["state"]
    assert tab.kind == ("current" if reply["ok"] else "failed")
    return document_of(reply)


def test_every_example_answers_its_question_as_the_library_does(tab: Tab) -> None:
    # The first is there from the beginning: backwards each is another than the one before.
    for example in reversed(asked("examples", {})["result"]):
        given = example["state"]
        found = tab.follow(f"#example={example['id']}")[given["view"]]

        assert given == found["request"]["state"], example["id"]
        assert tab.kind == ("current" if found["ok"] else "failed"), example["id"]
        request = found.pop("request")
        assert json.loads(answer(json.dumps(request))) == found, example["id"]
        assert example["question"] in tab.answers
    tab.is_silent()


def chosen(browser: Browser, every: Iterator[Case]) -> Iterator[Case]:
    """All of them in chromium, and a tenth in Firefox where not all are asked for."""
    whole = EVERYTHING or browser.browser_type.name == "chromium"
    return (case for number, case in enumerate(every) if whole or number % 10 == 0)


def test_every_manifest_has_the_findings_that_the_command_prints(
    browser: Browser, tab: Tab, tmp_path: Path
) -> None:
    for case in chosen(browser, manifests()):
        expected = printed("check", *case.written(tmp_path), folder=tmp_path)

        assert expected == shown_by(tab, "findings", case.state()), case.name
    tab.is_silent()


def test_every_packet_of_a_case_fares_as_the_command_prints(
    browser: Browser, tab: Tab, tmp_path: Path
) -> None:
    for case in chosen(browser, cases()):
        there = asked("choices", case.state())
        found = there["result"] if there["ok"] else {"destinations": [], "node": ""}
        to = next((end["value"] for end in found["destinations"]), "10.96.0.10:53/UDP")
        ends = {"from": "outside", "to": to, "node": found["node"]}
        words = ["trace", *case.written(tmp_path), "--from", "outside", "--to", to]
        words += ["--node", found["node"]] if found["node"] else []

        expected = printed(*words, folder=tmp_path)
        assert expected == shown_by(tab, "trace", case.state(**ends)), case.name
    tab.is_silent()
