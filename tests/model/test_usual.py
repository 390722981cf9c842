"""Endpoints that are read in one pass are read as by the passes that look at each field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nptables.model import names
from nptables.model.endpointslice import Endpoint, read_endpoint_slice
from nptables.model.objects import reader_for
from nptables.model.usual import usual_endpoints
from nptables.model.validation import validate

if TYPE_CHECKING:
    from nptables.errors import Problem

# What may stand anywhere by mistake.
ODD: tuple[Any, ...] = (None, "", 1, 0, True, [], {}, "UPPER case", "a" * 254)


def field(*usual: Any) -> st.SearchStrategy[Any]:
    """Mostly what is usual, now and then what is not."""
    return st.sampled_from([*usual] * 30 + [*ODD])


def objects(required: dict[str, Any], optional: dict[str, Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries(required, optional=optional)


def flags() -> st.SearchStrategy[Any]:
    return st.sampled_from([*[True, False] * 30, *ODD])


REFERENCES = objects(
    {"kind": field("Pod", "Node"), "name": field("web-1", "a.b")},
    {"namespace": field("shop"), "uid": field("1-2"), "extra": field("x")},
)
ADDRESSES = field(
    *("10.0.0.1", "192.0.2.7", "127.0.0.1", "169.254.1.1", "010.0.0.1"),
    *("fd00::1", "2001:db8::1:2", "1:2:3:4:5:6:7:8", "2001:DB8::1", "fd00::0:1", "fd00::01"),
    *("1:2:3:4:5:6::7", "1:2:3:4:5::6", "1::2::3", "fd00::", "::1", "::ffff:10.0.0.1"),
    *("fe80::1", "ff02::1", "fd00::1\n"),
)
ENDPOINTS = objects(
    {
        "addresses": st.lists(ADDRESSES, min_size=1, max_size=2) | field(),
        "conditions": objects({"ready": flags()}, {"serving": flags(), "terminating": flags()})
        | field({"ready": True}),
        "nodeName": field("node1"),
    },
    {
        "targetRef": REFERENCES | field({"kind": "Pod", "name": "web-1"}),
        "zone": field("a"),
        "hostname": field("web-0"),
        "hints": field({"forZones": [{"name": "a"}]}),
        "unknown": field(),
    },
)
USUAL = {"addresses": ["10.0.0.1"], "conditions": {"ready": True}, "nodeName": "node1"}


def closely(raw: Any, *, lenient: bool) -> tuple[tuple[Endpoint, ...], list[Problem]]:
    """The endpoints as each field is looked at, and every problem of the slice."""
    problems: list[Problem] = []
    is_name = names.is_subdomain
    reader = reader_for(raw, 0, "EndpointSlice", is_name, lenient=lenient, problems=problems)
    assert reader is not None
    if not lenient:
        validate(raw, "EndpointSlice", reader)
    return read_endpoint_slice(raw, reader).endpoints, problems


@given(
    endpoints=st.lists(ENDPOINTS | st.just(USUAL), max_size=3),
    address_type=field("IPv4", "IPv6", "FQDN"),
    namespace=field("shop"),
    lenient=st.booleans(),
)
@example(endpoints=[USUAL] * 1001, address_type="IPv4", namespace="shop", lenient=False)
def test_what_is_taken_has_no_problem_and_is_read_alike(
    *, endpoints: Any, address_type: Any, namespace: Any, lenient: bool
) -> None:
    """Whatever an object holds: a look closer finds nothing else, or was asked for."""
    raw = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "web", "namespace": namespace},
        "addressType": address_type,
        "endpoints": endpoints,
    }
    found = usual_endpoints(raw)
    if found is None:
        return

    expected, problems = closely(raw, lenient=lenient)

    assert expected == found
    assert problems == closely({**raw, "endpoints": []}, lenient=lenient)[1]


@pytest.mark.parametrize(
    ("family", "address"),
    [
        ("IPv4", "10.0.0.1"),
        ("IPv6", "fd00:10:244:1::5"),
        ("IPv6", "2001:db8:1:2:3:4:5:6"),
        ("IPv6", "fd00:10:244:1:2::5"),
    ],
)
def test_a_slice_as_a_cluster_has_it_is_taken(family: str, address: str) -> None:
    """Else every endpoint of a large cluster would be looked at three times."""
    raw = {
        "addressType": family,
        "metadata": {"name": "web", "namespace": "shop"},
        "endpoints": [
            {
                "addresses": [address],
                "conditions": {"ready": False, "serving": True, "terminating": True},
                "nodeName": "node1",
                "targetRef": {"kind": "Pod", "namespace": "shop", "name": "web-1", "uid": "1"},
                "zone": "a",
            }
        ],
    }

    (found,) = usual_endpoints(raw) or ()

    assert (found.address, found.node_name, found.target) == (address, "node1", "shop/web-1")
    assert (found.ready, found.serving, found.terminating) == (False, True, True)
