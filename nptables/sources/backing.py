"""From the objects of an input to what they say of who stands behind its Services."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from nptables.model.backing import Backing, Operated
from nptables.model.kinds import DISCOVERY
from nptables.model.metadata import made_by_hook
from nptables.model.reading import Object, mapping_of

if TYPE_CHECKING:
    from nptables.model.workloads import Workload

Key = tuple[str, str]
# A workload of any kind: its position, the Pod that it makes, and what is known of it.
Maker = tuple[int, Object, "Workload"]
# Groups of Kubernetes and of projects whose objects never lead to a Pod that a Service selects.
_WITHOUT_PODS = (
    ".k8s.io", "cert-manager.io", "external-secrets.io", "istio.io", "traefik.io",
    "traefik.containo.us", "kyverno.io", "cilium.io", "projectcalico.org", "gatekeeper.sh",
    "keda.sh", "bitnami.com", "velero.io", "metallb.io", "toolkit.fluxcd.io", "k8s.aws",
    "cloud.google.com", "gke.io", "konghq.com", "karpenter.sh", "openshift.io", "linkerd.io",
    "getambassador.io", "projectcontour.io", "crossplane.io", "secrets-store.csi.x-k8s.io",
)  # fmt: skip
_WITHOUT_PODS_KINDS = frozenset(
    ("ServiceMonitor", "PodMonitor", "Probe", "PrometheusRule", "AlertmanagerConfig",
     "ScrapeConfig", "AppProject", "AnalysisTemplate", "ClusterAnalysisTemplate",
     "WorkflowTemplate", "ClusterWorkflowTemplate", "GrafanaDashboard", "GrafanaDatasource",
     "VirtualServer", "TransportServer", "Policy", "KafkaTopic", "KafkaUser")
)  # fmt: skip
_WITH_PODS_KINDS = frozenset(("Gateway", "HelmRelease", "Kustomization", "HelmChart"))
_NEVER_BEHIND = ((DISCOVERY, "EndpointSlice"), ("v1", "Node"))
_OWN_GROUPS = ("", "apps", "batch", "autoscaling", "policy", "extensions")


def read_backing(
    objects: Iterable[Object], *, listed: bool, has_nodes: bool, elsewhere: Iterable[Workload] = ()
) -> Backing:
    """The workloads and operators' objects among objects that are no lists; see Backing."""
    workloads: list[Workload] = []
    operated: list[Operated] = []
    unplaced: set[tuple[str, str]] = set()
    hooks: set[tuple[str, str]] = set()
    scaled: set[tuple[str, str, str]] = set()
    for raw in objects:
        group_and_kind = raw.get("apiVersion"), raw.get("kind")
        if group_and_kind in _NEVER_BEHIND:
            # Most of a cluster's objects, and nothing makes Pods of them.
            continue
        if group_and_kind == ("v1", "Service"):
            if made_by_hook(raw):
                hooks.add(key_of(raw))
            if not mapping_of(raw.get("metadata")).get("namespace"):
                unplaced.add(key_of(raw))
            continue
        kind, (namespace, name) = str(raw.get("kind") or ""), key_of(raw)
        found = workloads_of(raw)
        workloads += found
        scaled.update((of, namespace, called) for of, called in _scaled(raw))
        if _may_make_pods(raw, found):
            operated.append(Operated(kind, namespace, name))
    return Backing(
        listed=listed,
        workloads=tuple(workloads),
        operated=tuple(operated),
        elsewhere=tuple(elsewhere),
        unplaced=frozenset(unplaced),
        hooks=frozenset(hooks),
        scaled=frozenset(scaled),
        has_nodes=has_nodes,
    )


def pod_of(raw: Object, workload: Workload) -> Object:
    """The Pod that a template makes, as an object to look at."""
    template: Any = raw
    for step in workload.path:
        template = template[step]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": workload.name,
            "namespace": workload.namespace,
            "labels": mapping_of(mapping_of(template.get("metadata")).get("labels")),
        },
        "spec": template["spec"],
    }


def _scaled(raw: Object) -> Iterator[tuple[str, str]]:
    """Kind and name of what an autoscaler or a rollout scales."""
    spec = mapping_of(raw.get("spec"))
    for key in ("scaleTargetRef", "workloadRef"):
        target = mapping_of(spec.get(key))
        if target.get("name"):
            yield str(target.get("kind") or "Deployment"), str(target["name"])


def _may_make_pods(raw: Object, found: list[Workload]) -> bool:
    group, slash, _ = str(raw.get("apiVersion") or "").partition("/")
    if not slash or group in _OWN_GROUPS:
        return False
    kind = str(raw.get("kind") or "")
    if kind in _WITH_PODS_KINDS and not group.startswith("kustomize.config"):
        return True
    if kind in _WITHOUT_PODS_KINDS or kind.endswith("Template"):
        return False
    if any(group == known or group.endswith(known) for known in _WITHOUT_PODS):
        return group.endswith(".x-k8s.io")
    return all(workload.path != ("spec", "template") for workload in found)


def workloads_of(raw: Object) -> list[Workload]:
    """Every workload that an object is; see `read_workloads`."""
    # An input that a cluster gave holds none.
    from nptables.model.workloads import read_workloads  # noqa: PLC0415

    return list(read_workloads(raw))


def makers_of(index: int, raw: Object) -> list[Maker]:
    """The workloads that an object is, each with the Pod that it makes."""
    return [(index, pod_of(raw, workload), workload) for workload in workloads_of(raw)]


def key_of(raw: Object) -> Key:
    """Namespace and name of an object, as far as they are written."""
    metadata = raw.get("metadata")
    metadata = metadata if isinstance(metadata, Mapping) else {}
    return str(metadata.get("namespace") or "default"), str(metadata.get("name") or "")
