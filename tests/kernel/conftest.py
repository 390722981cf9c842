from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.kernel.nodes import Node
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


@pytest.fixture
def node(netns: Namespace) -> Node:
    """A namespace without any rule in which the library works, once for each backend."""
    return Node(netns)


@pytest.fixture
def legacy_node() -> Iterator[Node]:
    """The same with the legacy backend only."""
    requires("root", "netns", "legacy")
    with network_namespace("legacy") as namespace:
        yield Node(namespace)


@pytest.fixture
def nft_node() -> Iterator[Node]:
    """The same with the nft backend only."""
    requires("root", "netns", "nft")
    with network_namespace("nft") as namespace:
        yield Node(namespace)
