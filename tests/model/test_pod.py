"""A Pod is read from whatever stands in its place, without a word about what is wrong."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nptables import Family
from nptables.model import Pod

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=6,
)


def raw(**status: Any) -> dict[str, Any]:
    return {"kind": "Pod", "metadata": {"name": "a"}, "spec": {"nodeName": "n"}, "status": status}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({"podIP": "10.0.0.1"}, ("10.0.0.1",)),
        ({"podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}, {"ip": "FD00::1"}]},
         ("10.0.0.1", "fd00::1")),
        ({"podIP": "010.0.0.1"}, ("10.0.0.1",)),
        ({"podIP": "nonsense"}, ()),
        ({"phase": "Failed", "podIP": "10.0.0.1"}, ()),
        ({}, ()),
    ],
)  # fmt: skip
def test_the_addresses_are_those_of_a_pod_that_lives(
    status: dict[str, Any], expected: tuple[str, ...]
) -> None:
    pod = Pod.read(raw(**status))

    assert pod is not None
    assert (pod.namespace, pod.name, pod.node_name) == ("default", "a", "n")
    assert pod.addresses == expected


def test_a_family_has_the_first_address_that_is_of_it() -> None:
    pod = Pod.read(raw(podIPs=[{"ip": "fd00::1"}, {"ip": "10.0.0.1"}, {"ip": "10.0.0.2"}]))

    assert pod is not None
    assert pod.address(Family.IPV4) == "10.0.0.1"
    assert pod.address(Family.IPV6) == "fd00::1"


@given(ANYTHING, ANYTHING, ANYTHING)
def test_nothing_that_stands_there_is_an_error(metadata: Any, spec: Any, status: Any) -> None:
    named = {"metadata": {"name": "a"}, "spec": spec, "status": status}

    assert Pod.read(named) is not None
    Pod.read({"metadata": metadata, "spec": spec, "status": status})
    Pod.read(metadata)
