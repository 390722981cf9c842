"""The playground in a browser: what it shows, and what its page asks of Python meanwhile."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.requirements import requires
from tests.support.sites import Site

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, BrowserContext, Locator, Page

ROOT = Path(__file__).parents[2]
BUILT = ROOT / "build" / "playground"
EMPTY: dict[str, Any] = {
    "version": 1,
    "files": [],
    "config": "",
    "facts": "",
    "evidence": [],
    "node": "",
    "kubeProxyVersion": "",
    "family": "IPv4",
    "from": "",
    "to": "",
    "service": "",
    "before": None,
    "view": "findings",
}
# Longer than anything takes on a busy machine.
PATIENCE = 60_000

# What the page and its worker say to each other, and every error that nobody takes.
_RECORDING = """
window.exchanged = [];
window.errors = [];
addEventListener("error", event => errors.push(event.message));
addEventListener("unhandledrejection", event => errors.push(String(event.reason)));
// When one typed last, and when what is shown came to belong to it.
addEventListener("keydown", () => { window.typedAt = performance.now(); }, true);
addEventListener("DOMContentLoaded", () => {
  const answers = document.getElementById("answers");
  new MutationObserver(() => {
    if (answers.getAttribute("aria-busy") === "false") window.settledAt = performance.now();
  }).observe(answers, {attributeFilter: ["aria-busy"]});
});
// The editor stands in a shadow root; what an empty one suggests is not typed.
window.typed = () => {
  const lines = [];
  const look = root => {
    for (const each of root.querySelectorAll("*")) {
      if (each.classList.contains("cm-line"))
        lines.push(each.querySelector(".cm-placeholder") ? "" : each.textContent);
      if (each.shadowRoot) look(each.shadowRoot);
    }
  };
  look(document.getElementById("input"));
  return lines.join("\\n");
};
window.Worker = class extends Worker {
  constructor(...given) {
    super(...given);
    this.addEventListener("message", ({data}) => {
      if (data.kind !== "reply") return;
      const exchange = exchanged.findLast(each => each.worker === this && each.id === data.id);
      // What somebody has stopped waiting for may be forgotten here.
      if (!exchange) return;
      exchange.reply = data.reply;
      exchange.after = performance.now();
    });
  }
  postMessage(said, ...more) {
    if (said.kind === "ask")
      exchanged.push({worker: this, id: said.id, request: said.request, before: performance.now()});
    // For a long run: what is kept must not be what makes the page grow.
    if (exchanged.length > 50) exchanged.splice(0, 25);
    super.postMessage(said, ...more);
  }
  terminate() {
    // What it was asked is answered by nobody.
    const open = exchanged.findIndex(each => each.worker === this && !each.reply);
    if (open >= 0) exchanged.splice(open, 1);
    super.terminate();
  }
};
// What is shown belongs to the input beside it, and the rest of the page has its answers.
window.isSettled = () => document.getElementById("answers").getAttribute("aria-busy") === "false"
  && exchanged.every(each => each.reply);
"""


def build(python: str = sys.executable) -> Path:
    """Build the page; the running test says what it lacks where that cannot be."""
    requires("playground")
    subprocess.run(
        [ROOT / "scripts" / "playground", python], check=True, cwd=ROOT, capture_output=True
    )
    return BUILT


def state(**parts: Any) -> dict[str, Any]:
    """A state of the page."""
    return {**EMPTY, **parts}


def fragment(of: object) -> str:
    """The part of a link that holds a state."""
    return packed(json.dumps(of, ensure_ascii=False).encode())


def packed(text: bytes) -> str:
    """The part of a link that holds any text, as if it were a state."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    raw = deflate.compress(text) + deflate.flush()
    return "#1." + base64.urlsafe_b64encode(raw).decode().rstrip("=")


