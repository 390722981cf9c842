"""The ways of somebody who does not know the page: why it does not answer, my own dump, a link."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.documentation import ROOT
from tests.support.scenarios import FIXTURES
from tests.support.sites import served
from tests.support.tabs import fragment, new_tab, state

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

    from tests.support.tabs import Tab

CASE = FIXTURES / "cases" / "docker-forward-drop"
ONE_POD = (ROOT / "docs" / "files" / "one-pod.yaml").read_text()


@pytest.fixture(scope="module")
def tab(browser: Browser, built: Path) -> Iterator[Tab]:
    with served(built) as site, new_tab(browser, site) as shown:
        yield shown.open()


def asked_for(tab: Tab, *signs: str) -> None:
    """Wait until there is an answer to a request with all of these in it."""
    there = "exchanged.some(e => e.reply && given.every(sign => e.request.includes(sign)))"
    tab.until(there, *signs)


def test_the_first_page_says_why_worker_2_does_not_answer(tab: Tab) -> None:
    """In this order: the question, the sentence, the rule; the way there waits for a click."""
    # It is there from the beginning, and to the same place nobody goes twice.
    tab.follow("#example=none-ready")
    tab.follow("#example=no-pod-here")
    said = tab.answers
    places = [
        said.index(part)
        for part in (
            "Why does worker-2 not answer?",
            "none of its 2 ready endpoints is on worker-2",
            "so worker-2 drops the packet: the sender gets no answer.",
            "This rule decides it",
            "has no local endpoints",
            "Every rule on the way",
        )
    ]

    assert places == sorted(places)
    assert "-j KUBE-NODEPORTS" not in said
    tab.page.get_by_text("Every rule on the way").click()
    assert "-j KUBE-NODEPORTS" in tab.answers
    assert "has no local endpoints" in tab.page.locator(".step.decides").inner_text()
    tab.is_silent()


def test_a_dump_that_is_pasted_where_one_begins_is_followed_after_one_click(tab: Tab) -> None:
    tab.follow(fragment(state(files=[{"name": "manifest.yaml", "text": "# mine"}])))
    tab.editor.focus()
    tab.page.keyboard.press("Control+a")
    tab.paste((CASE / "dump.txt").read_text())
    tab.page.get_by_role("button", name="Move it to Evidence").wait_for()
    assert "this is what a node has, and no manifest" in tab.answers
    tab.press("Move it to Evidence")
    asked_for(tab, '"ask":"trace"', '"files":[]', "KUBE-NODEPORTS")

    assert "no rule of filter FORWARD" in tab.answers
    assert "*nat" in tab.typed
    tab.page.go_back()
    tab.page.get_by_role("button", name="Move it to Evidence").wait_for()
    tab.is_silent()


def test_what_was_chosen_goes_with_the_input_that_it_belonged_to(tab: Tab) -> None:
    held = [{"name": "web.yaml", "text": ONE_POD}]
    tab.follow(fragment(state(files=held, node="node2", view="trace", to="nodeport:30080")))
    tab.editor.focus()
    tab.page.keyboard.press("Control+a")
    tab.page.keyboard.press("Delete")
    tab.page.get_by_text("Nothing to answer yet.").first.wait_for()
    tab.until("!document.querySelector('#top select')?.checkVisibility()")
    assert tab.page.locator("select:visible").count() == 0
    tab.paste(ONE_POD.replace("node1", "other1").replace("node2", "other2"))
    asked_for(tab, '"ask":"trace"', "other2", '"node":""', '"to":""')
    nodes = tab.page.locator("#top select").first
    # The choices come after the answer.
    nodes.wait_for()

    assert nodes.locator("option").all_inner_texts() == ["all nodes", "other1", "other2"]
    tab.is_silent()


def test_of_several_clusters_one_is_kept_and_back_leads_to_all(tab: Tab) -> None:
    files = [{"name": f"{folder}/web.yaml", "text": ONE_POD} for folder in ("dev", "prod")]
    tab.follow(fragment(state(files=files, view="rules")))
    assert "There are 2 sets" in tab.answers
    tab.press("Keep only prod")
    asked_for(tab, '"ask":"rules"', '"files":[{"name":"prod/web.yaml"')

    assert "KUBE-SERVICES" in tab.answers
    tab.page.go_back()
    tab.page.get_by_text("There are 2 sets").wait_for()
    tab.is_silent()


def test_the_rules_are_there_as_a_text_too(tab: Tab) -> None:
    held = [{"name": "web.yaml", "text": ONE_POD}]
    tab.follow(fragment(state(files=held, node="node1", view="rules")))
    tab.press("As text")
    text = tab.page.locator("#rules-save").inner_text()
    tab.page.keyboard.press("Escape")

    assert text.startswith("*nat\n:PREROUTING ACCEPT [0:0]\n")
    assert text.rstrip().endswith("COMMIT")
    tab.is_silent()


@pytest.mark.parametrize("view", ["reach", "trace"])
def test_on_a_phone_no_row_is_mostly_empty_and_nothing_is_out_of_sight(tab: Tab, view: str) -> None:
    """Two nodes, and Pods on both: a row of the table is a list of what it says."""
    text = (ROOT / "docs" / "files" / "two-pods.yaml").read_text()
    size = tab.page.viewport_size
    assert size is not None
    tab.page.set_viewport_size({"width": 360, "height": 740})
    tab.follow(fragment(state(files=[{"name": "web.yaml", "text": text}], view=view)))
    for cell in tab.page.locator("#answers td:visible").all():
        box = cell.bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= 360
        assert box["height"] < 120
        assert cell.get_attribute("data-heading")
    assert tab.page.locator("#answers td:visible").count() >= 3
    tab.page.set_viewport_size(size)
