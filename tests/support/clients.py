"""Objects as the Kubernetes clients of Python hold them."""

from __future__ import annotations

import inspect
import json
from types import SimpleNamespace
from typing import Any


def deserialized(client: Any, raw: dict[str, Any]) -> Any:
    """Return what `kubernetes.client`, of any version, makes of a server's answer."""
    api, kind, text = client.ApiClient(), f"V1{raw['kind']}", json.dumps(raw)
    if "content_type" in inspect.signature(api.deserialize).parameters:
        return api.deserialize(text, kind, "application/json")
    return api.deserialize(SimpleNamespace(data=text), kind)
