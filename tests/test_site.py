"""The site builds from the pages without a warning, and its links lead somewhere."""

from __future__ import annotations

import html
import re
import subprocess
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from nptables.checks import CODES
from nptables.checks.reports import help_uri
from nptables.cli.app import COMMANDS
from tests.support.documentation import DOCS, PAGES, ROOT
from tests.support.once import folder_of_all, once
from tests.support.scenarios import FIXTURES

# Sphinx in a process that opens no connection.
BUILD = """
import socket, sys
from sphinx.cmd.build import main

def connect(*_):
    raise AssertionError("the site asks another host")

socket.socket.connect = socket.create_connection = connect
sys.exit(main(sys.argv[1:]))
"""
OPTIONS = ("-b", "html", "--fail-on-warning", "--keep-going", "--nitpicky", "-q")


def build(docs: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """Build a site, with the options of `make docs`."""
    words = [*OPTIONS, "-d", str(out / "doctrees"), str(docs), str(out / "site")]
    return subprocess.run(
        [sys.executable, "-c", BUILD, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@dataclass
class Page(HTMLParser):
    """The links and the places of a page, and what it loads."""

    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    places: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, path: Path) -> Page:
        """The page that a file holds."""
        page = cls()
        page.feed(path.read_text())
        return page

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.places |= {found[name] for name in ("id", "name") if name in found}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        elif tag == "link" and "href" in found:
            self.loads.append(found["href"])
        elif "src" in found:
            self.loads.append(found["src"])


def test_no_page_holds_both_sides_of_a_merge() -> None:
    """What Git leaves between its marks shows in the site as text."""
    marked = re.compile(r"^(<{7}|>{7}) ", re.MULTILINE)

    assert [path for path in PAGES if marked.search(path.read_text())] == []


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built from the pages of this tree; of parallel workers the first builds it."""
    folder = folder_of_all(tmp_path_factory)
    out = folder / "site"
    with once(folder, "site") as first:
        if first:
            before = sorted(DOCS.rglob("*"))
            done = build(DOCS, out)

            assert (done.returncode, done.stderr) == (0, "")
            made = {
                path
                for path in set(DOCS.rglob("*")) - set(before)
                if "__pycache__" not in path.parts
            }
            assert set() == made
    return out / "site"


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    """Every page of the site."""
    return {path: Page.of(path) for path in site.rglob("*.html")}


def words_of(page: Path) -> str:
    """The text of a page, on one line."""
    _, _, article = page.read_text().partition("<article")
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", "", article)))


def test_every_link_within_the_site_leads_somewhere(pages: dict[Path, Page]) -> None:
    dead = []
    for path, page in pages.items():
        for link in (*page.links, *page.loads):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or link.startswith("data:"):
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            known = pages[target].places if target in pages else set()
            if not target.is_file() or (parts.fragment and parts.fragment not in known | {""}):
                dead.append((path.name, link))

    assert dead == []


def test_the_links_of_sarif_lead_to_the_paragraph_of_each_check(
    pages: dict[Path, Page], site: Path
) -> None:
    for code in CODES.values():
        path, _, place = help_uri(code, str(site)).partition("#")

        assert place in pages[Path(path)].places


def test_no_page_loads_anything_from_another_host(pages: dict[Path, Page]) -> None:
    loads = {load for page in pages.values() for load in page.loads}

    assert loads
    assert [load for load in loads if urlsplit(load).netloc] == []


def test_every_page_is_in_the_site(pages: dict[Path, Page], site: Path) -> None:
    sources = {path.relative_to(DOCS).with_suffix(".html") for path in DOCS.rglob("*.md")}

    assert {path for path in sources if site / path not in pages} == set()


def test_the_reference_has_every_command(site: Path) -> None:
    text = words_of(site / "reference" / "commands.html")

    assert [name for name in COMMANDS if f"nptables {name} [OPTIONS]" not in text] == []
    assert "nptables graph default/web web.yaml --node node2 > web.svg" in text
    assert "--trace FROM TO" in text


def test_the_tutorial_is_about_the_cluster_that_was_observed() -> None:
    """fixtures/tutorial has what was seen: one Pod, on node1, answers on both nodes."""
    shown = (DOCS / "files" / "one-pod.yaml").read_text()
    seen = (FIXTURES / "tutorial" / "two-nodes.yaml").read_text()

    assert list(yaml.safe_load_all(seen)) == list(yaml.safe_load_all(shown))
    assert "one Pod, on node1, answers on node1:30080 and on node2:30080" in seen


@pytest.mark.parametrize(
    "line",
    [
        # Every node answers, and the Pod is on one of them.
        "node1 answers: 1 endpoint, 1 local, source rewritten",
        "node2 answers: 1 endpoint, 0 local, source rewritten",
        # Who gets the packet.
        "1/2 reaches the endpoint 10.233.64.5:80 node1",
        "1/2 reaches the endpoint 10.233.65.8:80 node2",
        # What the Pod sees.
        "which sees the source an address of node2 instead of the sender's",
        "which sees the sender's own address (10.233.64.9)",
        # The mistake that the fixture records: ClusterIP in the place of ClientIP.
        '"ClusterIP" is not one of None, ClientIP',
        # Local: no forwarding where there is no Pod.
        "node1 answers: 1 endpoint, 1 local, source kept node2 dropped",
        # No endpoint.
        "node1, node2 refused",
    ],
)
def test_the_tutorial_prints_what_each_claim_says(line: str, site: Path) -> None:
    assert line in words_of(site / "tutorial.html")


def test_the_tutorial_has_its_graphs(site: Path) -> None:
    text = (site / "tutorial.html").read_text()

    assert text.count('<svg xmlns="http://www.w3.org/2000/svg" class="npt-graph"') == 2


# What stands on a page, and what the build says of it.
WRONG = {
    "```{nptables-run}\nnptables check gone.yaml\n```": "nptables check gone.yaml: exit code 2",
    "```{nptables-run}\n:exit: 1\nnptables name a/b\n```": "nptables name a/b: exit code 0",
    "```{nptables-run}\nnptables name a/b | grep q\n```": "nptables name a/b | grep q: exit code 1",
    "```{nptables-python}\nprint(unknown)\n```": "NameError: name 'unknown' is not defined",
    "[away](gone.md)": "gone.md",
    "[away](#gone)": "'gone'",
}


def test_what_is_wrong_on_a_page_fails_the_build(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    (docs / "files").mkdir(parents=True)
    (docs / "index.md").write_text("\n\n".join(["# A page", *WRONG]))
    extensions = str(DOCS / "_extensions")
    (docs / "conf.py").write_text(
        f"import sys\nsys.path[:0] = [{extensions!r}, {str(ROOT)!r}]\n"
        "extensions = ['myst_parser', 'command_output']\nmyst_heading_anchors = 3\n"
    )

    done = build(docs, tmp_path / "out")

    assert done.returncode != 0
    assert [why for why in WRONG.values() if why not in done.stderr] == []
