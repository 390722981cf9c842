"""Links, pastes and files that were made to do harm, or are of no use: one sentence each."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.crowd import HOSTILE
from tests.support.scenarios import FIXTURES
from tests.support.sites import served
from tests.support.tabs import fragment, new_tab, packed, state

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

    from tests.support.tabs import Tab

GOOD = (FIXTURES / "tutorial" / "two-nodes.yaml").read_text()
VIEWS = ("findings", "rules", "graph", "trace", "reach", "changes")
MARKUP = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def tab(browser: Browser, built: Path) -> Iterator[Tab]:
    """One tab for everything: it must stay alive."""
    with served(built) as site, new_tab(browser, site) as shown:
        yield shown.open()


def good(**more: Any) -> dict[str, Any]:
    return state(files=[{"name": "web.yaml", "text": GOOD}], **more)


def bomb(megabytes: int) -> str:
    """A link of a thousandth of that: spaces, in equal blocks that are packed once."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = deflate.compress(b" " * (1 << 20)) + deflate.flush(zlib.Z_FULL_FLUSH)
    return _link(block * megabytes + deflate.flush())


def _link(raw: bytes) -> str:
    import base64

    return "#1." + base64.urlsafe_b64encode(raw).decode().rstrip("=")


LINKS = {
    "a bomb": bomb(1024),
    "markup": f"#{MARKUP}",
    "markup, packed": packed(MARKUP.encode()),
    "not base64": "#1.!!!!",
    "not packed": "#1.aGVsbG8gd29ybGQ",
    "cut off": fragment(good())[:200],
    "another form": "#2." + fragment(good())[3:],
    "another version": fragment({**good(), "version": 99}),
    "no object": packed(b"[1, 2]"),
    "nothing": packed(b"null"),
    "not JSON": packed(b'{"version": 1, '),
    "not UTF-8": packed(b"\xff\xfe\xfd"),
    "deep": packed(b"[" * 200_000),
    "files that are none": fragment({**good(), "files": {"name": "x"}}),
    "a text that is none": fragment({**good(), "config": {"a": [1]}}),
    "a view that is none": fragment({**good(), "view": MARKUP}),
    "an unknown field": fragment({**good(), MARKUP: MARKUP}),
    "a prototype": packed(b'{"version": 1, "__proto__": {"files": 1}, "constructor": 1}'),
    "an example that is none": f"#example={MARKUP}",
}


# What is longer than a megabyte is no address there.
IN_FIREFOX = {**LINKS, "a bomb": bomb(740)}


@pytest.mark.parametrize("name", LINKS)
def test_a_link_that_cannot_be_read_is_said_and_changes_nothing(
    browser: Browser, tab: Tab, name: str
) -> None:
    links = IN_FIREFOX if browser.browser_type.name == "firefox" else LINKS
    tab.follow(fragment(good(view="trace")))
    tab.page.evaluate("link => { location.hash = link }", links[name])
    said = tab.notice

    assert re.fullmatch(r"[^\n]{20,300}", said), said
    assert "nodeport-service" in tab.typed
    tab.type("# still here\n")
    tab.settled()
    assert tab.kind == "current"
    assert "# still here" in tab.typed
    tab.is_silent()


@pytest.mark.firefox
def test_names_and_annotations_stay_text_wherever_they_are_shown(tab: Tab) -> None:
    text = json.dumps(hostile_objects(), indent=1)
    held = {"name": f"{HOSTILE}.json", "text": text}
    for view in VIEWS:
        tab.follow(fragment(state(files=[held], node=HOSTILE, view=view, before=before(GOOD))))
        assert tab.page.locator("img").count() == 0
        assert tab.page.evaluate("window.hacked") is None
    tab.is_silent()


def before(text: str) -> dict[str, Any]:
    parts = ("config", "facts", "evidence", "node", "kubeProxyVersion")
    empty = state()
    return {"files": [{"name": "a.yaml", "text": text}], **{part: empty[part] for part in parts}}


def hostile_objects() -> list[dict[str, Any]]:
    """The tutorial with hostile values wherever a text can stand."""
    import yaml

    objects = list(yaml.safe_load_all(GOOD))
    for each in objects:
        each["metadata"]["annotations"] = {HOSTILE: HOSTILE}
        each["metadata"].setdefault("labels", {})[HOSTILE] = HOSTILE
        if each["kind"] == "Service":
            for port in each["spec"]["ports"]:
                port["name"] = HOSTILE
        else:
            each["metadata"]["name"] += HOSTILE
    return objects


@pytest.mark.firefox
def test_a_paste_of_fifty_megabytes_is_refused_and_what_was_typed_is_kept(tab: Tab) -> None:
    tab.follow(fragment(good()))
    tab.paste("a: 1\n", 10_000_000)
    said = tab.notice

    assert "16 million characters" in said
    assert "nodeport-service" in tab.typed
    tab.is_silent()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("picture.png", b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40),
        ("zeros.bin", bytes(100_000)),
        ("half.tar.gz", gzip.compress(bytes(range(256)) * 4000)[:500]),
        ("latin.yaml", "name: Müller\n".encode("latin-1")),
    ],
)
def test_a_file_of_no_use_is_said_and_the_page_stays(tab: Tab, name: str, data: bytes) -> None:
    tab.follow(fragment(good()))
    tab.drop({name: data})
    tab.until(
        "!document.getElementById('notice').hidden"
        " || exchanged.at(-1).request.includes(given[0])", name
    )  # fmt: skip

    assert name in tab.page.locator("body").inner_text()
    assert "nodeport-service" in json.dumps(tab.replies()["findings"]["request"])
    tab.is_silent()
