"""Endpoints for Services without slices, as Kubernetes' own controllers would make them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from nptables import Family
from nptables.model import Endpoint
from nptables.sources import Loaded, load_objects
from tests.support.clusters import endpoint, endpoint_slice, node

Object = dict[str, Any]
SELECTOR = {"app": "web"}


def service(**spec: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "clusterIP": "10.96.0.7",
            "selector": SELECTOR,
            "ports": [{"port": 80, "targetPort": 8080}],
            **spec,
        },
    }


def pod(name: str = "p", ip: str = "10.244.1.5", *, ready: bool = True, **fields: Any) -> Object:
    metadata = {
        "name": name,
        "namespace": "default",
        "labels": SELECTOR,
        **fields.pop("metadata", {}),
    }
    status = {
        "phase": "Running",
        "podIP": ip,
        "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        **fields.pop("status", {}),
    }
    spec = {"nodeName": "node1", "containers": [{"name": "c"}], **fields.pop("spec", {})}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status}


def read(*objects: Object, **options: Any) -> Loaded:
    loaded = load_objects(objects, **options)
    assert [str(problem) for problem in loaded.problems] == []
    return loaded


def endpoints(loaded: Loaded) -> list[tuple[Endpoint, int]]:
    """Return each endpoint of the Service with its first port."""
    cluster = loaded.cluster
    slices = cluster.slices_of(cluster.services["default", "web"])
    return [(e, s.ports[0].port if s.ports else 0) for s in slices for e in s.endpoints]


def only_endpoint(*objects: Object) -> Endpoint:
    ((found, _),) = endpoints(read(*objects))
    return found


def test_a_pod_that_is_selected_is_an_endpoint() -> None:
    ((found, port),) = endpoints(read(service(), pod(), pod("other", metadata={"labels": {}})))

    assert found == Endpoint(
        "10.244.1.5",
        ready=True,
        serving=True,
        terminating=False,
        node_name="node1",
        target="default/p",
    )
    assert port == 8080


def test_a_service_with_slices_takes_no_endpoint_from_pods_or_endpoints_objects() -> None:
    old = {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": "web", "namespace": "default"},
        "subsets": [{"addresses": [{"ip": "10.244.1.8"}], "ports": [{"port": 1}]}],
    }
    loaded = read(service(), endpoint_slice(endpoint("10.244.1.9")), pod(), old)

    assert [found.address for found, _ in endpoints(loaded)] == ["10.244.1.9"]


# ready, serving, terminating as podToEndpoint of the EndpointSlice controller sets them.
@pytest.mark.parametrize(
    ("made", "publish", "conditions"),
    [
        (pod(), False, (True, True, False)),
        (pod(ready=False), False, (False, False, False)),
        (pod(ready=False), True, (True, False, False)),
        (pod(metadata={"deletionTimestamp": "2026-01-31T12:00:00Z"}), False, (False, True, True)),
        (pod(metadata={"deletionTimestamp": "2026-01-31T12:00:00Z"}), True, (True, True, True)),
    ],
)
def test_conditions_follow_readiness_deletion_and_publishing(
    made: Object, publish: Any, conditions: tuple[bool, bool, bool]
) -> None:
    found = only_endpoint(service(publishNotReadyAddresses=publish), made)

    assert (found.ready, found.serving, found.terminating) == conditions


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_pod_that_has_ended_is_no_endpoint(phase: str) -> None:
    assert endpoints(read(service(), pod(status={"phase": phase}))) == []


def test_a_pod_of_another_namespace_is_no_endpoint() -> None:
    assert endpoints(read(service(), pod(metadata={"namespace": "other"}))) == []


def test_a_service_without_selector_takes_no_pods() -> None:
    assert endpoints(read(service(selector={}), pod())) == []


def test_a_named_port_is_found_in_each_pod_for_itself() -> None:
    def with_port(number: int, **fields: Any) -> Object:
        ports = [{"name": "http", "containerPort": number, **fields}]
        return {"containers": [{"name": "c", "ports": ports}]}

    loaded = read(
        service(ports=[{"port": 80, "targetPort": "http"}]),
        pod("a", "10.244.1.1", spec=with_port(8080)),
        pod("b", "10.244.1.2", spec=with_port(9090)),
        pod("c", "10.244.1.3", spec=with_port(7070, protocol="UDP")),
    )

    assert {e.address: port for e, port in endpoints(loaded)} == {
        "10.244.1.1": 8080,
        "10.244.1.2": 9090,
        "10.244.1.3": 0,  # a slice without ports: the name is there for another protocol only
    }


def test_a_named_port_may_be_that_of_a_sidecar() -> None:
    port = {"name": "http", "containerPort": 15000}
    spec = {
        "initContainers": [
            {"name": "i", "ports": [{"name": "http", "containerPort": 1}]},
            {"name": "s", "restartPolicy": "Always", "ports": [port]},
        ]
    }

    ((_, number),) = endpoints(
        read(service(ports=[{"port": 80, "targetPort": "http"}]), pod(spec=spec))
    )

    assert number == 15000


def test_addresses_go_to_the_families_of_the_service() -> None:
    dual = service(
        clusterIPs=["10.96.0.7", "fd00::7"],
        ipFamilies=["IPv4", "IPv6"],
        ipFamilyPolicy="RequireDualStack",
    )
    both = pod(status={"podIPs": [{"ip": "10.244.1.5"}, {"ip": "fd00:10:244:1::5"}]})

    assert {e.address for e, _ in endpoints(read(dual, both))} == {"10.244.1.5", "fd00:10:244:1::5"}
    assert {e.address for e, _ in endpoints(read(service(), both))} == {"10.244.1.5"}


# Hints as trafficdist.ReconcileHints sets them: for ready endpoints only.
@pytest.mark.parametrize(
    ("distribution", "ready", "zones", "nodes"),
    [
        (None, True, set(), set()),
        ("PreferClose", True, {"zone-a"}, set()),
        ("PreferSameZone", True, {"zone-a"}, set()),
        ("PreferSameNode", True, {"zone-a"}, {"node1"}),
        ("PreferSameNode", False, set(), set()),
    ],
)
def test_hints_follow_the_traffic_distribution(
    distribution: str | None, ready: Any, zones: set[str], nodes: set[str]
) -> None:
    here = node("node1", **{"topology.kubernetes.io/zone": "zone-a"})

    found = only_endpoint(service(trafficDistribution=distribution), pod(ready=ready), here)

    assert (found.zone_hints, found.node_hints) == (zones, nodes)


def test_endpoints_objects_become_slices() -> None:
    raw = {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": "web", "namespace": "default"},
        "subsets": [
            {
                "addresses": [{"ip": "10.244.1.5", "nodeName": "node1"}, {"ip": "fd00::5"}],
                "notReadyAddresses": [{"ip": "10.244.1.6"}],
                "ports": [{"port": 9376}],
            }
        ],
    }

    loaded = read(service(selector={}), raw)

    found = {e.address: (e.ready, e.node_name, port) for e, port in endpoints(loaded)}
    assert found == {
        "10.244.1.5": (True, "node1", 9376),
        "10.244.1.6": (False, "", 9376),
        "fd00::5": (True, "", 9376),
    }


def workload(kind: str = "Deployment", name: str = "web", **spec: Any) -> Object:
    template = {
        "metadata": {"labels": SELECTOR},
        "spec": {"containers": [{"name": "c", "image": "i"}], **spec.pop("pod", {})},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "default", **spec.pop("metadata", {})},
        "spec": {"selector": {"matchLabels": SELECTOR}, "template": template, **spec},
    }


NODES = [node("node1"), node("node2"), node("node3")]


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "ReplicaSet"])
def test_replicas_that_were_never_applied_are_made_up_and_spread_over_the_nodes(kind: str) -> None:
    loaded = read(service(), workload(kind, replicas=6), *NODES)
    found = [e for e, _ in endpoints(loaded)]

    assert Counter(e.node_name for e in found) == {"node1": 2, "node2": 2, "node3": 2}
    assert len({e.address for e in found}) == 6
    # Each is of its node's own pod network: 10.244.N.0/24 for nodeN.
    assert all(e.address.startswith(f"10.244.{e.node_name[-1]}.") for e in found)
    (preview,) = loaded.previews
    assert str(preview).startswith(f"{kind} default/web: 6 Pods are invented: ")


def test_a_daemon_set_has_a_pod_on_each_node_that_takes_it() -> None:
    tainted = node("node2")
    tainted["spec"]["taints"] = [{"key": "a", "effect": "NoSchedule"}]
    nodes = [node("node1"), tainted, node("node3", disk="ssd")]

    def where(**pod_spec: Any) -> list[str]:
        loaded = read(service(), workload("DaemonSet", pod=pod_spec), *nodes)
        return sorted(e.node_name for e, _ in endpoints(loaded))

    assert where() == ["node1", "node3"]
    assert where(tolerations=[{"operator": "Exists"}]) == ["node1", "node2", "node3"]
    assert where(nodeSelector={"disk": "ssd"}) == ["node3"]


def test_made_up_pods_are_the_same_whatever_else_is_there() -> None:
    one = read(service(), workload(replicas=3), *NODES)
    other = service()
    other["metadata"]["name"] = "other"
    other["spec"] |= {"clusterIP": "10.96.0.8", "selector": {"app": "other"}}
    two = read(service(), workload(replicas=3), other, pod("x", metadata={"labels": {}}), *NODES)

    assert endpoints(one) == endpoints(two)


def test_pods_with_addresses_stand_instead_of_made_up_ones() -> None:
    loaded = read(service(), workload(replicas=3), pod())

    assert [e.address for e, _ in endpoints(loaded)] == ["10.244.1.5"]
    assert loaded.previews == ()


def test_a_pod_that_was_never_applied_is_made_up_too() -> None:
    bare = pod(spec={"nodeName": "node2"})
    del bare["status"]

    loaded = read(service(), bare, *NODES)

    ((found, _),) = endpoints(loaded)
    assert found.node_name == "node2"
    assert found.address.startswith("10.244.2.")
    assert [preview.field for preview in loaded.previews] == ["status.podIP"]


def test_host_network_pods_have_the_address_of_their_node() -> None:
    loaded = read(service(), workload("DaemonSet", pod={"hostNetwork": True}), *NODES)

    # node() gives nodeN the address 192.168.0.N.
    assert {e.node_name: e.address for e, _ in endpoints(loaded)} == {
        "node1": "192.168.0.1",
        "node2": "192.168.0.2",
        "node3": "192.168.0.3",
    }


def test_a_replica_set_that_a_deployment_answers_for_is_not_counted_twice() -> None:
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "u"}
    owned = workload(
        "ReplicaSet",
        "web-1",
        replicas=2,
        metadata={"ownerReferences": [owner | {"controller": True}]},
    )

    assert len(endpoints(read(service(), workload(replicas=2), owned, *NODES))) == 2


def test_a_million_replicas_are_refused_and_not_made() -> None:
    loaded = load_objects([service(), workload(replicas=1_000_000)])

    (problem,) = loaded.problems
    assert (problem.field, problem.message) == (
        "spec.replicas",
        "1000000 replicas are too many to make up",
    )


def test_without_previews_workloads_are_refused() -> None:
    loaded = load_objects([service(), workload(replicas=2)], preview=False)

    assert [problem.subject for problem in loaded.problems] == ["Deployment default/web"]


def test_a_workload_that_nothing_selects_is_left_alone() -> None:
    assert read(service(selector={"app": "api"}), workload(replicas=2)).previews == ()


def test_two_services_that_select_one_workload_have_the_same_pods() -> None:
    second = service(clusterIP="10.96.0.8")
    second["metadata"]["name"] = "second"
    cluster = read(service(), second, workload(replicas=2), *NODES).cluster

    first, other = (
        {e.address for s in cluster.slices_of(cluster.services["default", n]) for e in s.endpoints}
        for n in ("web", "second")
    )
    assert first == other
    assert len(first) == 2


def test_made_up_addresses_are_of_the_right_family() -> None:
    loaded = read(service(), workload(replicas=2))

    assert all(Family.of(e.address) is Family.IPV4 for e, _ in endpoints(loaded))


def other_workload(kind: str, version: str, spec: Object, **metadata: Any) -> Object:
    named = {"name": "web", "namespace": "default", **metadata}
    return {"apiVersion": version, "kind": kind, "metadata": named, "spec": spec}


TEMPLATE = {"metadata": {"labels": SELECTOR}, "spec": {"containers": [{"name": "c"}]}}


@pytest.mark.parametrize(
    ("kind", "version", "spec"),
    [
        ("Rollout", "argoproj.io/v1alpha1", {"template": TEMPLATE}),
        ("DeploymentConfig", "apps.openshift.io/v1", {"selector": SELECTOR, "template": TEMPLATE}),
        ("CloneSet", "apps.kruise.io/v1alpha1", {"template": TEMPLATE}),
        ("ReplicationController", "v1", {"selector": SELECTOR, "template": TEMPLATE}),
        ("Job", "batch/v1", {"template": TEMPLATE}),
        (
            "CronJob",
            "batch/v1",
            {"schedule": "@daily", "jobTemplate": {"spec": {"template": TEMPLATE}}},
        ),
        ("RayCluster", "ray.io/v1", {"headGroupSpec": {"template": TEMPLATE}}),
    ],
)
def test_any_kind_with_a_pod_template_is_a_workload(kind: str, version: str, spec: Object) -> None:
    loaded = read(service(), other_workload(kind, version, spec))

    assert len(endpoints(loaded)) == 1
    assert loaded.ignored == {}


@pytest.mark.parametrize(
    ("kind", "version", "spec"),
    [
        ("PodTemplate", "v1", {"template": TEMPLATE}),
        ("WorkflowTemplate", "argoproj.io/v1alpha1", {"templates": [{"container": {}}]}),
        ("Widget", "example.com/v1", {"template": {"metadata": {"labels": SELECTOR}}}),
        (
            "Widget",
            "example.com/v1",
            {"template": {**TEMPLATE, "spec": {"containers": [{"ports": 1}]}}},
        ),
    ],
)
def test_what_only_looks_like_a_pod_template_makes_no_pod(
    kind: str, version: str, spec: Object
) -> None:
    assert endpoints(read(service(), other_workload(kind, version, spec))) == []


def test_pods_of_a_job_count_only_where_nothing_lasting_is_selected() -> None:
    job = other_workload("Job", "batch/v1", {"template": TEMPLATE}, name="migrate")

    assert len(endpoints(read(service(), job, workload(replicas=2)))) == 2


@pytest.mark.parametrize("hook", ["helm.sh/hook", "argocd.argoproj.io/hook"])
def test_what_a_hook_makes_is_no_endpoint(hook: str) -> None:
    annotated = {"annotations": {hook: "test"}}
    bare = pod(metadata=annotated)
    del bare["status"]
    job = other_workload("Job", "batch/v1", {"template": TEMPLATE}, name="t", **annotated)

    assert endpoints(read(service(), bare, job)) == []
    assert len(endpoints(read(service(), bare, job, workload(replicas=2)))) == 2


def test_a_pod_that_runs_is_an_endpoint_whoever_made_it() -> None:
    running = pod(metadata={"annotations": {"helm.sh/hook": "test"}})

    assert len(endpoints(read(service(), running))) == 1


# What the StatefulSet, Job and Deployment controllers of Kubernetes 1.36 put on their Pods.
@pytest.mark.parametrize(
    ("kind", "label", "value", "count"),
    [
        ("StatefulSet", "statefulset.kubernetes.io/pod-name", "web-0", 1),
        ("StatefulSet", "statefulset.kubernetes.io/pod-name", "web-3", 0),
        ("StatefulSet", "apps.kubernetes.io/pod-index", "2", 1),
        ("StatefulSet", "controller-revision-hash", "web-5d4f8c7", 3),
        ("Deployment", "pod-template-hash", "5d4f8c7", 3),
        ("Deployment", "statefulset.kubernetes.io/pod-name", "web-0", 0),
    ],
)
def test_labels_of_the_control_plane_count(kind: str, label: str, value: str, count: int) -> None:
    selecting = service(selector={**SELECTOR, label: value})

    assert len(endpoints(read(selecting, workload(kind, replicas=3)))) == count


def test_ordinals_begin_where_the_stateful_set_says() -> None:
    shifted = workload("StatefulSet", replicas=2, ordinals={"start": 5})
    label = "statefulset.kubernetes.io/pod-name"

    def targets(name: str) -> list[str]:
        return [
            e.target
            for e, _ in endpoints(read(service(selector={**SELECTOR, label: name}), shifted))
        ]

    assert targets("web-5") == ["default/web-5"]
    assert targets("web-0") == []


def test_the_name_of_a_job_is_a_label_of_its_pods() -> None:
    job = other_workload("Job", "batch/v1", {"template": TEMPLATE})
    other = {**SELECTOR, "job-name": "other"}

    assert len(endpoints(read(service(selector={**SELECTOR, "job-name": "web"}), job))) == 1
    assert endpoints(read(service(selector=other), job)) == []
