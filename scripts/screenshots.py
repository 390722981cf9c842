"""Make the pictures of docs/report.md, docs/reach.md and docs/playground.md.

python -m scripts.screenshots
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from nptables import Family, ProxyConfig, reach, translate
from nptables.checks import check_cluster
from nptables.graphs import service_graph
from nptables.reporting import graph_page, report_page
from tests.support.browsers import started
from tests.support.crowd import fleet
from tests.support.sites import served
from tests.support.tabs import build, new_tab

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ViewportSize

DOCS = Path(__file__).parents[1] / "docs"


def main() -> None:
    """Show each page and take a picture of it."""
    cluster = fleet(7, 6, local_every=3)
    configs = dict.fromkeys(cluster.nodes, ProxyConfig())
    page = report_page(cluster, configs, reach(cluster), check_cluster(cluster))
    rules = translate(cluster, cluster.nodes["node1"], ProxyConfig(), Family.IPV4)
    graph = graph_page(service_graph(rules, ("ns3", "web3")))
    with tempfile.TemporaryDirectory() as folder, started() as chromium:
        _playground(chromium)
        shown = chromium.new_page(viewport={"width": 1280, "height": 720})
        report = Path(folder, "report.html")
        report.write_text(page, encoding="utf-8")
        shown.goto(f"file://{report}")
        shown.screenshot(path=DOCS / "report.png")
        shown.locator("button.v-dropped").first.click()
        shown.wait_for_selector("#panel[open] h2")
        shown.screenshot(path=DOCS / "report-cell.png")
        dark = chromium.new_page(color_scheme="dark", viewport={"width": 1280, "height": 720})
        dark.goto(f"file://{report}#service=ns3/web3")
        dark.wait_for_selector("#panel[open] svg")
        dark.screenshot(path=DOCS / "report-dark.png")
        drawn = Path(folder, "graph.html")
        drawn.write_text(graph, encoding="utf-8")
        wide = chromium.new_page(viewport={"width": 1800, "height": 420})
        wide.goto(f"file://{drawn}")
        wide.locator("svg").screenshot(path=DOCS / "graph.png")


def _playground(chromium: Browser) -> None:
    """An example with its answer, and a table in the dark."""
    size: ViewportSize = {"width": 1280, "height": 760}
    with served(build()) as site, new_tab(chromium, site, viewport=size) as tab:
        tab.open("#example=no-pod-here")
        tab.page.get_by_text("Show the answer").click()
        tab.page.screenshot(path=DOCS / "playground.png")
        tab.page.emulate_media(color_scheme="dark")
        tab.look_at("Reach")
        tab.page.screenshot(path=DOCS / "playground-dark.png")


if __name__ == "__main__":
    main()
