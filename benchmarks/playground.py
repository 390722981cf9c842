"""The playground in chromium: how long one waits, and what goes over the wire.

    python benchmarks/playground.py [--runs 5] [--edits 2000]

Builds the page, serves it compressed from this machine, and opens it in a profile that knows
nothing. Milliseconds on the clock, medians of the runs:

cold        nothing is there: until there is something to read; until the first answer
cached      another visit: until the first answer
wire        kilobytes over the wire of a first visit
edit        a character is typed: until the answer to it stands beside it
endless     random edits in one page: memory of its processes, MB, after a quarter and at the end

Aims on two cores: something to read 1 s, the first answer 6 s, cached 3 s, 9 MB over the wire, an
edit of the tutorial 150 ms, of 100 Services with 1,000 endpoints 1 s.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

import yaml

from benchmarks import workload
from tests.support.browsers import started
from tests.support.sites import served
from tests.support.tabs import build, new_tab
from tests.support.wandering import memory, wander

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

    from tests.support.sites import Site
    from tests.support.tabs import Tab

ROOT = Path(__file__).resolve().parents[1]
TUTORIAL = (ROOT / "fixtures" / "tutorial" / "two-nodes.yaml").read_text()
SIZES = ((100, 10), (1_000, 10))


def main() -> None:
    """Measure everything, and print a line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--edits", type=int, default=2000)
    arguments = parser.parse_args()
    with started("chromium") as browser, served(build(), compressed=True) as site:
        visits = [dict(visited(browser, site)) for _ in range(arguments.runs)]
        for name in visits[0]:
            show(name, statistics.median(visit[name] for visit in visits))
        with new_tab(browser, site) as shown:
            shown.open()
            for name, text in texts():
                show(f"open, {name}", opened(shown, text))
                show(f"edit, {name}", edited(shown, arguments.runs))
        if arguments.edits:
            with new_tab(browser, site) as shown:
                shown.open()
                wander(shown, arguments.edits // 4, seed=1)
                show("endless, after a quarter", memory(browser))
                wander(shown, arguments.edits - arguments.edits // 4, seed=2)
                show("endless, at the end", memory(browser))


def show(name: str, value: float) -> None:
    """Print a figure."""
    print(f"{name:40}{value:>12,.0f}", flush=True)


def visited(browser: Browser, site: Site) -> Iterator[tuple[str, float]]:
    """The figures of a first visit and of another, in a profile of its own."""
    before = site.sent
    with new_tab(browser, site) as shown:
        shown.open()
        yield "cold, something to read", shown.page.evaluate(_PAINTED)
        yield "cold, first answer", shown.page.evaluate("settledAt")
        shown.page.wait_for_selector("html[data-offline=ready]")
        yield "wire, kB", (site.sent - before) / 1000
        other = shown.beside().open()
        yield "cached, first answer", other.page.evaluate("settledAt")


_PAINTED = "performance.getEntriesByName('first-contentful-paint')[0].startTime"


def texts() -> Iterator[tuple[str, str]]:
    """What is edited, by name."""
    yield "the tutorial", TUTORIAL
    for services, endpoints in SIZES:
        objects = workload.objects(services, endpoints)
        yield f"{services} x {endpoints}, JSON", "\n---\n".join(map(json.dumps, objects)) + "\n"
    services, endpoints = SIZES[0]
    yield (
        f"{services} x {endpoints}, YAML",
        yaml.dump_all(workload.objects(services, endpoints), Dumper=yaml.CSafeDumper),
    )


def opened(shown: Tab, text: str) -> float:
    """How long a file takes that is opened."""
    before = shown.page.evaluate("performance.now()")
    shown.drop({"web.yaml": text.encode()})
    # It may be over sooner than anybody could see that it has begun.
    shown.page.wait_for_function("before => settledAt > before", arg=before)
    shown.settled()
    now: float = shown.page.evaluate("settledAt")
    return now - before


def edited(shown: Tab, runs: int) -> float:
    """How long a character takes that is typed at the end of what is there."""
    found = []
    for _ in range(runs):
        shown.type("#")
        shown.settled()
        found.append(shown.page.evaluate("settledAt - typedAt"))
    return statistics.median(found)


if __name__ == "__main__":
    main()