class Tab:
    """One tab with the page."""

    def __init__(self, context: BrowserContext, site: Site) -> None:
        self.site = site
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page: Page = context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.page.add_init_script(_RECORDING)
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: self.said.append(f"dialog {dialog.message}"))
        self.page.on("request", lambda request: self.asked.append(request.url))

    def open(self, fragment: str = "") -> Tab:
        """Go to the page, and wait until it answers."""
        self.page.goto(self.site.url + fragment)
        return self.settled()

    def settled(self) -> Tab:
        """Wait until what is shown belongs to the input that is shown, and nothing more is asked.

        What is typed, pressed or chosen makes the page busy before playwright goes on: this
        cannot be true too early. What comes later (a file that is read, a link that is unpacked)
        is to be waited for by `until` or `follow`.
        """
        self.page.evaluate(f"async () => {{ const there = () => isSettled(); {_WAITING} }}")
        return self

    def follow(self, fragment: str) -> dict[str, dict[str, Any]]:
        """Go to a link in the same tab; gives the replies to what the page asks for it."""
        # What is asked for the page as it was would be taken for what is asked for the link.
        self.settled()
        self.page.evaluate(_FOLLOWING, fragment)
        return self.replies()

    def until(self, condition: str, *given: object) -> Tab:
        """Wait for an expression of the page, that may name what is `given`."""
        # Playwright's own waiting makes code of text, which the page's policy forbids.
        waiting = f"async given => {{ const there = async () => {condition}; {_WAITING} }}"
        self.page.evaluate(waiting, list(given))
        return self.settled()

    def replies(self) -> dict[str, dict[str, Any]]:
        """The newest reply to each kind of question, and what was asked."""
        found = {}
        for request, reply in self.page.evaluate("exchanged.map(e => [e.request, e.reply])"):
            asked = json.loads(request)
            if reply is not None:
                found[asked["ask"]] = {"request": asked, **json.loads(reply)}
        return found

    @property
    def kind(self) -> str | None:
        """What the answer is: loading, stale, current or failed."""
        return self.page.locator("#answers").get_attribute("data-state")

    @property
    def answers(self) -> str:
        """What is to be read on the right."""
        return self.page.locator("#answers").inner_text()

    @property
    def notice(self) -> str:
        """What is said above everything else, without the button that takes it away."""
        notice = self.page.locator("#notice")
        notice.wait_for()
        return notice.inner_text().removesuffix("\N{MULTIPLICATION SIGN}").strip()

    @property
    def editor(self) -> Locator:
        """Where one types."""
        return self.page.get_by_role("textbox", name="Editor")

    @property
    def typed(self) -> str:
        """The text in the editor, as far as its lines are in sight."""
        found: str = self.page.evaluate("typed()")
        return found

    def type(self, text: str) -> None:
        """Type at the end of what is there."""
        self.editor.click()
        self.page.keyboard.press("Control+End")
        self.page.keyboard.type(text)

    def press(self, name: str) -> None:
        """Press the button with this name."""
        self.page.get_by_role("button", name=name, exact=True).click()

    def beside(self) -> Tab:
        """Another tab of the same browser, that knows what this one left there."""
        return Tab(self.page.context, self.site)

    def look_at(self, view: str) -> None:
        """Choose a tab of the answers, or of the input."""
        self.page.get_by_role("tab", name=view).click()
        self.settled()

    def choose(self, label: str, what: str) -> None:
        """Choose one of a list."""
        self.page.get_by_label(label, exact=True).select_option(what)
        self.settled()

    def paste(self, piece: str, times: int = 1) -> None:
        """Copy and paste a text, so many times in a row, in the place of what is selected."""
        self.editor.focus()
        self.page.evaluate(_COPYING, [piece, times])
        self.page.keyboard.press("Control+c")
        self.page.keyboard.press("Control+v")

    def drop(self, files: dict[str, bytes]) -> None:
        """Drop files on the page; by their names."""
        held = [[name, list(data)] for name, data in files.items()]
        self.page.evaluate(_DROPPING, held)

    def is_silent(self) -> None:
        """Nothing was written on the console, and no other origin was asked."""
        assert self.said == [], self.said
        assert self.page.evaluate("errors") == []
        assert [url for url in self.asked if not url.startswith(self.site.origin)] == []


_COPYING = """
([piece, times]) => {
  addEventListener("copy", event => {
    event.clipboardData.setData("text/plain", piece.repeat(times));
    event.preventDefault();
    event.stopImmediatePropagation();
  }, {capture: true, once: true});
}
"""
_DROPPING = """
files => {
  const given = new DataTransfer();
  for (const [name, bytes] of files)
    given.items.add(new File([new Uint8Array(bytes)], name));
  const place = document.getElementById("input");
  for (const kind of ["dragenter", "dragover", "drop"])
    place.dispatchEvent(
      new DragEvent(kind, {dataTransfer: given, bubbles: true, cancelable: true}));
}
"""

_WAITING = f"""
  for (const until = performance.now() + {PATIENCE}; !(await there());) {{
    if (performance.now() > until) throw new Error(`waited in vain for ${{there}}`);
    await new Promise(go => setTimeout(go, 5));
  }}
"""
# The page notices another fragment on its own; what was asked before is no answer to it.
_FOLLOWING = f"""
async fragment => {{
  exchanged.length = 0;
  // To the same place nobody goes twice.
  if (location.hash === fragment) history.replaceState(null, "", "#");
  location.hash = fragment;
  const there = () => exchanged.length && isSettled();
  {_WAITING}
}}
"""


@contextmanager
def new_tab(browser: Browser, site: Site, **options: Any) -> Iterator[Tab]:
    """The page in a profile of its own, that nothing is kept of."""
    context = browser.new_context(**options)
    try:
        yield Tab(context, site)
    finally:
        context.close()
