"""Fields that are named wrongly beside the field that was meant."""

from __future__ import annotations

import pytest

from nptables import Cluster, InvalidInput


def test_a_field_that_is_there_under_its_own_name_too_is_read_and_checked() -> None:
    ports = [{"port": "80", "protocol": "tcp"}]
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"prots": ports, "ports": ports},
    }
    with pytest.raises(InvalidInput) as caught:
        Cluster.from_objects([service])
    assert [problem.field for problem in caught.value.problems] == [
        "spec.prots",
        "spec.ports[0].port",
        "spec.ports[0].protocol",
    ]


def test_nothing_is_said_of_a_field_that_is_there_under_a_wrong_name_only() -> None:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"prots": [{"port": 80}]},
    }
    with pytest.raises(InvalidInput) as caught:
        Cluster.from_objects([service])
    assert [problem.field for problem in caught.value.problems] == ["spec.prots"]
