"""What stands in deploy/, held against the schemas that Kubernetes and Grafana publish."""

from __future__ import annotations

import copy
import enum
import inspect
import json
import types
import typing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import kubernetes_validate
import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

if TYPE_CHECKING:
    from collections.abc import Iterator

MANIFESTS = [
    manifest
    for name in ("nptables", "collect", "collect-daemonset")
    for manifest in yaml.safe_load_all(Path(f"deploy/{name}.yaml").read_text())
]
DAEMON_SET = next(m for m in MANIFESTS if m["kind"] == "DaemonSet")
DASHBOARD = json.loads(Path("deploy/grafana-dashboard.json").read_text())
# The version that the rules follow, and an old one that clusters still run.
VERSIONS = ["1.30", "1.36"]


def _called(manifest: dict[str, Any]) -> str:
    return f"{manifest['kind']} {manifest['metadata']['name']}"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("manifest", MANIFESTS, ids=_called)
def test_kubernetes_knows_every_field(manifest: dict[str, Any], version: str) -> None:
    assert kubernetes_validate.validate(manifest, version, strict=True) == version


def changed(document: dict[str, Any], value: Any, *path: str | int) -> dict[str, Any]:
    """A copy of a document with another value at a path."""
    copied = copy.deepcopy(document)
    found: Any = copied
    for step in path[:-1]:
        found = found[step]
    found[path[-1]] = value
    return copied


POD = ("spec", "template", "spec")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ((*POD, "hostNetwrok"), True),
        ((*POD, "hostNetwork"), "yes"),
        ((*POD, "terminationGracePeriodSeconds"), "90"),
        ((*POD, "containers", 0, "securityContext", "capabilities", "add"), "NET_ADMIN"),
        ((*POD, "containers", 0, "livenessProbe", "httpGet", "prot"), 10256),
        ((*POD, "volumes", 0, "configMap", "nmae"), "nptables"),
    ],
    ids=lambda part: ".".join(map(str, part)) if isinstance(part, tuple) else "",
)
def test_a_mistake_in_a_manifest_would_be_found(path: tuple[str | int, ...], value: Any) -> None:
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(changed(DAEMON_SET, value, *path), VERSIONS[-1], strict=True)


def grafana_complaints(document: dict[str, Any]) -> list[str]:
    """What Grafana's model of a dashboard does not know of a document, or has as another type."""
    register_default_plugins()
    model = Dashboard.from_json(document)
    kept = json.loads(JSONEncoder().encode(model))
    return [*lost(document, kept), *mistyped(model)]


def lost(given: Any, kept: Any, path: str = "dashboard") -> Iterator[str]:
    """Where a document is not what came back of it; the model may have added defaults."""
    if isinstance(given, dict) and isinstance(kept, dict):
        for key, value in given.items():
            if key not in kept:
                yield f"{path}.{key} is not known"
            else:
                yield from lost(value, kept[key], f"{path}.{key}")
    elif isinstance(given, list) and isinstance(kept, list) and len(given) == len(kept):
        for index, pair in enumerate(zip(given, kept, strict=True)):
            yield from lost(*pair, f"{path}[{index}]")
    elif given != kept:
        yield f"{path} is {given!r}, and {kept!r} came back"


def mistyped(value: Any, path: str = "dashboard") -> Iterator[str]:
    """Where a value in a model is not of the type that the model's class declares."""
    if isinstance(value, list):
        for index, element in enumerate(value):
            yield from mistyped(element, f"{path}[{index}]")
    elif type(value).__module__.startswith("grafana_foundation_sdk"):
        for name, hint in typing.get_type_hints(type(value)).items():
            element = getattr(value, name)
            if not fits(element, hint):
                yield f"{path}.{name} is {element!r}, which is not {hint}"
            yield from mistyped(element, f"{path}.{name}")


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is of an annotated type."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, argument) for argument in arguments)
    if origin is typing.Literal:
        return value in arguments
    if origin is list:
        return isinstance(value, list) and all(fits(element, arguments[0]) for element in value)
    if origin is dict:
        return isinstance(value, dict) and all(fits(v, arguments[1]) for v in value.values())
    if inspect.isclass(hint) and issubclass(hint, enum.Enum):
        return value in [member.value for member in hint]
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    # A protocol of the package cannot be asked; what stands for one is looked into by itself.
    return (
        not inspect.isclass(hint) or hint is object or _is_protocol(hint) or isinstance(value, hint)
    )


def _is_protocol(hint: type) -> bool:
    return getattr(hint, "_is_protocol", False)


def test_grafana_knows_every_field_of_the_dashboard() -> None:
    assert grafana_complaints(DASHBOARD) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("titel",), "nptables"),
        (("title",), 7),
        (("time", "form"), "now-1h"),
        (("panels", 0, "gridPos", "x"), "0"),
        (("panels", 6, "gridPos", "widht"), 12),
        (("panels", 6, "targets", 0, "exrp"), "up"),
        (("panels", 6, "targets", 0, "expr"), ["up"]),
        (("panels", 6, "options", "legend", "displayMode"), "lists"),
        (("panels", 6, "fieldConfig", "defaults", "untis"), "s"),
        (("templating", "list", 0, "type"), "datasuorce"),
    ],
    ids=lambda part: ".".join(map(str, part)) if isinstance(part, tuple) else "",
)
def test_a_mistake_in_the_dashboard_would_be_found(path: tuple[str | int, ...], value: Any) -> None:
    assert grafana_complaints(changed(DASHBOARD, value, *path)) != []
