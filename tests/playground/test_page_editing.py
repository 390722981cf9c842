"""What one does with the page: type, undo, drop, share, go back, go offline."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.support.scenarios import FIXTURES
from tests.support.sites import served
from tests.support.tabs import fragment, new_tab, state

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

    from tests.support.sites import Site
    from tests.support.tabs import Tab

TUTORIAL = (FIXTURES / "tutorial" / "two-nodes.yaml").read_text()
TYPO = (FIXTURES / "tutorial" / "affinity-typo.yaml").read_text()


@pytest.fixture(scope="module")
def own_site(built: Path) -> Iterator[Site]:
    with served(built) as found:
        yield found


@pytest.fixture(scope="module")
def tab(browser: Browser, own_site: Site) -> Iterator[Tab]:
    with new_tab(browser, own_site) as shown:
        yield shown.open()


def service(name: str, port: int = 80) -> str:
    return (
        "apiVersion: v1\nkind: Service\n"
        f"metadata: {{name: {name}}}\nspec: {{clusterIP: 10.96.0.7, ports: [{{port: {port}}}]}}\n"
    )


def of_file(text: str, **more: object) -> str:
    return fragment(state(files=[{"name": "web.yaml", "text": text}], **more))


@pytest.mark.firefox
def test_what_is_typed_is_answered_and_undone_again(tab: Tab) -> None:
    tab.follow(of_file(service("web")))
    tab.type("x")
    tab.settled()
    assert tab.kind == "failed"
    tab.page.keyboard.press("Control+z")
    tab.settled()

    assert tab.kind == "current"
    (held,) = tab.replies()["findings"]["request"]["state"]["files"]
    assert service("web") == held["text"]
    tab.is_silent()


def test_what_is_dropped_goes_where_one_looks_and_rules_among_it_are_evidence(
    tab: Tab,
) -> None:
    case = FIXTURES / "cases" / "nodeport-addresses"
    dump = FIXTURES / "cases" / "antrea-leftover" / "dump.txt"
    tab.follow(of_file(service("web")))
    tab.drop({"cluster.yaml": (case / "cluster.yaml").read_bytes(), "dump.txt": dump.read_bytes()})
    tab.until("exchanged.at(-1)?.request.includes('KUBE-SEP-')")
    for view, name, sign in [
        ("Configuration", "kp.yaml", "nodePortAddresses"),
        ("Facts", "facts.yaml", "ifname"),
    ]:
        tab.look_at(view)
        tab.drop({name: (case / name).read_bytes()})
        tab.until("exchanged.at(-1).request.includes(given[0])", sign)

    asked = tab.replies()["findings"]["request"]["state"]
    assert {"name": "cluster.yaml", "text": (case / "cluster.yaml").read_text()} in asked["files"]
    assert [{"name": "dump.txt", "text": dump.read_text()}] == asked["evidence"]
    assert (case / "kp.yaml").read_text() == asked["config"]
    assert (case / "facts.yaml").read_text() == asked["facts"]
    tab.look_at("Manifests")
    tab.is_silent()


def test_a_link_brings_back_what_was_shared(tab: Tab, browser: Browser) -> None:
    tab.follow(of_file(TUTORIAL, node="worker-2", view="trace", to="nodeport:30080"))
    tab.type("# mine\n")
    tab.settled()
    tab.press("Share")
    link = tab.page.locator("#link").inner_text()
    tab.page.keyboard.press("Escape")
    with new_tab(browser, tab.site) as other:
        other.open("#" + link.partition("#")[2])
        asked = other.replies()["trace"]["request"]["state"]

    assert asked["files"] == [{"name": "web.yaml", "text": TUTORIAL + "# mine\n"}]
    assert (asked["node"], asked["to"], asked["view"]) == ("worker-2", "nodeport:30080", "trace")


def test_back_and_forward_go_through_what_was_opened(tab: Tab) -> None:
    tab.follow(of_file(service("one")))
    tab.follow(of_file(service("two")))
    tab.page.go_back()
    tab.until("exchanged.at(-1).request.includes('name: one')")
    assert "name: one" in tab.typed
    tab.page.go_forward()
    tab.until("exchanged.at(-1).request.includes('name: two')")
    assert "name: two" in tab.typed
    tab.is_silent()


def test_a_reload_shows_what_was_there(tab: Tab) -> None:
    tab.follow(of_file(service("kept")))
    tab.page.reload()
    tab.settled()

    assert "name: kept" in tab.typed
    tab.is_silent()


def test_two_tabs_do_not_know_of_each_other(tab: Tab) -> None:
    tab.follow(of_file(service("here")))
    other = tab.beside().open(of_file(service("there")))
    other.type("# more\n")
    other.settled()

    assert "name: here" in tab.typed
    assert "name: there" in other.typed
    other.page.close()


@pytest.mark.firefox
def test_after_the_first_visit_no_server_is_needed(tab: Tab) -> None:
    """Nothing has been asked of it since the page was there, nor is anything else."""
    tab.page.wait_for_selector("html[data-offline=ready]")
    asked = list(tab.site.asked)
    tab.follow(of_file(TYPO))
    assert asked == tab.site.asked
    tab.site.stop()
    other = tab.beside().open(of_file(service("offline")))
    assert other.kind == "current"
    other.is_silent()
    other.page.close()
    tab.site.start()


# Typing at its end makes the name longer.
GROWING = """apiVersion: v1
kind: Service
spec: {clusterIP: 10.96.0.7, ports: [{port: 80}]}
metadata:
  name: web"""
_NOTING = """() => {
  window.noted = [];
  const look = () => {
    const answers = document.getElementById("answers");
    if (answers.getAttribute("aria-busy") === "false") {
      let said = answers.innerText;
      // What can be chosen is no answer.
      for (const each of answers.querySelectorAll("select"))
        said = said.replace(each.innerText, "");
      noted.push([said, window.typed()]);
    }
    requestAnimationFrame(look);
  };
  look();
}"""


def test_no_answer_is_older_than_the_input_beside_it(tab: Tab) -> None:
    """At every frame, while one types faster than answers come."""
    tab.follow(of_file(GROWING, view="rules"))
    tab.page.evaluate(_NOTING)
    for number in range(30):
        tab.type(str(number % 10))
        if number % 10 == 0:
            tab.settled()
    tab.settled()
    noted = tab.page.evaluate("noted")

    assert len({typed for _, typed in noted}) > 3
    for answer, typed in noted:
        name = typed.rpartition("name: ")[2]
        assert {name} == set(re.findall(r"default/(\w+)", answer))
    tab.is_silent()
