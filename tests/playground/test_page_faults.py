"""Faults of ours: what to report is said, without the input, and the page goes on.

The server builds them into the files that it serves: the library raises, the worker dies.
"""

from __future__ import annotations

import gzip
import io
import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import nptables
from nptables.playground import asks
from tests.support.sites import served
from tests.support.tabs import fragment, new_tab, state

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

    from tests.support.tabs import Tab

INPUT = """apiVersion: v1
kind: Service
metadata: {name: payroll, annotations: {owner: kim@example.com}}
spec: {clusterIP: 10.96.0.7, ports: [{port: 4711}]}
"""
# The words of a line that is typed say which question fails; the error quotes the input.
LIBRARY = """

def _failing(ask, answer):
    def failing(state, asked, say):
        text = "".join(file.data for file in state.files)
        if f"# no {ask}" in text:
            raise KeyError(text)
        return answer(state, asked, say)

    return failing


ANSWERS = {ask: _failing(ask, answer) for ask, answer in ANSWERS.items()}
"""
# Or how the worker dies: as where it is ended from outside, by an error of its own that somebody
# catches or nobody, and as browsers say that there is no memory. The words look like a stack.
WORKER = b"""
{
  let asked = "";
  const words = () => asked + "\\n    at payroll (4711:1:1)\\nkim@example.com:4711:1\\n" + asked;
  addEventListener("message", event => {
    asked = event.data.request ?? "";
    if (asked.includes("# ends")) {
      event.stopImmediatePropagation();
      close();
    }
    if (asked.includes("# fails unheard")) throw new Error(words());
  });
  const post = postMessage;
  self.postMessage = said => {
    if (said.kind === "reply") {
      if (asked.includes("# throws")) throw new Error(words());
      if (asked.includes("# has no memory")) throw new RangeError("Array buffer allocation failed");
    }
    post(said);
    // What is asked last, beside the findings.
    if (said.kind === "reply" && /"ask":"choices".*# is gone later/.test(asked)) close();
  };
}
"""


def failing_library(packed: bytes) -> bytes:
    """The archive of the library with a module that is another."""
    name = "nptables/playground/asks"
    found = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(gzip.decompress(packed))) as given,
        zipfile.ZipFile(found, "w") as changed,
    ):
        for each in given.infolist():
            if each.filename != f"{name}.pyc":
                changed.writestr(each, given.read(each))
        changed.writestr(f"{name}.py", Path(asks.__file__).read_text() + LIBRARY)
    return gzip.compress(found.getvalue(), 1)


@pytest.fixture(scope="module")
def tab(browser: Browser, built: Path) -> Iterator[Tab]:
    """One tab for all of them: it must stay alive."""
    with (
        served(built) as site,
        site.failing(site.part("packages"), failing_library),
        site.failing(site.part("worker"), lambda script: WORKER + script),
        new_tab(browser, site) as shown,
    ):
        yield shown.open()


def break_by(tab: Tab, words: str, view: str = "findings") -> None:
    """Type what makes it break, below the input."""
    tab.follow(fragment(state(files=[{"name": "salaries.yaml", "text": INPUT}], view=view)))
    assert tab.kind == "current"
    tab.type(f"# {words}")
    tab.settled()


def goes_on(tab: Tab, words: str) -> None:
    """What was typed is there, and as soon as it is another text there is an answer."""
    assert f"{INPUT}# {words}" == tab.typed
    tab.editor.focus()
    tab.page.keyboard.press("Shift+Home")
    tab.page.keyboard.press("Backspace")
    tab.settled()
    assert tab.kind == "current"
    assert tab.typed == INPUT
    assert tab.page.evaluate("errors") == []


def has_nothing_of_the_input(said: str) -> None:
    """No name, no number, and no word that is longer than a few letters."""
    words = {"salaries", "4711", *re.findall(r"\w{5,}", INPUT)}
    assert [word for word in words if word in said] == []


def versions_in(report: str, tab: Tab) -> None:
    """What one asks for first."""
    assert f"nptables {nptables.__version__}" in report
    assert re.search(r"Pyodide \d+\.\d", report)
    assert tab.page.evaluate("navigator.userAgent") in report


@pytest.mark.firefox
def test_a_fault_of_the_library_shows_what_to_report_and_nothing_of_the_input(tab: Tab) -> None:
    break_by(tab, "no findings")

    assert tab.kind == "failed"
    assert "a mistake in nptables, not in what you typed" in tab.answers
    report = tab.page.locator("#report").inner_text()
    versions_in(report, tab)
    assert re.search(r"Python 3\.\d+\.\d+ \(emscripten\)\nKeyError\n", report)
    assert re.search(r"nptables/playground/asks\.py:\d+ in failing", report)
    has_nothing_of_the_input(tab.answers)
    goes_on(tab, "no findings")
    tab.is_silent()


def test_a_fault_in_what_is_asked_beside_the_view_is_said_in_a_sentence(tab: Tab) -> None:
    break_by(tab, "no choices", view="trace")

    assert tab.kind == "current"
    assert re.search(r"Please report: KeyError nptables/playground/asks\.py:\d+ in f", tab.notice)
    has_nothing_of_the_input(tab.notice)
    goes_on(tab, "no choices")
    tab.is_silent()


def test_a_fault_in_what_somebody_asks_for_is_said_in_a_sentence(tab: Tab) -> None:
    break_by(tab, "no command")
    tab.press("On your machine")

    assert re.search(r"Please report: KeyError nptables/playground/asks\.py:\d+ in f", tab.notice)
    goes_on(tab, "no command")
    tab.is_silent()


@pytest.mark.parametrize("how", ["ends", "throws", "fails unheard"])
def test_a_worker_that_dies_is_a_fault_and_shows_what_to_report(tab: Tab, how: str) -> None:
    break_by(tab, how)

    assert tab.kind == "failed"
    assert "The program has stopped, which is a fault of ours." in tab.answers
    versions_in(tab.page.locator("#report").inner_text(), tab)
    has_nothing_of_the_input(tab.answers)
    goes_on(tab, how)


def test_a_worker_without_memory_is_said_and_the_next_edit_is_answered(tab: Tab) -> None:
    break_by(tab, "has no memory")

    assert tab.kind == "failed"
    assert "The browser has not enough memory for this." in tab.answers
    goes_on(tab, "has no memory")


@pytest.mark.firefox
def test_a_worker_that_is_ended_while_nothing_is_asked_is_missed_by_nobody(tab: Tab) -> None:
    break_by(tab, "is gone later")
    # Its lock is gone, and nobody has taken it from it.
    tab.until("!(await navigator.locks.query()).held.length")
    assert tab.kind == "current"
    goes_on(tab, "is gone later")
    assert not tab.page.locator("#notice").is_visible()
