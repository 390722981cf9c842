"""What the page says while it loads, and where something of it does not load."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.browsers import lacking
from tests.support.tabs import new_tab

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.support.sites import Fault, Site
    from tests.support.tabs import Tab

TYPED = "kind: Service\n"


@pytest.mark.parametrize(
    ("part", "fault"),
    [
        ("worker", "missing"),
        ("worker", "another type"),
        ("python", "missing"),
        ("packages", "missing"),
    ],
)
def test_a_part_that_does_not_load_is_said_and_what_was_typed_stays(
    browser: Browser, site: Site, part: str, fault: Fault
) -> None:
    with new_tab(browser, site) as shown, site.failing(site.part(part), fault):
        cannot_run(shown, "A file of this page could not be loaded.")


@pytest.mark.firefox
def test_a_part_that_is_broken_off_is_one_that_does_not_load(browser: Browser, site: Site) -> None:
    """Each browser says it in another way."""
    with new_tab(browser, site) as shown, site.failing(site.part("library"), "broken off"):
        cannot_run(shown, "A file of this page could not be loaded.")


def test_what_is_sent_as_another_type_of_file_is_loaded_all_the_same(
    browser: Browser, site: Site
) -> None:
    """Some servers call everything text/html that they do not know."""
    with (
        new_tab(browser, site) as shown,
        site.failing(".gz", "another type"),
    ):
        assert shown.open().kind == "current"


def test_there_is_something_to_read_and_to_write_in_while_the_program_is_late(
    browser: Browser, site: Site
) -> None:
    with new_tab(browser, site) as shown, site.failing(site.part("python"), "late"):
        shown.page.goto(site.url)
        shown.type(TYPED)
        assert "kube-proxy" in shown.answers
        assert shown.kind == "loading"
        site.in_time.set()
        shown.settled()
        assert TYPED.strip() in shown.typed
        shown.is_silent()


def test_a_browser_without_webassembly_is_told_so(browser: Browser, site: Site) -> None:
    with lacking("WebAssembly", browser) as poor, new_tab(poor, site) as shown:
        cannot_run(shown, "this browser has no WebAssembly")


@pytest.mark.chromium
def test_a_browser_with_too_little_memory_is_told_so(browser: Browser, site: Site) -> None:
    with lacking("memory", browser) as poor, new_tab(poor, site) as shown:
        cannot_run(shown, "The browser has not enough memory")


def cannot_run(shown: Tab, said: str) -> None:
    """The page says why, and keeps what is typed."""
    shown.page.goto(shown.site.url)
    shown.type(TYPED)
    # The program that was there first may fail before or after that; what counts is the next.
    shown.settled()
    assert shown.kind == "failed"
    assert said in shown.answers
    assert TYPED.strip() in shown.typed
