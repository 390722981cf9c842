"""What shuts people out of a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page


def faults(page: Page) -> list[str]:
    """The serious faults that axe-core finds in what is shown."""
    from axe_playwright_python.sync_playwright import Axe

    # The page's policy lets no script in; axe comes by the debugger, past the policy.
    found = Axe().run(page).response["violations"]
    return [
        f"{each['id']}: {[node['html'][:120] for node in each['nodes']]}"
        for each in found
        if each["impact"] in ("serious", "critical")
    ]
