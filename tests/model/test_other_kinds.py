"""Kinds that only lead to endpoints, and objects that are meant to be of a kind that is read."""

from __future__ import annotations

from typing import Any

import pytest

from nptables import Cluster, InvalidInput
from nptables.sources import load_objects

Object = dict[str, Any]


def fields(raw: Object) -> list[str]:
    return [problem.field for problem in load_objects([raw]).problems]


def endpoints(*addresses: Object, **subset: Any) -> Object:
    ports = subset.pop("ports", [{"port": 80}])
    return {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": "web"},
        "subsets": [{"addresses": list(addresses), "ports": ports, **subset}],
    }


GOOD: Object = {"ip": "10.0.0.1"}


# The fields are those of ValidateEndpoints in Kubernetes 1.36.
@pytest.mark.parametrize(
    ("raw", "wrong"),
    [
        (endpoints(GOOD), []),
        (endpoints(), ["subsets[0]"]),
        (endpoints({}), ["subsets[0].addresses[0].ip"]),
        (endpoints({"ip": "x"}), ["subsets[0].addresses[0].ip"]),
        (endpoints({"ip": "127.0.0.1"}), ["subsets[0].addresses[0].ip"]),
        (endpoints(GOOD | {"nodeName": "A_b"}), ["subsets[0].addresses[0].nodeName"]),
        (endpoints(GOOD | {"hostname": "a.b"}), ["subsets[0].addresses[0].hostname"]),
        (endpoints(GOOD, notReadyAddresses=[{}]), ["subsets[0].notReadyAddresses[0].ip"]),
        (endpoints(GOOD, ports=[{"port": 0}]), ["subsets[0].ports[0].port"]),
        (endpoints(GOOD, ports=[{}]), ["subsets[0].ports[0].port"]),
        (
            endpoints(GOOD, ports=[{"port": 80, "protocol": "tcp"}]),
            ["subsets[0].ports[0].protocol"],
        ),
        (endpoints(GOOD, ports=[{"port": 80, "name": "A"}]), ["subsets[0].ports[0].name"]),
        (
            endpoints(GOOD, ports=[{"port": 80}, {"port": 81, "name": "b"}]),
            ["subsets[0].ports[0].name"],
        ),
    ],
)
def test_endpoints_are_judged_as_the_server_judges_them(raw: Object, wrong: list[str]) -> None:
    assert fields(raw) == wrong


def pod(spec: Object, status: Object | None = None) -> Object:
    found = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec}
    return found | {"status": status or {}}


def with_port(**port: Any) -> Object:
    return {"containers": [{"name": "c", "ports": [port]}]}


@pytest.mark.parametrize(
    ("raw", "wrong"),
    [
        (pod(with_port(containerPort=80, name="http")), []),
        (pod(with_port()), ["spec.containers[0].ports[0].containerPort"]),
        (pod(with_port(containerPort=0)), ["spec.containers[0].ports[0].containerPort"]),
        (pod(with_port(containerPort=1, name="A")), ["spec.containers[0].ports[0].name"]),
        (pod(with_port(containerPort=1, protocol="x")), ["spec.containers[0].ports[0].protocol"]),
        (pod({"nodeName": "A_b"}), ["spec.nodeName"]),
        (pod({"containers": {"name": "c"}}), ["spec.containers"]),
        (pod({}, {"podIP": "x"}), ["status.podIP"]),
        (pod({}, {"podIPs": [{"ip": "010.0.0.1"}]}), ["status.podIPs[0].ip"]),
        (pod({"containers": [{"resources": {"limits": {"cpu": 1, "memory": "1Gi"}}}]}), []),
    ],
)
def test_pods_are_judged_where_endpoints_depend_on_them(raw: Object, wrong: list[str]) -> None:
    assert fields(raw) == wrong


def deployment(**spec: Any) -> Object:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": spec}


LABELLED: Object = {"metadata": {"labels": {"a": "b"}}}


