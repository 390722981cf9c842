"""What a lenient reading left out is not known, of exactly the Services that it might concern."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from nptables import Cluster
from nptables.sources import load_objects
from tests.tracing.test_reasons import NODES, ON_BOTH, endpoint_slice, service

if TYPE_CHECKING:
    from collections.abc import Callable

LABEL = "kubernetes.io/service-name"


def other() -> dict[str, Any]:
    found = service(clusterIP="10.96.0.11", clusterIPs=["10.96.0.11"], selector={"app": "other"})
    found["metadata"]["name"] = "other"
    found["spec"]["ports"][0]["nodePort"] = 30081
    return found


def elsewhere() -> dict[str, Any]:
    found = service(clusterIP="10.96.0.12", clusterIPs=["10.96.0.12"])
    found["metadata"] |= {"name": "far", "namespace": "elsewhere"}
    found["spec"]["ports"][0]["nodePort"] = 30082
    return found


def unknown(raw: object, read: Callable[[list[Any]], Cluster]) -> set[str]:
    """The Services of which something is not known where `raw` is among the objects."""
    objects = [*NODES, service(selector={"app": "web"}), other(), elsewhere(), raw]
    cluster = read(objects)
    return {s.name for s in cluster.services.values() if cluster.unread_about(s)}


def from_objects(objects: list[Any]) -> Cluster:
    return Cluster.from_objects(objects, lenient=True)


def loaded(objects: list[Any]) -> Cluster:
    return load_objects(objects, lenient=True).cluster


def old_slice(**metadata: Any) -> dict[str, Any]:
    found = endpoint_slice(*ON_BOTH)
    found["apiVersion"] = "discovery.k8s.io/v1beta1"
    found["metadata"] |= metadata
    return found


def object_of(kind: str, **more: Any) -> dict[str, Any]:
    version = {"Endpoints": "v1", "Pod": "v1"}.get(kind, "apps/v1")
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "web"}, **more}


@pytest.mark.parametrize("read", [from_objects, loaded])
@pytest.mark.parametrize(
    ("raw", "concerned"),
    [
        # The label says whose slice it was.
        (old_slice(), {"web"}),
        (old_slice(name="NOT A NAME"), {"web"}),
        # A slice without the label belongs to nobody, one with broken labels to anybody there.
        (old_slice(labels={}), set()),
        (old_slice(labels=7), {"web", "other"}),
        (old_slice(labels={LABEL: 7}), {"web", "other"}),
        (old_slice(namespace=7, labels=7), {"web", "other", "far"}),
        # An address that cannot be read is an endpoint less.
        (endpoint_slice({"addresses": ["10.244.1.256"]}), {"web"}),
        # What is no slice by its own word, but may be meant to be one.
        ({**endpoint_slice(*ON_BOTH), "kind": "EndpointSlce"}, {"web"}),
        ("no object", {"web", "other", "far"}),
        # What cannot hold endpoints.
        ({"apiVersion": "v1", "kind": "Servce", "metadata": {"name": "web"}}, set()),
        ({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "NOT A NAME"}}, set()),
        ({"apiVersion": "v1", "kind": "Sevret", "metadata": {"name": "web"}}, set()),
    ],
)
def test_what_was_left_out_concerns_the_services_it_might_have_told_of(
    raw: object, concerned: set[str], read: Callable[[list[Any]], Cluster]
) -> None:
    assert unknown(raw, read) == concerned


@pytest.mark.parametrize(
    ("raw", "concerned"),
    [
        (object_of("Endpoints", subsets=7), {"web"}),
        (object_of("Pod", metadata={"name": "p", "labels": {"app": "other"}}, spec=7), {"other"}),
        (
            object_of(
                "Deployment",
                spec={"replicas": "2", "template": {"metadata": {"labels": {"app": "web"}}}},
            ),
            {"web"},
        ),
        (object_of("Pod", metadata={"name": "p", "labels": 7}), {"web", "other"}),
    ],
)
def test_endpoints_and_pods_concern_services_that_would_be_made_of_them(
    raw: object, concerned: set[str]
) -> None:
    assert unknown(raw, loaded) == concerned


def test_a_service_with_slices_does_not_miss_pods_and_endpoints() -> None:
    objects = [service(selector={"app": "web"}), endpoint_slice(*ON_BOTH)]
    broken = [object_of("Endpoints", subsets=7), object_of("Pod", metadata={"name": 7})]

    cluster = loaded([*NODES, *objects, *broken])

    assert cluster.unread_about(cluster.services["default", "web"]) == ()


@pytest.mark.parametrize(("name", "known"), [("node4", True), ("NOT A NAME", False)])
def test_a_node_that_was_left_out_makes_the_nodes_unknown(name: str, known: bool) -> None:  # noqa: FBT001
    raw = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}

    assert from_objects([*NODES, raw]).knows_all_nodes is known


def test_a_whole_cluster_has_nothing_unread() -> None:
    cluster = loaded([*NODES, service(), endpoint_slice(*ON_BOTH)])

    assert cluster.unread == ()


@pytest.mark.parametrize(("said", "unknown"), [("truncated", True), ("warning", False)])
def test_a_slice_that_was_cut_at_1000_addresses_says_so(said: str, unknown: bool) -> None:  # noqa: FBT001
    found = endpoint_slice(*ON_BOTH)
    found["metadata"]["annotations"] = {"endpoints.kubernetes.io/over-capacity": said}
    cluster = from_objects([*NODES, service(), found])

    assert bool(cluster.unread_about(cluster.services["default", "web"])) is unknown
