"""The words of the library for a page, which has no options but places for the same."""

from __future__ import annotations

import re

# What stands on the page for an option of the command line.
_PLACES = {
    "config": "the tab Configuration",
    "conntrack": "the tab Evidence",
    "facts": "the tab Facts",
    "kube-proxy-version": "the choice kube-proxy",
    "node": "the choice Node",
    "node-address": "the tab Facts",
    "sets": "the tab Evidence",
    "snapshot": "the tab Evidence",
}
_FILES = re.compile(r"\bFILEs\b")
_OPTION = re.compile(r"(?<![\w-])--([a-z-]+)(?:/[a-z-]+)?(?![\w=-])")


def for_page(text: str) -> str:
    """A sentence that names places of the page instead of options; the documents keep theirs."""
    said = _OPTION.sub(lambda found: _PLACES.get(found[1], found[0]), text)
    return _FILES.sub("manifests", said)
