"""Models of the kubernetes client are what their dicts are, told without the package."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from nptables import Cluster, InvalidInput, ProxyConfig, translate
from nptables.family import Family
from nptables.model.clientmodels import from_client_model
from nptables.sources import load_objects
from tests.support.clients import deserialized
from tests.support.clusters import endpoint, endpoint_slice, node, service

client = pytest.importorskip("kubernetes.client")

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "p", "namespace": "default", "labels": {"app": "web"}},
    "spec": {"containers": [{"name": "c", "ports": [{"containerPort": 80, "name": "http"}]}]},
    "status": {"podIP": "10.244.1.9", "podIPs": [{"ip": "10.244.1.9"}], "phase": "Running"},
}
ENDPOINTS = {
    "apiVersion": "v1",
    "kind": "Endpoints",
    "metadata": {"name": "web", "namespace": "default"},
    "subsets": [{"addresses": [{"ip": "10.244.1.9"}], "ports": [{"port": 80}]}],
}
OBJECTS: list[dict[str, Any]] = [
    service(creationTimestamp="2026-01-31T12:00:00Z"),
    endpoint_slice(endpoint("10.244.1.1")),
    node("node1"),
    POD,
    ENDPOINTS,
]


def as_model(raw: dict[str, Any]) -> Any:
    """Return what the client makes of a server's answer."""
    return deserialized(client, raw)


@pytest.mark.parametrize("raw", OBJECTS, ids=lambda raw: raw["kind"])
def test_a_model_becomes_what_its_dict_was(raw: dict[str, Any]) -> None:
    found = json.loads(json.dumps(from_client_model(as_model(raw))))

    def without_empty(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: without_empty(v) for k, v in value.items() if v not in ({}, None)}
        return [without_empty(v) for v in value] if isinstance(value, list) else value

    assert without_empty(found) == without_empty(raw)


def test_models_in_a_list_have_no_kind_and_are_told_all_the_same() -> None:
    listed = as_model({"apiVersion": "v1", "kind": "ServiceList", "items": [service()]})
    listed.kind = listed.api_version = listed.items[0].kind = listed.items[0].api_version = None

    assert Cluster.from_objects([listed]) == Cluster.from_objects([service()])
    assert Cluster.from_objects(listed.items) == Cluster.from_objects([service()])


def test_models_give_the_rules_that_their_dicts_give() -> None:
    def rules(objects: list[Any]) -> str:
        cluster = load_objects(objects).cluster
        return translate(cluster, cluster.node("node1"), ProxyConfig(), Family.IPV4).to_save()

    assert "--to-destination 10.244.1.1:8080" in rules(OBJECTS)
    assert rules([as_model(raw) for raw in OBJECTS]) == rules(OBJECTS)


def test_the_output_of_to_dict_is_told_apart_and_explained() -> None:
    with pytest.raises(InvalidInput) as caught:
        Cluster.from_objects([as_model(service()).to_dict()])

    assert "to_dict()" in str(caught.value)
    assert "sanitize_for_serialization" in str(caught.value)


def test_a_model_is_told_by_its_shape_without_the_package() -> None:
    script = """
import sys
sys.modules["kubernetes"] = None
class V1ObjectMeta:
    openapi_types = {"name": "str"}; attribute_map = {"name": "name"}
    name = "n"
class V1Node:
    openapi_types = {"api_version": "str", "metadata": "V1ObjectMeta"}
    attribute_map = {"api_version": "apiVersion", "metadata": "metadata"}
    api_version = None; metadata = V1ObjectMeta()
from nptables import Cluster
print(*Cluster.from_objects([V1Node()]).nodes)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert done.stdout == "n\n"
