"""For everybody: by keyboard alone, on a phone, in both colour schemes, for a screen reader."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import pytest

from tests.support.accessibility import faults
from tests.support.scenarios import FIXTURES
from tests.support.sites import served
from tests.support.tabs import fragment, new_tab, state

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

    from tests.support.tabs import Tab

VIEWS = ("Findings", "Rules", "Graph", "Trace", "Reach", "Changes")
TUTORIAL = (FIXTURES / "tutorial" / "two-nodes.yaml").read_text()
TYPO = (FIXTURES / "tutorial" / "affinity-typo.yaml").read_text()


@pytest.fixture(scope="module")
def tab(browser: Browser, built: Path) -> Iterator[Tab]:
    with served(built) as site, new_tab(browser, site) as shown:
        yield shown.open()


@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_is_shut_out(tab: Tab, scheme: Literal["light", "dark"], width: int) -> None:
    page = tab.page
    # What fades in has less contrast meanwhile.
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.set_viewport_size({"width": width, "height": 800})
    for view in VIEWS:
        tab.follow(fragment(state(
            files=[{"name": "web.yaml", "text": TUTORIAL}], view=view.lower(), node="worker-2"
        )))  # fmt: skip
        assert faults(page) == []
        assert page.evaluate("document.scrollingElement.scrollWidth") <= width
    tab.follow(fragment(state(files=[{"name": "web.yaml", "text": TYPO}])))
    assert faults(page) == []
    for button in ("Examples", "Share"):
        tab.press(button)
        page.wait_for_selector("dialog[open]")
        assert faults(page) == []
        page.keyboard.press("Escape")


# What has the focus, also within a shadow root, in words.
_FOCUSED = """() => {
  let found = document.activeElement;
  while (found.shadowRoot?.activeElement) found = found.shadowRoot.activeElement;
  if (!found.matches("button, a, summary, select, [role]")) return "";
  return found.getAttribute("aria-label") || found.textContent;
}"""


def walk_to(tab: Tab, wanted: str) -> None:
    """Press Tab until something that says this has the focus."""
    passed = []
    for _ in range(80):
        tab.page.keyboard.press("Tab")
        passed.append(tab.page.evaluate(_FOCUSED))
        if wanted in passed[-1]:
            return
    pytest.fail(f"no way leads to {wanted}, but to {passed}")


def test_by_keyboard_alone_an_example_is_opened_and_every_place_reached(tab: Tab) -> None:
    tab.page.set_viewport_size({"width": 1280, "height": 800})
    tab.follow(fragment(state(files=[{"name": "web.yaml", "text": TUTORIAL}])))
    # From the top. Once around by way of its own window, a driven Firefox presses no button.
    tab.page.locator(".skip").focus()
    walk_to(tab, "Examples")
    tab.page.keyboard.press("Enter")
    walk_to(tab, "No Pod on this node")
    tab.page.keyboard.press("Enter")
    tab.settled()
    assert tab.replies()["findings"]["request"]["state"]["node"] == "worker-2"

    # Into the editor, and out of it again.
    walk_to(tab, "Editor")
    tab.page.keyboard.type("# mine")
    walk_to(tab, "Trace")
    tab.page.keyboard.press("ArrowRight")
    tab.settled()
    assert "reach" in tab.replies()
    assert "# mine" in tab.typed
    tab.page.keyboard.press("ArrowLeft")
    tab.settled()
    walk_to(tab, "Show the answer")
    tab.page.keyboard.press("Enter")
    assert "both Pods are on worker-1" in tab.answers
    tab.is_silent()
