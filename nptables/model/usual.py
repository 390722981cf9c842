"""The endpoints of a slice that needs no second look: well-formed, valid and read in one pass."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from nptables.inet import pack_ipv4
from nptables.model import names
from nptables.model.endpointslice import Endpoint
from nptables.model.reading import Object
from nptables.model.schema.types import FIELDS
from nptables.model.validation.endpointslice import MOST_ENDPOINTS
from nptables.model.validation.forms import SPECIAL_V4

_FIELDS = frozenset(FIELDS["Endpoint"]) - {"hints", "hostname", "deprecatedTopology"}
_CONDITIONS = frozenset(FIELDS["EndpointConditions"])
_REFERENCE = frozenset(FIELDS["ObjectReference"])
_FLAGS = frozenset({bool})
_TEXTS = frozenset({str})
_NO_HINTS: frozenset[str] = frozenset()

_GROUP = "[1-9a-f][0-9a-f]{0,3}"
# In canonical spelling, which leaves out two groups or more, and none that is special.
_USUAL_V6 = re.compile(
    rf"(?!f[ef]){_GROUP}"
    rf"(?:(?::{_GROUP}){{7}}|(?=(?::[^:]*){{2,6}}$)(?::{_GROUP})*::{_GROUP}(?::{_GROUP})*)"
)
# Many endpoints name few nodes.
_is_node_name = lru_cache(maxsize=16_384)(names.is_subdomain)


def _is_usual_v4(address: str) -> bool:
    return pack_ipv4(address) is not None and not address.startswith(SPECIAL_V4)


_ADDRESS_TYPES: dict[str, Callable[[str], object]] = {
    "IPv4": _is_usual_v4,
    "IPv6": _USUAL_V6.fullmatch,
}


def usual_endpoints(raw: Object) -> tuple[Endpoint, ...] | None:
    """The endpoints of a slice if each is surely what a cluster writes; None means look closer.

    Checking the shape, checking the values and reading are three passes over every field, and a
    large cluster has a hundred thousand endpoints. What this takes has no problem in any of them,
    lenient or not, and is read as they would read it.
    """
    try:
        endpoints = raw["endpoints"]
        namespace = raw["metadata"].get("namespace") or "default"
        is_usual = _ADDRESS_TYPES[raw["addressType"]]
        if (
            endpoints.__class__ is not list
            or namespace.__class__ is not str
            or len(endpoints) > MOST_ENDPOINTS
        ):
            return None
        found = []
        for endpoint in endpoints:
            addresses, conditions = endpoint["addresses"], endpoint["conditions"]
            (address,) = addresses
            node = endpoint["nodeName"]
            if not (
                endpoint.__class__ is dict
                and _FIELDS.issuperset(endpoint)
                and _CONDITIONS.issuperset(conditions)
                and _FLAGS.issuperset(map(type, conditions.values()))
                and addresses.__class__ is list
                and endpoint.get("zone", "").__class__ is str
                and _is_node_name(node)
                and is_usual(address)
            ):
                return None
            name = ""
            if "targetRef" in endpoint:
                target = endpoint["targetRef"]
                if not (
                    _REFERENCE.issuperset(target) and _TEXTS.issuperset(map(type, target.values()))
                ):
                    return None
                name = target["name"]
                is_pod = target["kind"] == "Pod" and names.is_subdomain(name)
                name = f"{target.get('namespace') or namespace}/{name}" if is_pod else ""
            found.append(
                Endpoint(
                    address,
                    conditions["ready"],
                    conditions.get("serving", True),
                    conditions.get("terminating", False),
                    node,
                    _NO_HINTS,
                    _NO_HINTS,
                    name,
                )
            )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    return tuple(found)
