"""Objects of Python's Kubernetes clients as the mappings they stand for.

They are told by their form, so that no package need be there: models of `kubernetes` and
`kubernetes_asyncio` by `openapi_types` and `attribute_map`, objects of kr8s by `raw`, of lightkube
by `to_dict`, models of pydantic by `model_dump`. The result is what `kubectl get -o json` would
print of the same object.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from nptables.model.kinds import VERSIONS

_CLASS_NAME = re.compile(r"(?:V[0-9]+(?:(?:alpha|beta)[0-9]+)?)?(?P<kind>[A-Z]\w*)")
# No object of Kubernetes is nested as deep; a model that contains itself ends here.
_DEEPEST = 100


def is_client_model(value: Any) -> bool:
    """Whether `value` looks like a model of the kubernetes client."""
    cls = type(value)
    return isinstance(getattr(cls, "openapi_types", None), Mapping) and isinstance(
        getattr(cls, "attribute_map", None), Mapping
    )


def from_client_model(value: Any) -> Any:
    """The mapping behind a model, with the kind and version that its class implies.

    Values that are no model come back as they are.
    """
    known = is_client_model(value)
    inner = value if known else _mapping_behind(value)
    if inner is value and not known:
        return value
    found = _plain(inner, 0)
    match = _CLASS_NAME.fullmatch(type(value).__name__)
    if isinstance(found, dict) and match:
        kind = match["kind"]
        version = VERSIONS.get(kind.removesuffix("List"))
        if version is not None:
            found.setdefault("kind", kind)
            found.setdefault("apiVersion", version)
    return found


def _mapping_behind(value: Any) -> Any:
    """The mapping that an object of another client holds or gives; else the value itself."""
    if value is None or isinstance(
        value, type | str | bytes | int | float | list | tuple | Mapping
    ):
        return value
    held = getattr(value, "raw", None)
    if isinstance(held, Mapping):
        return held
    for method, options in (
        ("model_dump", {"mode": "json", "by_alias": True, "exclude_none": True}),
        ("to_dict", {}),
    ):
        give = getattr(value, method, None)
        if callable(give) and isinstance(given := give(**options), Mapping):
            return given
    return value


def _plain(value: Any, depth: int) -> Any:
    if depth > _DEEPEST:
        return None
    if is_client_model(value):
        found = {}
        for attribute, key in type(value).attribute_map.items():
            item = getattr(value, attribute, None)
            if item is not None:
                found[key] = _plain(item, depth + 1)
        return found
    if isinstance(value, list | tuple):
        return [_plain(item, depth + 1) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, datetime):
        return _time(value)
    return value.isoformat() if isinstance(value, date) else value


def _time(moment: datetime) -> str:
    """RFC 3339 in UTC, as the API writes it; a time without a zone is taken as UTC."""
    in_utc = moment.astimezone(UTC) if moment.tzinfo else moment
    return in_utc.replace(tzinfo=None).isoformat() + "Z"
