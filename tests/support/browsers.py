"""The browsers of the machine, driven without a window."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from tests.support.requirements import browser, requires

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

Kind = Literal["chromium", "firefox"]
# As root chromium has no sandbox. Distributions' own Firefox speaks WebDriver BiDi, which
# playwright calls a channel.
_OPTIONS: dict[Kind, dict[str, Any]] = {
    "chromium": {"args": ["--no-sandbox"]},
    "firefox": {"channel": "moz-firefox"},
}


@contextmanager
def started(kind: Kind = "chromium") -> Iterator[Browser]:
    """A browser, until the block ends; the running test says what it lacks where there is none."""
    requires(kind)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = getattr(playwright, kind).launch(executable_path=browser(kind), **_OPTIONS[kind])
        try:
            yield found
        finally:
            found.close()


@contextmanager
def another(chromium: Browser, flag: str) -> Iterator[Browser]:
    """A chromium beside one that runs, told something about its JavaScript."""
    flags = [*_OPTIONS["chromium"]["args"], f"--js-flags={flag}"]
    found = chromium.browser_type.launch(executable_path=browser("chromium"), args=flags)
    try:
        yield found
    finally:
        found.close()
