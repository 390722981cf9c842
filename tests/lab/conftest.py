from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.lab.laboratory.cluster import Cluster, kept_cluster
from tests.lab.laboratory.lab import Laboratory, laboratory
from tests.support.netns import BACKENDS, remove_orphans
from tests.support.requirements import requires

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session", params=BACKENDS)
def standing_lab(request: pytest.FixtureRequest) -> Iterator[Laboratory]:
    """The network, which stands for all tests of a backend."""
    requires("root", "netns", request.param, "bridge netfilter", "conntrack")
    remove_orphans()
    with laboratory(request.param) as lab:
        yield lab


@pytest.fixture
def lab(standing_lab: Laboratory) -> Iterator[Laboratory]:
    """A laboratory without any rule, once for each backend."""
    yield standing_lab
    standing_lab.clear()


@pytest.fixture(scope="module")
def standing_cluster(
    standing_lab: Laboratory, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """A cluster whose nodes are kept by agents, for all tests of a module and a backend."""
    with kept_cluster(standing_lab, tmp_path_factory.mktemp("agents")) as found:
        yield found


@pytest.fixture
def cluster(standing_cluster: Cluster) -> Iterator[Cluster]:
    """The cluster without Services."""
    yield standing_cluster
    if any(o["kind"] == "Service" for o in standing_cluster.server.objects()):
        standing_cluster.delete()
