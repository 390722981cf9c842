from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

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
