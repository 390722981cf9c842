"""What makes Pods that a Service may select: Pods themselves, and any object with a Pod template.

Objects come as they were written: whatever has not the shape that is meant says nothing here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from nptables.errors import Path
from nptables.immutable import frozen
from nptables.model.metadata import ignore_text, made_by_hook
from nptables.model.reading import Object, mapping_of

SINGLE = ("Job", "CronJob")
_POD = ("v1", "Pod")
_STATEFUL = "StatefulSet"
_DAEMON = "DaemonSet"
_POD_NAME = "statefulset.kubernetes.io/pod-name"
# Since Kubernetes 1.28 (KEP-4017).
_POD_INDEX = "apps.kubernetes.io/pod-index"
# Kubernetes 1.27 added the second and kept the first.
_JOB_NAMES = ("job-name", "batch.kubernetes.io/job-name")
# Put on by a controller with a value that no manifest can tell.
_OPAQUE = (
    "pod-template-hash", "rollouts-pod-template-hash", "controller-revision-hash",
    "controller-uid", "batch.kubernetes.io/controller-uid",
)  # fmt: skip
# These hold templates and make no Pod of them, or whole schemas that only look like some.
_NO_WORKLOADS = (
    "ConfigMap", "ControllerRevision", "CustomResourceDefinition", "PodTemplate", "Secret",
)  # fmt: skip
# Labels of Pods that no template shows.
PUT_ON = frozenset((_POD_NAME, _POD_INDEX, *_JOB_NAMES, *_OPAQUE))
_DEEPEST_TEMPLATE = 5


@frozen
class ContainerPort:
    """A port that a container declares; `name` is empty where it has none."""

    name: str
    number: int
    protocol: str
    path: Path

    def __str__(self) -> str:
        number = f"{self.number}/{self.protocol}"
        return f"{self.name} ({number})" if self.name else number


@frozen
class Probe:
    """What has to answer before a container is ready; `declared` are its container's port names."""

    field: str
    container: str
    port: int | str
    declared: frozenset[str]
    path: Path


@attrs.frozen(eq=False)
class Workload:
    """An object that makes Pods, or is one.

    `labels` are those that its Pods carry, `own_labels` those of the object itself, `path` says
    where the Pod's metadata and spec stand in it. `replicas` is None where the nodes decide.
    `namespace_given` tells a namespace that is written from one that is taken for granted.
    `ignore` is what the annotation `nptables.io/ignore` says, or empty.
    """

    kind: str
    namespace: str
    name: str
    labels: Mapping[str, str]
    own_labels: Mapping[str, str]
    replicas: int | None
    first_ordinal: int
    ports: tuple[ContainerPort, ...]
    probes: tuple[Probe, ...]
    gates: tuple[str, ...]
    path: Path
    hook: bool
    namespace_given: bool
    ignore: str = ""

    @property
    def subject(self) -> str:
        """The object as people name it."""
        return f"{self.kind} {self.namespace}/{self.name}"

    @property
    def is_single(self) -> bool:
        """Whether its Pods come to an end by themselves."""
        return self.kind in SINGLE

    @property
    def label_path(self) -> Path:
        """Where the labels of its Pods stand."""
        return (*self.path, "metadata", "labels")

    def carries(self, key: str, value: str) -> bool:
        """Whether one of its Pods at least has a label."""
        if key in self.labels:
            return self.labels[key] == value
        return self._is_put_on(key, value)

    def fits(self, selector: Mapping[str, str]) -> bool:
        """Whether a selector that says anything selects one of its Pods at least."""
        return bool(selector) and all(self.carries(key, value) for key, value in selector.items())

    def _is_put_on(self, key: str, value: str) -> bool:
        """Whether the control plane puts a label on one of its Pods."""
        if self.kind == "Pod":
            return False
        if key in _OPAQUE:
            return True
        if self.kind in SINGLE and key in _JOB_NAMES:
            return value == self.name or self.kind == "CronJob"
        if self.kind == _STATEFUL and key in (_POD_NAME, _POD_INDEX):
            index = value.removeprefix(f"{self.name}-") if key == _POD_NAME else value
            known = key == _POD_INDEX or index != value
            last = self.first_ordinal + (self.replicas or 0)
            return known and index.isdecimal() and self.first_ordinal <= int(index) < last
        return False


def put_on_labels(kind: str, name: str, suffix: str) -> dict[str, str]:
    """The labels with a known value that the control plane puts on one Pod of a workload."""
    if kind == _STATEFUL:
        return {_POD_NAME: f"{name}-{suffix}", _POD_INDEX: suffix}
    return dict.fromkeys(_JOB_NAMES, name) if kind == "Job" else {}


def without_opaque(selector: Mapping[str, str]) -> dict[str, str]:
    """A selector without the labels whose value only a controller knows."""
    return {key: value for key, value in selector.items() if key not in _OPAQUE}


def read_workloads(raw: Object) -> Iterator[Workload]:
    """Every workload that an object is: none, one, or one for each Pod template in it."""
    for path, template in pod_templates(raw):
        yield _workload(raw, path, template)


