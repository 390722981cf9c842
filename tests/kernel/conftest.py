from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.netns import BACKENDS, network_namespace, remove_orphans
from tests.support.requirements import requires

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.netns import Backend, Namespace


@pytest.fixture(scope="session", autouse=True)
def _no_orphans() -> None:
    remove_orphans()


@pytest.fixture(params=BACKENDS)
def netns(request: pytest.FixtureRequest) -> Iterator[Namespace]:
    """A namespace without any rule, once for each backend."""
    backend: Backend = request.param
    requires("root", "netns", backend)
    with network_namespace(backend) as namespace:
        yield namespace
