"""The browsers of the machine, driven without a window."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from tests.support.requirements import browser, requires

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

Kind = Literal["chromium", "firefox"]
# Whether every test of the page runs in Firefox, too, which takes minutes.
EVERYTHING = os.environ.get("NPTABLES_PLAYGROUND") == "all"
# As root chromium has no sandbox. Distributions' own Firefox speaks WebDriver BiDi, which
# playwright calls a channel.
_OPTIONS: dict[Kind, dict[str, Any]] = {
    "chromium": {"args": ["--no-sandbox"]},
    "firefox": {"channel": "moz-firefox"},
}
Lacking = Literal["WebAssembly", "memory"]
_LACKING: dict[tuple[Kind, Lacking], dict[str, Any]] = {
    ("chromium", "WebAssembly"): {"args": ["--no-sandbox", "--js-flags=--jitless"]},
    ("chromium", "memory"): {"args": ["--no-sandbox", "--js-flags=--wasm-max-mem-pages=64"]},
    ("firefox", "WebAssembly"): {"firefox_user_prefs": {"javascript.options.wasm": False}},
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
def lacking(what: Lacking, beside: Browser) -> Iterator[Browser]:
    """A browser of the same kind as one that runs, without something."""
    kind: Kind = "firefox" if beside.browser_type.name == "firefox" else "chromium"
    options = {**_OPTIONS[kind], **_LACKING[kind, what]}
    found = beside.browser_type.launch(executable_path=browser(kind), **options)
    try:
        yield found
    finally:
        found.close()