@pytest.mark.parametrize(
    ("raw", "wrong"),
    [
        (deployment(selector={"matchLabels": {"a": "b"}}, template=LABELLED), []),
        (deployment(), ["spec.template"]),
        (deployment(template=LABELLED), ["spec.selector"]),
        (
            deployment(selector={"matchLabels": {"a": "b"}}, template=LABELLED, replicas=-1),
            ["spec.replicas"],
        ),
        (
            deployment(selector={"matchLabels": {"a": "c"}}, template=LABELLED),
            ["spec.template.metadata.labels"],
        ),
    ],
)
def test_workloads_are_judged_where_their_pods_depend_on_it(raw: Object, wrong: list[str]) -> None:
    assert fields(raw) == wrong


ANNOTATION = "service.beta.kubernetes.io/load-balancer-source-ranges"


def service(annotations: Object, **spec: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "v", "annotations": annotations},
        "spec": {"ports": [{"port": 80}], **spec},
    }


@pytest.mark.parametrize(
    ("raw", "wrong"),
    [
        (service({"example.com/Note": "anything: at all"}), []),
        (service({"a b": ""}), ["metadata.annotations"]),
        (service({"big": "x" * 262_144}), ["metadata.annotations"]),
        (service({ANNOTATION: "10.0.0.0/8"}), [f"metadata.annotations[{ANNOTATION}]"]),
        (service({ANNOTATION: " 10.0.0.0/8, 192.0.2.0/24"}, type="LoadBalancer"), []),
        (
            service({ANNOTATION: "10.0.0.0"}, type="LoadBalancer"),
            [f"metadata.annotations[{ANNOTATION}]"],
        ),
    ],
)
def test_annotations_are_judged_as_the_server_judges_them(raw: Object, wrong: list[str]) -> None:
    assert fields(raw) == wrong


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (
            {"apiVersion": "v1", "kind": "Srevice"},
            'v1 has no kind "Srevice" (did you mean Service?)',
        ),
        ({"apiVersion": "apps/v1", "kind": "deployment"}, "did you mean Deployment?"),
        ({"apiVersion": "V1", "kind": "Secret"}, '"V1" is not an API version (v1)'),
        ({"apiVersion": "v2", "kind": "Service"}, '"v2" has no Service (write apiVersion: v1)'),
        ({"apiVersion": "extensions/v1beta1", "kind": "Deployment"}, "write apiVersion: apps/v1"),
        ({"apiVersion": 1, "kind": "Service"}, "must be text, not the number 1"),
        ({"apiVersion": "v1", "kind": ["Service"]}, "must be text, not a list"),
        ({"apiVersion": "v1", "Kind": "Service"}, "Kind: unknown field (did you mean kind?)"),
        ({"kind": "service"}, '"service" is not a kind (did you mean Service?)'),
        ({"kind": "Servce"}, '"Servce" is not a kind (did you mean Service?)'),
        ({"kind": "EndpointSlices"}, "did you mean EndpointSlice?"),
        ({"kind": "Secrt"}, "did you mean Secret?"),
        ({"kind": "Secret"}, "has no apiVersion (write apiVersion: v1)"),
        ({"kind": "Svc"}, "has no apiVersion"),
        ({"apiVersion": "v2", "kind": "Servce"}, '"v2" is not an API version (v1)'),
        ({"kind": "List", "items": [{"kind": "Servce"}]}, "did you mean Service?"),
        ({"kind": "Service"}, "has no apiVersion (write apiVersion: v1)"),
        (["a"], "must be a Kubernetes object, not a list"),
        (7, "must be a Kubernetes object, not the number 7"),
    ],
)
def test_what_is_meant_to_be_read_is_not_passed_over(raw: Any, said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Cluster.from_objects([raw])

    assert said in str(caught.value)


@pytest.mark.parametrize(
    "raw",
    [
        {"apiVersion": "v1", "kind": "Secret"},
        {"apiVersion": "v1", "kind": "SecretList", "items": None},
        {"apiVersion": "serving.knative.dev/v1", "kind": "Service"},
        {"apiVersion": "example.com/v1", "kind": "Node"},
        {"apiVersion": "example.com/v1", "kind": "Servce"},
        {"apiVersion": "example.com/v1", "kind": "AllowList"},
    ],
)
def test_kinds_of_others_are_passed_over(raw: Object) -> None:
    assert Cluster.from_objects([raw]) == Cluster()
