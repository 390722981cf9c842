"""Which objects are read, and how a misspelt kind or version of one is recognised."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nptables.errors import Problem, printable
from nptables.model.reading import Object, described, nearest, quoted

CORE = "v1"
APPS = "apps/v1"
DISCOVERY = "discovery.k8s.io/v1"

# What decides rules, or stands for endpoints that do.
VERSIONS: Mapping[str, str] = {
    "Service": CORE,
    "EndpointSlice": DISCOVERY,
    "Node": CORE,
    "Endpoints": CORE,
    "Pod": CORE,
    "Deployment": APPS,
    "StatefulSet": APPS,
    "DaemonSet": APPS,
    "ReplicaSet": APPS,
}
# Kinds that other programs wrote under v1: kubeconfigs, and OpenShift before it had groups.
_OTHERS = (
    "BuildConfig", "Config", "DeploymentConfig", "ImageStream", "Policy", "Route", "Template",
)  # fmt: skip
# Every kind of the groups that we read from: whatever else is in them is a mistake.
_KINDS: Mapping[str, tuple[str, ...]] = {
    CORE: (
        "Binding",
        "ComponentStatus",
        "ConfigMap",
        "Endpoints",
        "Event",
        "LimitRange",
        "List",
        "Namespace",
        "Node",
        "PersistentVolume",
        "PersistentVolumeClaim",
        "Pod",
        "PodTemplate",
        "ReplicationController",
        "ResourceQuota",
        "Secret",
        "Service",
        "ServiceAccount",
        "Status",
        *_OTHERS,
    ),
    APPS: ("ControllerRevision", "DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"),
    DISCOVERY: ("EndpointSlice",),
}
_LIST = "List"


def read_kind(raw: Any) -> str | Problem:
    """The kind of an object that is read, an empty string for one that is not, or the mistake.

    Kinds of other API groups are never a mistake, whatever their names: `Service` of
    `serving.knative.dev/v1` is not one of them.
    """
    if raw.__class__ is not dict and not isinstance(raw, Mapping):
        return Problem(f"must be a Kubernetes object, not {described(raw)}")
    kind, version = raw.get("kind"), raw.get("apiVersion")
    # to_dict() of the client has field names of Python, which no API server knows.
    if "api_version" in raw:
        return Problem(
            "has the field names of the Python client's to_dict()",
            hint="pass the model itself, or ApiClient().sanitize_for_serialization(model)",
        )
    if not isinstance(kind, str) or not kind:
        return _without_kind(raw, kind)
    if not isinstance(version, str) or not version:
        return _without_version(kind, version)
    wanted = VERSIONS.get(kind)
    if wanted == version:
        return kind
    if wanted is not None and (version in _KINDS or _is_former(kind, version)):
        return _misnamed(
            kind, "apiVersion", f"{quoted(version)} has no {kind}", f"write apiVersion: {wanted}"
        )
    known = _KINDS.get(version)
    if wanted is None and known is not None and kind.removesuffix(_LIST) not in (*known, ""):
        return _misnamed("", "kind", f"{version} has no kind {quoted(kind)}", nearest(kind, known))
    meant = version.lower() if "/" in version else CORE
    if meant in _KINDS and version not in _KINDS:
        return _misnamed(kind, "apiVersion", f"{quoted(version)} is not an API version", meant)
    return ""


def is_list(raw: Any) -> bool:
    """Whether an object is a list of objects, of any kind."""
    return (
        (raw.__class__ is dict or isinstance(raw, Mapping))
        and isinstance(raw.get("kind"), str)
        and raw["kind"].endswith(_LIST)
        and isinstance(raw.get("items"), list)
    )


def is_empty_list(raw: Any) -> bool:
    """Whether an object is a list of nothing: Go writes it with null, people without a kind."""
    return (
        isinstance(raw, Mapping)
        and str(raw.get("kind") or _LIST).endswith(_LIST)
        and "items" in raw
        and raw["items"] in (None, [])
    )


def with_kind(item: Any, parent: Object) -> Any:
    """An item of a list; one of a typed list may lack the kind that the list implies."""
    kind = parent["kind"]
    if kind == _LIST or not isinstance(item, Mapping) or "kind" in item:
        return item
    return {"kind": kind.removesuffix(_LIST), "apiVersion": parent.get("apiVersion"), **item}


def _is_former(kind: str, version: str) -> bool:
    """Whether an older or mistyped version of a group of Kubernetes' own is named."""
    group = version.partition("/")[0]
    return group in ("apps", "extensions", "core", "discovery", "discovery.k8s.io") or (
        "/" not in version and kind in VERSIONS
    )


def _without_kind(raw: Object, kind: Any) -> Problem:
    if kind is not None and kind != "":
        return Problem(f"must be text, not {described(kind)}", path=("kind",))
    for key in map(str, raw):
        if key != "kind" and key.lower() == "kind":
            return Problem("unknown field", hint="did you mean kind?", path=(printable(key, 40),))
    return Problem("has no kind", hint="such as kind: Service")


def _without_version(kind: str, version: Any) -> Problem:
    if version is not None and version != "":
        return _misnamed(kind, "apiVersion", f"must be text, not {described(version)}", "")
    known = (*VERSIONS, *_KINDS[CORE])
    bare = kind.removesuffix(_LIST)
    if bare in known or kind in known:
        hint = f"write apiVersion: {VERSIONS.get(bare, CORE)}"
        return _misnamed(kind, "", "has no apiVersion", hint)
    if meant := nearest(kind, known):
        return _misnamed("", "kind", f"{quoted(kind)} is not a kind", meant)
    return _misnamed(kind, "", "has no apiVersion", "every kind has an apiVersion, such as v1")


def _misnamed(kind: str, field: str, message: str, hint: str) -> Problem:
    return Problem(message, hint=hint, kind=kind, path=(field,) if field else ())
