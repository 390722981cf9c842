"""The assertions that other projects use in their tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nptables import Cluster
from nptables.testing.plugin import assert_reaches, assert_reaches_not
from tests.support.scenarios import FIXTURES
from tests.tracing.test_reasons import NODES, ON_BOTH, endpoint_slice, service

if TYPE_CHECKING:
    from collections.abc import Callable

    from nptables import Trace

__all__ = ["assert_reaches", "assert_reaches_not"]

TUTORIAL = FIXTURES / "tutorial" / "two-nodes.yaml"
LOCAL = [*NODES, service(externalTrafficPolicy="Local"), endpoint_slice(*ON_BOTH)]


def test_a_file_a_cluster_and_objects_can_be_asked(assert_reaches: Callable[..., Trace]) -> None:
    answer = assert_reaches(TUTORIAL, "outside", "nodeport:30080", node="node2")

    assert answer.outcomes[0].where == "10.233.64.5:80"
    assert_reaches(LOCAL, "outside", "nodeport:30080", node="node1")
    assert_reaches(Cluster.from_objects(LOCAL), "node", "svc:default/web", node="node2")


def test_what_does_not_arrive_fails_with_the_reason(assert_reaches: Callable[..., Trace]) -> None:
    with pytest.raises(AssertionError, match="externalTrafficPolicy Local and none of its 2"):
        assert_reaches(LOCAL, "outside", "nodeport:30080", node="node2")


def test_what_must_not_arrive_can_be_asserted(assert_reaches_not: Callable[..., Trace]) -> None:
    assert_reaches_not(LOCAL, "outside", "nodeport:30080", node="node2")
    with pytest.raises(AssertionError, match="outside reaches nodeport:30080"):
        assert_reaches_not(LOCAL, "outside", "nodeport:30080", node="node1")
