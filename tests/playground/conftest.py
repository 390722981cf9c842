"""The page is built once, and each browser started once; only files are asked, no cluster.

Each test of the page is one of chromium, and with the mark `firefox`, or NPTABLES_PLAYGROUND=all,
one of Firefox, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.browsers import EVERYTHING, started
from tests.support.once import folder_of_all, once
from tests.support.sites import Site, served
from tests.support.tabs import BUILT, build

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

    from tests.support.browsers import Kind


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the page as it is now; of parallel workers the first builds it."""
    with once(folder_of_all(tmp_path_factory), "playground") as first:
        return build() if first else BUILT


@pytest.fixture
def site(built: Path) -> Iterator[Site]:
    """A server for one test, which may do with it what it likes."""
    with served(built) as found:
        yield found


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "browser" in metafunc.fixturenames:
        marked = metafunc.definition.get_closest_marker
        both = marked("firefox") or (EVERYTHING and not marked("chromium"))
        kinds = ["chromium", "firefox"] if both else ["chromium"]
        metafunc.parametrize("browser", kinds, indirect=True, scope="module")


@pytest.fixture(scope="module")
def browser(request: pytest.FixtureRequest) -> Iterator[Browser]:
    kind: Kind = request.param
    with started(kind) as found:
        yield found


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no command read the cluster of the person who runs the tests."""
    monkeypatch.setenv("HOME", "/nowhere")
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
