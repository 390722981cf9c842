"""Anything at all is done with one page: it lives, it does not grow, and no answer is old."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tests.support.scenarios import FIXTURES
from tests.support.tabs import fragment, new_tab, state
from tests.support.wandering import memory, wander

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.support.sites import Site

TUTORIAL = (FIXTURES / "tutorial" / "two-nodes.yaml").read_text()
# 2,000 take minutes: `NPTABLES_PLAYGROUND_EDITS=2000`, and benchmarks/playground.py.
EDITS = int(os.environ.get("NPTABLES_PLAYGROUND_EDITS", "40"))


def test_random_edits_and_links_are_survived_and_nothing_is_left_of_them(
    browser: Browser, site: Site
) -> None:
    with new_tab(browser, site, viewport={"width": 1280, "height": 3000}) as tab:
        tab.open()
        wander(tab, EDITS // 2, seed=1)
        before = memory(browser)
        assert wander(tab, EDITS // 2, seed=2) > EDITS // 8
        # What is unpacked and read for the first time counts, too.
        assert memory(browser) < 1.3 * before
        tab.follow(fragment(state(files=[{"name": "web.yaml", "text": TUTORIAL}])))
        assert tab.kind == "current"
        tab.is_silent()
