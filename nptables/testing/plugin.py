"""pytest fixtures: put `pytest_plugins = ["nptables.testing.plugin"]` into conftest.py.

def test_the_node_port_answers_on_node1(assert_reaches):
    assert_reaches("manifests/", "outside", "nodeport:30080", node="node1")
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nptables.testing.reaching import check_reaches, check_reaches_not
from nptables.tracing import Trace


@pytest.fixture
def assert_reaches() -> Callable[..., Trace]:
    """A function that fails the test unless every packet arrives; see `reaches`."""
    return check_reaches


@pytest.fixture
def assert_reaches_not() -> Callable[..., Trace]:
    """A function that fails the test if any packet arrives; see `reaches`."""
    return check_reaches_not
