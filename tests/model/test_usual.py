"""What is read in one pass is read as by the passes that look at each field."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nptables import Cluster
from nptables.family import Family
from nptables.model import names
from nptables.model.endpointslice import Endpoint, EndpointSlice, read_endpoint_slice
from nptables.model.objects import ObjectReading, reader_for
from nptables.model.service import Service, read_service
from nptables.model.usual import (
    ReadEndpoints,
    read_early,
    usual_endpoints,
    usual_service,
    usual_slice,
)
from nptables.model.validation import validate
from tests.support.clusters import endpoint, endpoint_slice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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


SERVICE: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {
        "name": "web",
        "namespace": "shop",
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"},
        "creationTimestamp": "2026-01-02T03:04:05Z",
        "labels": {"app": "web"},
    },
    "spec": {
        "type": "NodePort",
        "clusterIP": "10.96.0.1",
        "clusterIPs": ["10.96.0.1"],
        "ipFamilies": ["IPv4"],
        "ipFamilyPolicy": "SingleStack",
        "internalTrafficPolicy": "Cluster",
        "externalTrafficPolicy": "Local",
        "sessionAffinity": "None",
        "selector": {"app": "web"},
        "ports": [
            {"name": "http", "protocol": "TCP", "port": 80, "targetPort": "web", "nodePort": 30080},
            {"name": "dns", "protocol": "UDP", "port": 53, "targetPort": 53, "nodePort": 30053},
        ],
    },
    "status": {"loadBalancer": {}},
}
SLICE: dict[str, Any] = {
    "apiVersion": "discovery.k8s.io/v1",
    "kind": "EndpointSlice",
    "metadata": {
        "name": "web-abcde",
        "namespace": "shop",
        "labels": {"kubernetes.io/service-name": "web"},
        "managedFields": [{"time": "2026-03-04T05:06:07Z"}],
    },
    "addressType": "IPv4",
    "ports": [{"name": "http", "protocol": "TCP", "port": 8080}, {"protocol": "UDP", "port": 53}],
    "endpoints": [
        {**USUAL, "targetRef": {"kind": "Pod", "name": "web-1"}, "zone": "a"},
        {**USUAL, "targetRef": {"kind": "Pod", "name": "web-2", "namespace": "other"}},
    ],
}
SLICE_V6: dict[str, Any] = {
    **SLICE,
    "addressType": "IPv6",
    "endpoints": [{**each, "addresses": ["fd00:1::2"]} for each in SLICE["endpoints"]],
}
# What decides something, is refused somewhere, or is right in another field.
VALUES: tuple[Any, ...] = (
    *ODD, "web", "a" * 81, "a.b", "Cluster", "ClusterIP", "LoadBalancer", "ClientIP", "IPv6", "UDP",
    "10.96.0.2", "010.96.0.1", "None", "no--name", "2026-02-03T04:05:06Z", 80, 30080, 65536,
    ["10.96.0.2"], ["IPv6"], ["10.96.0.1", "fd00::1"], {"app": "Bad value"}, {"Bad key": "web"},
    {"app": 1}, {1: "web"}, {"service.kubernetes.io/topology-mode": "Auto"},
    {"nptables.io/ignore": "all"}, {"example.com/note": "a b"},
    {"service.beta.kubernetes.io/load-balancer-source-ranges": "10.0.0.0/8"},
    {"endpoints.kubernetes.io/last-change-trigger-time": "2026-04-05T06:07:08Z"},
    {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}},
)  # fmt: skip
GONE = object()
MORE = ("unknown", "annotations", "labels", "deletionTimestamp", "namespace", "externalIPs")


def paths(value: Any) -> Iterator[tuple[Any, ...]]:
    """Every place in an object, and places where something more could stand."""
    if isinstance(value, dict):
        for key in dict.fromkeys((*value, *MORE)):
            yield (key,)
            yield from ((key, *path) for path in paths(value.get(key)))
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield (position,)
            yield from ((position, *path) for path in paths(item))


def changed(usual: dict[str, Any]) -> st.SearchStrategy[Any]:
    """An object with other values in one or two places, or in none."""
    place = st.sampled_from(list(paths(usual)))
    change = st.tuples(place, st.sampled_from([*VALUES, GONE]))
    return st.lists(change, max_size=2).map(lambda changes: _with(usual, changes))


def _with(usual: dict[str, Any], changes: list[tuple[tuple[Any, ...], Any]]) -> Any:
    found = copy.deepcopy(usual)
    for (*way, last), value in changes:
        holder: Any = found
        for step in way:
            holder = holder[step] if _has(holder, step) else {}
        if value is GONE and _has(holder, last):
            del holder[last]
        elif value is not GONE and (isinstance(holder, dict) or _has(holder, last)):
            holder[last] = copy.deepcopy(value)
    return found


def _has(holder: Any, step: Any) -> bool:
    if isinstance(holder, list):
        return isinstance(step, int) and step < len(holder)
    return isinstance(holder, dict) and step in holder


def in_all_passes(
    raw: Any, kind: str, read: Callable[[Any, Any], Any], *, lenient: bool
) -> tuple[Any, list[Problem]]:
    """An object as each field is looked at, and every problem with it."""
    problems: list[Problem] = []
    is_name = names.is_label if kind == "Service" else names.is_subdomain
    reader = reader_for(raw, 0, kind, is_name, lenient=lenient, problems=problems)
    if reader is None or not names.is_label(reader.namespace):
        return None, problems
    if not lenient:
        validate(raw, kind, reader)
    return read(raw, reader), problems


@given(raw=changed(SERVICE), lenient=st.booleans())
def test_a_service_that_is_taken_has_no_problem_and_is_read_alike(
    *, raw: Any, lenient: bool
) -> None:
    """Whatever it holds, for manifests and for what a server stores."""
    found = usual_service(raw)
    if found is not None:
        expected = in_all_passes(raw, "Service", read_service, lenient=lenient)
        assert expected == (found, [])
        assert _noted(expected[0]) == _noted(found)


@given(raw=changed(SLICE) | changed(SLICE_V6), lenient=st.booleans())
def test_a_slice_that_is_taken_has_no_problem_and_is_read_alike(*, raw: Any, lenient: bool) -> None:
    """Whatever it holds, for manifests and for what a server stores."""
    found = usual_slice(raw)
    if found is not None:
        expected = in_all_passes(raw, "EndpointSlice", read_endpoint_slice, lenient=lenient)
        assert expected == (found, [])
        assert _noted(expected[0]) == _noted(found)


@given(raw=changed(SLICE) | changed(SLICE_V6), lenient=st.booleans())
def test_endpoints_that_were_read_early_change_nothing(*, raw: Any, lenient: bool) -> None:
    """Neither what is read nor what is wrong, whatever the rest of the slice is like."""
    early = copy.deepcopy(raw)
    read_early(early)
    readings = [ObjectReading(lenient), ObjectReading(lenient)]

    for reading, each in zip(readings, (raw, early), strict=True):
        reading.read_one(each, 0)
        reading.read_one(each, 1)

    assert readings[0].slices == readings[1].slices
    assert readings[0].problems == readings[1].problems
    assert readings[0].unread == readings[1].unread


def test_the_endpoints_of_slices_are_read_early_and_nothing_else_is_touched() -> None:
    """What they are read from takes memory; endpoints of another kind may mean anything."""
    of_slice, of_another = copy.deepcopy(SLICE), {**copy.deepcopy(SLICE), "kind": "Mirror"}
    read_early(of_slice)
    read_early(of_another)

    assert type(of_slice["endpoints"]) is ReadEndpoints
    assert [each.target for each in of_slice["endpoints"]] == ["shop/web-1", "other/web-2"]
    assert of_another == {**SLICE, "kind": "Mirror"}


def _noted(found: Service | EndpointSlice) -> tuple[str, str]:
    """What does not count when two objects are compared."""
    return found.metadata.changed, found.metadata.ignore


def test_objects_as_a_cluster_has_them_are_taken() -> None:
    """Else every field of a large cluster would be looked at three times."""
    service, endpoints = usual_service(SERVICE), usual_slice(SLICE)
    six = usual_slice(SLICE_V6)

    assert service is not None
    assert endpoints is not None
    assert six is not None
    assert six.family is Family.IPV6
    assert [port.target_port for port in service.ports] == ["web", 53]
    assert [endpoint.target for endpoint in endpoints.endpoints] == ["shop/web-1", "other/web-2"]


@pytest.mark.parametrize("number", [True, 1.0])
def test_a_port_that_only_equals_a_number_seen_before_is_not_taken(number: object) -> None:
    """Ports that many slices have are remembered, and True is equal to 1."""

    def slice_with(port: object) -> dict[str, Any]:
        return {**SLICE, "ports": [{"name": "web", "protocol": "TCP", "port": port}]}

    assert usual_slice(slice_with(1)) is not None
    assert usual_slice(slice_with(number)) is None


def test_a_node_that_many_endpoints_name_is_one_text() -> None:
    """Else its name would be there as often as it has endpoints."""
    read = [usual_endpoints(json.loads(json.dumps(SLICE))) or () for _ in range(2)]
    names = [endpoint.node_name for endpoints in read for endpoint in endpoints[:1]]

    assert len(names) == 2
    assert names[0] is names[1]


def test_names_and_addresses_with_line_feeds_are_not_taken() -> None:
    """They are looked at all at once, with line feeds between them."""
    for address, name in (("10.0.0.1\n10.0.0.2", "web-1"), ("10.0.0.1", "web-1\nweb-2")):
        endpoint = {**USUAL, "addresses": [address], "targetRef": {"kind": "Pod", "name": name}}
        raw = {"addressType": "IPv4", "metadata": {"name": "web"}, "endpoints": [endpoint]}
        found = usual_endpoints(raw)

        assert found is None or found[0].target == ""


@pytest.mark.parametrize(
    ("reference", "target"),
    [
        ({"kind": "Pod", "name": "web-1", "namespace": "shop"}, "shop/web-1"),
        ({"kind": "Pod", "name": "web-1"}, "default/web-1"),
        ({"kind": "Node", "name": "node1"}, ""),
        ({"kind": "Pod", "name": "no name"}, ""),
    ],
)
@pytest.mark.parametrize("unusual", [{}, {"hostname": "web"}])
def test_the_pod_behind_an_endpoint_is_one_that_can_be(
    reference: dict[str, str], target: str, unusual: dict[str, str]
) -> None:
    objects = [endpoint_slice(endpoint("10.0.0.1", targetRef=reference, **unusual))]
    (found,) = Cluster.from_objects(objects, lenient=True).slices.values()

    assert [each.target for each in found.endpoints] == [target]
