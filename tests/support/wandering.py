"""Somebody who does anything at all with the playground, for as long as one likes."""

from __future__ import annotations

import contextlib
import json
import os
import random
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.scenarios import FIXTURES
from tests.support.tabs import fragment, packed, state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser

    from tests.support.tabs import Tab

_TEXTS = [
    path.read_text()
    for path in sorted((FIXTURES / "manifests").rglob("*.yaml"))
    if path.stat().st_size < 3000 and path.name not in ("latin-1.yaml", "nul.yaml")
] + [path.read_text() for path in sorted((FIXTURES / "tutorial").iterdir())]
_VIEWS = ("Findings", "Rules", "Graph", "Trace", "Reach", "Changes")
_PIECES = (
    "x", " ", "\n", "  ", "- ", ": ", "{", "}", "[", '"', "'", "&a ", "*a", "!!map ", "#", "---\n",
    "0", "-1", "65536", "30080", "10.96.0.1", "::1", "null", "true", "é", "\u202e", "\U0001f600",
    "Local", "ClientIP", "nodePort: 30081\n", "<b>", "name: other\n",
)  # fmt: skip
_KEYS = (
    "Backspace", "Delete", "Enter", "Control+z", "Control+y", "Control+a", "Shift+ArrowDown",
    "Shift+End", "Control+Home", "Control+End", "ArrowUp", "PageDown",
)  # fmt: skip


def wander(tab: Tab, steps: int, *, seed: int) -> int:
    """Do so many random things; gives how many answers, or refusals, stood beside their input.

    Raises AssertionError where the answer that is shown is not one to the input beside it.
    """
    chance = random.Random(seed)
    seen = 0
    for _ in range(steps):
        chance.choice(_ACTIONS)(tab, chance)
        # Half of the time the next comes before the answer.
        if chance.random() < 0.5:
            tab.settled()
            seen += _belongs(tab)
    tab.settled()
    return seen + _belongs(tab)


def _belongs(tab: Tab) -> bool:
    found = tab.page.evaluate(
        "() => [typed(), document.getElementById('answers').dataset.state,"
        " exchanged.filter(each => each.reply).at(-1)?.request]"
    )
    typed, kind, request = found
    if kind not in ("current", "failed") or request is None:
        return False
    if not typed.strip() and "Nothing to answer yet." in tab.page.inner_text("#answers"):
        # Of nothing nothing is asked.
        return True
    assert typed in [file["text"] for file in json.loads(request)["state"]["files"]]
    return True


def _type(tab: Tab, chance: random.Random) -> None:
    _somewhere(tab, chance)
    tab.page.keyboard.insert_text("".join(chance.choices(_PIECES, k=chance.randint(1, 4))))


def _press(tab: Tab, chance: random.Random) -> None:
    _somewhere(tab, chance)
    for key in chance.choices(_KEYS, k=chance.randint(1, 6)):
        tab.page.keyboard.press(key)


def _somewhere(tab: Tab, chance: random.Random) -> None:
    box = tab.editor.bounding_box()
    if box is not None:
        x, y = chance.uniform(0, box["width"]), chance.uniform(0, min(box["height"], 600))
        tab.page.mouse.click(box["x"] + x, box["y"] + y)


def _paste(tab: Tab, chance: random.Random) -> None:
    tab.editor.focus()
    tab.page.keyboard.press("Control+a")
    tab.page.keyboard.insert_text(chance.choice(_TEXTS))


def _follow(tab: Tab, chance: random.Random) -> None:
    text = chance.choice(_TEXTS)
    found = fragment(
        state(
            files=[{"name": "web.yaml", "text": text}],
            view=chance.choice(_VIEWS).lower(),
            node=chance.choice(["", "worker-1", "nobody"]),
            family=chance.choice(["IPv4", "IPv6"]),
            kubeProxyVersion=chance.choice(["", "1.27", "9.99"]),
        )
    )
    harm = chance.random()
    if harm < 0.2:
        place = chance.randrange(3, len(found))
        found = found[:place] + chance.choice("aZ0_!") + found[place + 1 :]
    elif harm < 0.3:
        found = packed(chance.randbytes(chance.randint(0, 200)))
    tab.page.evaluate("link => { location.hash = link }", found)


def _look(tab: Tab, chance: random.Random) -> None:
    tab.page.get_by_role("tab", name=chance.choice(_VIEWS)).click()


_ACTIONS: tuple[Callable[[Tab, random.Random], None], ...] = (
    _type, _type, _type, _press, _press, _paste, _follow, _look,
)  # fmt: skip


def memory(browser: Browser) -> float:
    """What the processes of a browser's pages hold, in MB; of Firefox all that this test has."""
    if browser.browser_type.name == "firefox":
        return sum(map(_resident, _pages_of_firefox())) / 1e6
    asked = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")
    renderers = [each["id"] for each in asked["processInfo"] if each["type"] == "renderer"]
    return sum(map(_resident, renderers)) / 1e6


def _pages_of_firefox() -> Iterator[int]:
    """The processes that this one has begun, by however many between, and that show pages."""
    waiting = [os.getpid()]
    while waiting:
        process = Path(f"/proc/{waiting.pop()}")
        # One that has just ended holds nothing.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if b"-isForBrowser" in (process / "cmdline").read_bytes():
                yield int(process.name)
            for children in process.glob("task/*/children"):
                waiting += map(int, children.read_text().split())


def _resident(process: int) -> int:
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0
