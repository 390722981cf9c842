"""What the page says while it loads, and where something of it does not load."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.browsers import another
from tests.support.tabs import new_tab

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.support.sites import Fault, Site

TYPED = "kind: Service\n"


def parts(site: Site) -> dict[str, str]:
    """The parts that the page is made of, by what they are."""
    names = [path.name for path in site.folder.rglob("*")]

    def part(start: str) -> str:
        (found,) = [name for name in names if name.startswith(start)]
        return found

    return {
        "worker": part("worker"),
        "python": part("python"),
        "library": part("library"),
        "packages": part("packages"),
    }


@pytest.mark.parametrize(
    ("part", "fault"),
    [
        ("worker", "missing"),
        ("worker", "another type"),
        ("python", "missing"),
        ("library", "broken off"),
        ("packages", "missing"),
    ],
)
def test_a_part_that_does_not_load_is_said_and_what_was_typed_stays(
    chromium: Browser, site: Site, part: str, fault: Fault
) -> None:
    with new_tab(chromium, site) as shown, site.failing(parts(site)[part], fault):
        shown.page.goto(site.url)
        shown.type(TYPED)
        # The program that was there first may fail before or after that; what counts is the next.
        shown.settled()
        assert shown.kind == "failed"
        assert "A file of this page could not be loaded." in shown.answers
        assert TYPED.strip() in shown.typed


def test_what_is_sent_as_another_type_of_file_is_loaded_all_the_same(
    chromium: Browser, site: Site
) -> None:
    """Some servers call everything text/html that they do not know."""
    with (
        new_tab(chromium, site) as shown,
        site.failing(".gz", "another type"),
    ):
        assert shown.open().kind == "current"


def test_there_is_something_to_read_and_to_write_in_while_the_program_is_late(
    chromium: Browser, site: Site
) -> None:
    with new_tab(chromium, site) as shown, site.failing(parts(site)["python"], "late"):
        shown.page.goto(site.url)
        shown.type(TYPED)
        assert "kube-proxy" in shown.answers
        assert shown.kind == "loading"
        site.in_time.set()
        shown.settled()
        assert TYPED.strip() in shown.typed
        shown.is_silent()


@pytest.mark.parametrize(
    ("flag", "said"),
    [("--jitless", "WebAssembly"), ("--wasm-max-mem-pages=64", "memory")],
    ids=["no WebAssembly", "little memory"],
)
def test_a_browser_that_cannot_run_it_is_told_why(
    chromium: Browser, site: Site, flag: str, said: str
) -> None:
    with another(chromium, flag) as browser, new_tab(browser, site) as shown:
        shown.page.goto(site.url)
        shown.type(TYPED)
        # The program that was there first may fail before or after that; what counts is the next.
        shown.settled()
        assert shown.kind == "failed"
        assert said in shown.answers
        assert TYPED.strip() in shown.typed
