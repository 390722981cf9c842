"""A manifest is accepted or refused as kube-apiserver 1.36 did, naming the same field."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from nptables import Cluster, InvalidInput
from nptables.sources import load_objects
from tests.support.scenarios import FIXTURES

CASES = json.loads((FIXTURES / "apiserver" / "validation.json").read_text())
# Accepted in a dry run, and nothing that a kernel rule can hold: the README there says so.
IMPOSSIBLE = {
    "Service/nodePort-too-big": "spec.ports[0].nodePort",
    "EndpointSlice/port-0": "ports[0].port",
    "EndpointSlice/port-65536": "ports[0].port",
}
Object = dict[str, Any]


def refused(*objects: Object) -> list[str]:
    """Return the fields that are complained of; none where the objects are accepted."""
    try:
        Cluster.from_objects(objects)
    except InvalidInput as error:
        return sorted(problem.field for problem in error.problems)
    return []


def as_written(field: str) -> str:
    # The server's validation spells this one field with a capital L, the API with a small one.
    return field.replace("spec.LoadBalancerSourceRanges", "spec.loadBalancerSourceRanges")


def test_the_recorded_cases_are_all_there() -> None:
    assert len(CASES) == 69


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_each_recorded_object_is_judged_as_the_server_judged_it(case: Object) -> None:
    found = refused(case["object"])

    if case["case"] in IMPOSSIBLE:
        assert found == [IMPOSSIBLE[case["case"]]]
    elif case["causes"]:
        assert found == sorted(as_written(cause["field"]) for cause in case["causes"])
    else:
        # For what it cannot decode the server names no field path.
        assert bool(found) is not case["accepted"]


def service(**spec: Any) -> Object:
    base: Object = {"type": "NodePort", "clusterIP": "10.96.0.7", "ports": [{"port": 80}]}
    base.update(spec)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "v"},
        "spec": {key: value for key, value in base.items() if value is not ...},
    }


# The field comes from ValidateService and its neighbours in Kubernetes 1.36; None is accepted.
OF_THAT_KIND: list[tuple[Object, str | None]] = [
    (service(type="ExternalName", externalName="db.example.com", clusterIP=..., ports=...), None),
    (service(type="ExternalName", clusterIP=..., ports=...), "spec.externalName"),
    (
        service(type="ExternalName", externalName="A_b", clusterIP=..., ports=...),
        "spec.externalName",
    ),
    (
        service(type="ExternalName", externalName="a.example", ports=...),
        "spec.clusterIPs",
    ),
    (
        service(type="ExternalName", externalName="a.example", clusterIP=..., ipFamilies=["IPv4"]),
        "spec.ipFamilies",
    ),
    (service(type="ClusterIP", clusterIP="None", ports=...), None),
    (service(type="LoadBalancer", clusterIP="None"), "spec.clusterIPs[0]"),
    (service(type="LoadBalancer", ports=[{"port": 10250}]), "spec.ports[0]"),
    (service(type="NodePort", ports=[{"port": 10250}]), None),
    (service(type="Nodeport"), "spec.type"),
    (service(sessionAffinity="clientip"), "spec.sessionAffinity"),
    (service(sessionAffinity="None", sessionAffinityConfig={}), None),
    (service(ports=[{"port": 80, "targetPort": 0}]), None),
    (service(ports=[{"port": 80, "targetPort": ""}]), None),
    (service(ports=[{"port": 80, "targetPort": 65536}]), "spec.ports[0].targetPort"),
    (service(ports=[{"port": 80, "targetPort": -1}]), "spec.ports[0].targetPort"),
    (service(ports=[{"port": 80, "targetPort": "a" * 16}]), "spec.ports[0].targetPort"),
    (service(ports=[{"port": 80, "targetPort": "8080"}]), "spec.ports[0].targetPort"),
    (service(ports=[{"port": 80, "targetPort": "a--b"}]), "spec.ports[0].targetPort"),
    (service(ports=[{"port": 80, "targetPort": "-a"}]), "spec.ports[0].targetPort"),
    (service(ports=[{"port": 80, "targetPort": "http"}]), None),
    (service(ports=[{"port": 80, "appProtocol": "kubernetes.io/h2c"}]), None),
    (service(ports=[{"port": 80, "appProtocol": "h2c!"}]), "spec.ports[0].appProtocol"),
    (service(ports=[{"port": 80, "name": "a"}, {"port": 80, "name": "b"}]), "spec.ports[1]"),
    (
        service(
            ports=[{"port": 53, "name": "a"}, {"port": 53, "name": "b", "protocol": "UDP"}],
        ),
        None,
    ),
    (service(selector={"app": "a b"}), "spec.selector.app"),
    (service(selector={"app": ""}), None),
    (service(selector={"a b": "x"}), "spec.selector"),
    (service(clusterIPs=["10.96.0.8"]), "spec.clusterIPs"),
    (service(clusterIP=..., clusterIPs=["10.96.0.8"]), "spec.clusterIPs"),
    (
        service(clusterIP="None", clusterIPs=["None", "10.96.0.8"], type="ClusterIP"),
        "spec.clusterIPs",
    ),
    (
        service(clusterIPs=["10.96.0.7", "10.96.0.8"], ipFamilyPolicy="PreferDualStack"),
        "spec.clusterIPs",
    ),
    (service(clusterIPs=["10.96.0.7", "fd00::7"]), "spec.ipFamilyPolicy"),
    (service(clusterIPs=["10.96.0.7", "fd00::7"], ipFamilyPolicy="RequireDualStack"), None),
    (service(ipFamilies=["IPv6"]), "spec.clusterIPs[0]"),
    (service(ipFamilyPolicy="DualStack"), "spec.ipFamilyPolicy"),
    (service(clusterIP="::ffff:10.96.0.7"), "spec.clusterIPs[0]"),
    (service(externalIPs=["0.0.0.0"]), "spec.externalIPs[0]"),
    (service(externalIPs=["224.0.0.5"]), "spec.externalIPs[0]"),
    (service(externalIPs=["fe80::1"]), "spec.externalIPs[0]"),
    (service(externalIPs=["::1"]), "spec.externalIPs[0]"),
    (service(externalIPs=["198.51.100.1", "01.2.3.4"]), "spec.externalIPs[1]"),
    (service(type="LoadBalancer", loadBalancerSourceRanges=[" 10.0.0.0/8 "]), None),
    (
        service(type="LoadBalancer", loadBalancerSourceRanges=["010.0.0.0/8"]),
        "spec.loadBalancerSourceRanges[0]",
    ),
    (service(loadBalancerClass="example.com/lb"), "spec.loadBalancerClass"),
    (service(type="LoadBalancer", loadBalancerClass="example.com/lb"), None),
    (service(allocateLoadBalancerNodePorts=False), "spec.allocateLoadBalancerNodePorts"),
    (service(type="ClusterIP", externalIPs=["198.51.100.1"], externalTrafficPolicy="Local"), None),
    (service(type="ClusterIP", externalTrafficPolicy="Cluster"), "spec.externalTrafficPolicy"),
    (
        service(type="LoadBalancer", externalTrafficPolicy="Local", healthCheckNodePort=31000),
        None,
    ),
    (service(internalTrafficPolicy="local"), "spec.internalTrafficPolicy"),
    (service(ipFamilies=["IPv4", "IPv6"]), "spec.ipFamilyPolicy"),
    (service(prots=[]), "spec.prots"),
]


@pytest.mark.parametrize(("raw", "field"), OF_THAT_KIND)
def test_what_was_not_recorded_is_judged_by_the_same_rules(raw: Object, field: str | None) -> None:
    assert refused(raw) == ([] if field is None else [field])


def endpoint_slice(**fields: Any) -> Object:
    base: Object = copy.deepcopy(next(c for c in CASES if c["case"] == "EndpointSlice/ok"))[
        "object"
    ]
    return {**base, **fields}


def one(**fields: Any) -> list[Object]:
    return [{"addresses": ["10.244.0.5"], **fields}]


SLICES: list[tuple[Object, str | None]] = [
    (endpoint_slice(endpoints=one(addresses=["127.0.0.1"])), "endpoints[0].addresses[0]"),
    (endpoint_slice(endpoints=one(addresses=["169.254.0.1"])), "endpoints[0].addresses[0]"),
    (endpoint_slice(endpoints=one(hostname="a.b")), "endpoints[0].hostname"),
    (endpoint_slice(endpoints=one(hostname="a-b")), None),
    (
        endpoint_slice(endpoints=one(hints={"forZones": [{"name": "a"}, {"name": "a"}]})),
        "endpoints[0].hints.forZones[1].name",
    ),
    (
        endpoint_slice(endpoints=one(hints={"forNodes": [{"name": "Node_1"}]})),
        "endpoints[0].hints.forNodes[0].name",
    ),
    (endpoint_slice(ports=[{"port": 1}, {"port": 2}]), "ports[1].name"),
    (endpoint_slice(ports=[{"port": 1, "appProtocol": "!"}]), "ports[0].appProtocol"),
    (endpoint_slice(endpoints=one() * 1001), "endpoints"),
    (endpoint_slice(endpoints=one() * 1000), None),
    (
        endpoint_slice(addressType="FQDN", endpoints=one(addresses=["local"])),
        "endpoints[0].addresses[0]",
    ),
    (endpoint_slice(addressType=""), "addressType"),
    (endpoint_slice(endpoints=one(conditions={"raedy": True})), "endpoints[0].conditions.raedy"),
    (
        endpoint_slice(endpoints=[*one(), *one(targetRef={"nmae": "x"})]),
        "endpoints[1].targetRef.nmae",
    ),
    (endpoint_slice(endpoints=one(zone=7)), "endpoints[0].zone"),
]


@pytest.mark.parametrize(("raw", "field"), SLICES)
def test_slices_are_judged_by_the_same_rules(raw: Object, field: str | None) -> None:
    assert refused(raw) == ([] if field is None else [field])


def node(**fields: Any) -> Object:
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}, **fields}


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (node(spec={"podCIDRs": ["10.0.0.0/24", "fd00::/64"]}), None),
        (node(spec={"podCIDRs": ["10.0.0.0/24", "10.0.1.0/24"]}), "spec.podCIDRs"),
        (node(spec={"podCIDRs": ["10.0.0.0"]}), "spec.podCIDRs[0]"),
        (node(spec={"taints": [{"key": "a", "effect": "NoShedule"}]}), "spec.taints[0].effect"),
        (node(spec={"taints": [{"effect": "NoSchedule"}]}), "spec.taints[0].key"),
        (
            node(status={"addresses": [{"type": "InternalIP", "address": "x"}]}),
            "status.addresses[0].address",
        ),
        (node(metadata={"name": "n", "labels": {"a": "b c"}}), "metadata.labels.a"),
        (node(metadata={"name": "n", "labels": {"a b": "c"}}), "metadata.labels"),
        (
            node(metadata={"name": "n", "creationTimestamp": "yesterday"}),
            "metadata.creationTimestamp",
        ),
        (node(metadata={"name": "Node_1"}), "metadata.name"),
    ],
)
def test_nodes_are_judged_by_the_same_rules(raw: Object, field: str | None) -> None:
    assert refused(raw) == ([] if field is None else [field])


def test_every_problem_of_every_object_is_found_at_once() -> None:
    wrong = [service(type="Nodeport", sessionAffinity="x"), endpoint_slice(addressType="ipv4")]

    assert refused(*wrong) == ["addressType", "spec.sessionAffinity", "spec.type"]


def test_a_wrong_type_is_reported_once_and_not_again_for_what_is_in_it() -> None:
    assert refused({**service(), "spec": "text"}) == ["spec"]


def test_a_field_that_was_meant_is_not_missed_as_well() -> None:
    assert refused(service(ports=..., prots=[{"port": 80}])) == ["spec.prots"]


@pytest.mark.parametrize("metadata", [None, {}, {"name": None}, {"name": ""}, {"name": 7}, "x"])
@pytest.mark.parametrize("lenient", [True, False])
def test_an_object_without_a_name_is_always_reported(metadata: Any, lenient: Any) -> None:
    loaded = load_objects([{**service(), "metadata": metadata}], lenient=lenient)

    (problem,) = loaded.problems
    assert problem.field in ("metadata", "metadata.name")


def test_lenient_reading_takes_what_strict_reading_refuses_for_its_shape() -> None:
    cluster = Cluster.from_objects([service(prots=[], type="ClusterIP")], lenient=True)

    assert ("default", "v") in cluster.services