def pod_templates(raw: Object) -> Iterator[tuple[Path, Object]]:
    """The Pod templates of an object, with where they stand; of a Pod itself the whole of it."""
    kind = raw.get("kind")
    if (raw.get("apiVersion"), kind) == _POD:
        yield (), raw
    elif kind not in _NO_WORKLOADS:
        yield from _templates(mapping_of(raw.get("spec")), ("spec",))


def _templates(value: Any, path: Path) -> Iterator[tuple[Path, Object]]:
    if isinstance(value, Mapping):
        for key, child in value.items():
            where = (*path, key)
            if _is_template(str(key), child):
                yield where, child
            elif len(path) <= _DEEPEST_TEMPLATE and isinstance(child, Mapping | list):
                yield from _templates(child, where)
    elif isinstance(value, list) and len(path) <= _DEEPEST_TEMPLATE:
        for position, child in enumerate(value):
            if isinstance(child, Mapping):
                yield from _templates(child, (*path, position))


def _is_template(key: str, value: Any) -> bool:
    if not key.lower().endswith("template") or not isinstance(value, Mapping):
        return False
    return isinstance(mapping_of(value.get("spec")).get("containers"), list)


def _workload(raw: Object, path: Path, template: Object) -> Workload:
    metadata, pod_spec = mapping_of(raw.get("metadata")), mapping_of(template.get("spec"))
    kind, name = str(raw.get("kind") or ""), str(metadata.get("name") or "")
    labels = _labels(template.get("metadata"))
    # Knative puts this label on the Pods of its Services, in no template.
    if str(raw.get("apiVersion") or "").startswith("serving.knative.dev/"):
        labels = {"serving.knative.dev/service": name, **labels}
    above: Any = raw
    for step in path[:-1]:
        above = above[step]
    replicas, ordinals = above.get("replicas"), mapping_of(above.get("ordinals"))
    # The numbers of Pods may begin with another one than 0 (KEP-3335).
    first = ordinals.get("start")
    spec_path = (*path, "spec")
    return Workload(
        kind=kind,
        namespace=str(metadata.get("namespace") or "default"),
        name=name,
        labels=labels,
        own_labels={} if not path else _labels(metadata),
        # By the end of the name: other projects have such kinds too, as ExtendedDaemonSet.
        replicas=None if kind.endswith(_DAEMON) else _count(replicas),
        first_ordinal=first if isinstance(first, int) else 0,
        ports=tuple(_ports(pod_spec, spec_path)),
        probes=tuple(_probes(pod_spec, spec_path)),
        gates=tuple(
            str(gate.get("conditionType"))
            for gate in _objects(pod_spec.get("readinessGates"))
            if gate.get("conditionType")
        ),
        path=path,
        hook=made_by_hook(raw),
        namespace_given=bool(metadata.get("namespace")),
        ignore=ignore_text(metadata),
    )


def _count(replicas: Any) -> int:
    return replicas if isinstance(replicas, int) and not isinstance(replicas, bool) else 1


def _containers(spec: Object, path: Path) -> Iterator[tuple[Path, Object]]:
    """The containers, then the sidecars among the init containers."""
    for key in ("containers", "initContainers"):
        for position, container in enumerate(_listed(spec.get(key))):
            found = mapping_of(container)
            # An init container that is always restarted is a sidecar and stays (KEP-753).
            if key == "containers" or found.get("restartPolicy") == "Always":
                yield (*path, key, position), found


def _ports(spec: Object, path: Path) -> Iterator[ContainerPort]:
    for where, container in _containers(spec, path):
        for position, item in enumerate(_listed(container.get("ports"))):
            port = mapping_of(item)
            number = port.get("containerPort")
            if isinstance(number, int) and number:
                yield ContainerPort(
                    str(port.get("name") or ""),
                    number,
                    str(port.get("protocol") or "TCP"),
                    (*where, "ports", position),
                )


def _probes(spec: Object, path: Path) -> Iterator[Probe]:
    for where, container in _containers(spec, path):
        names = {str(p.get("name")) for p in _objects(container.get("ports")) if p.get("name")}
        for field in ("startupProbe", "readinessProbe"):
            probe = mapping_of(container.get(field))
            for action in ("httpGet", "tcpSocket", "grpc"):
                port = mapping_of(probe.get(action)).get("port")
                if isinstance(port, int | str) and port and not isinstance(port, bool):
                    yield Probe(
                        field,
                        str(container.get("name") or ""),
                        int(port) if isinstance(port, str) and port.isdecimal() else port,
                        frozenset(names),
                        (*where, field, action, "port"),
                    )


def _labels(metadata: Any) -> dict[str, str]:
    labels = mapping_of(mapping_of(metadata).get("labels"))
    return {key: value for key, value in labels.items() if isinstance(value, str)}


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()


def _objects(value: Any) -> Iterator[Object]:
    return (item for item in _listed(value) if isinstance(item, Mapping))
