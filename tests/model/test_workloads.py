"""Which labels and ports the Pods of a workload have."""

from __future__ import annotations

from typing import Any

import pytest

from nptables.model.workloads import Workload
from nptables.sources import load_objects


def workload(kind: str, version: str, name: str = "web", **spec: Any) -> Workload:
    ports = spec.pop("ports", [])
    pods = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {
            "restartPolicy": "Never" if "Job" in kind else "Always",
            "containers": [{"name": "c", "image": "i", "ports": ports}],
        },
    }
    if kind == "CronJob":
        spec = {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": pods}}, **spec}
    elif kind != "Job":
        spec = {"selector": {"matchLabels": {"app": "web"}}, "template": pods, **spec}
    else:
        spec = {"template": pods, **spec}
    if kind == "StatefulSet":
        spec["serviceName"] = "web"
    document = {"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec}
    (found,) = load_objects([document]).cluster.backing.workloads
    return found


APPS, BATCH = "apps/v1", "batch/v1"


@pytest.mark.parametrize(
    ("kind", "version", "key", "value", "carries"),
    [
        ("Deployment", APPS, "app", "web", True),
        ("Deployment", APPS, "app", "api", False),
        ("Deployment", APPS, "job-name", "web", False),
        ("Deployment", APPS, "pod-template-hash", "5d8", True),
        ("Job", BATCH, "job-name", "web", True),
        ("Job", BATCH, "batch.kubernetes.io/job-name", "web", True),
        ("Job", BATCH, "job-name", "api", False),
        ("Job", BATCH, "tier", "web", False),
        # The Jobs of a CronJob have names of their own.
        ("CronJob", BATCH, "job-name", "web-28", True),
        ("StatefulSet", APPS, "statefulset.kubernetes.io/pod-name", "web-0", True),
        ("StatefulSet", APPS, "statefulset.kubernetes.io/pod-name", "web-1", True),
        ("StatefulSet", APPS, "statefulset.kubernetes.io/pod-name", "web-2", False),
        ("StatefulSet", APPS, "statefulset.kubernetes.io/pod-name", "api-0", False),
        ("StatefulSet", APPS, "statefulset.kubernetes.io/pod-name", "0", False),
        ("StatefulSet", APPS, "statefulset.kubernetes.io/pod-name", "web-x", False),
        ("StatefulSet", APPS, "apps.kubernetes.io/pod-index", "0", True),
        ("StatefulSet", APPS, "apps.kubernetes.io/pod-index", "1", True),
        ("StatefulSet", APPS, "apps.kubernetes.io/pod-index", "2", False),
        ("Deployment", APPS, "apps.kubernetes.io/pod-index", "0", False),
    ],
)
def test_the_control_plane_puts_labels_on_pods(
    kind: str, version: str, key: str, value: str, *, carries: bool
) -> None:
    """The well-known labels of Kubernetes, of a workload with two replicas."""
    replicas = {"replicas": 2} if version == APPS else {}

    assert carries is workload(kind, version, **replicas).carries(key, value)


def test_ordinals_begin_where_the_workload_says() -> None:
    found = workload("StatefulSet", APPS, replicas=2, ordinals={"start": 5})

    indices = [n for n in range(10) if found.carries("apps.kubernetes.io/pod-index", str(n))]
    assert indices == [5, 6]


def test_ports_are_read_with_their_names_and_protocols() -> None:
    declared = [
        {"containerPort": 8080, "name": "http"},
        {"containerPort": 53, "protocol": "UDP"},
    ]

    found = workload("Deployment", APPS, ports=declared).ports

    assert [(port.name, port.number, port.protocol) for port in found] == [
        ("http", 8080, "TCP"), ("", 53, "UDP"),
    ]  # fmt: skip


@pytest.mark.parametrize("number", ["8080", 0, None])
def test_what_is_no_number_is_no_port(number: object) -> None:
    """A lenient reading: templates of unknown kinds are not checked."""
    container = {"name": "c", "ports": [{"containerPort": number}]}
    pods = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [container]}}
    document = {
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": "web"},
        "spec": {"template": pods},
    }  # fmt: skip

    (found,) = load_objects([document]).cluster.backing.workloads

    assert found.ports == ()


@pytest.mark.parametrize(("between", "kinds"), [(5, ["Rollout"]), (6, [])])
def test_a_template_is_looked_for_behind_six_fields(between: int, kinds: list[str]) -> None:
    pods: Any = {
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "image": "i"}]},
        }
    }
    for number in range(between):
        pods = {f"level{number}": pods}
    document = {
        "apiVersion": "example.com/v1", "kind": "Rollout", "metadata": {"name": "web"},
        "spec": pods,
    }  # fmt: skip

    found = load_objects([document]).cluster.backing.workloads
    assert [each.kind for each in found] == kinds
