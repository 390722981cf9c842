"""What ValidateNode of kube-apiserver 1.36 refuses, as far as rules depend on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nptables.family import Family
from nptables.model import addresses
from nptables.model.reading import Object, Reader
from nptables.model.validation.forms import check_choice, check_qualified
from nptables.model.validation.metadata import check_unique

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def validate_node(raw: Object, reader: Reader) -> None:
    """Note what the server would refuse beyond what reading the Node finds."""
    spec = raw.get("spec")
    if isinstance(spec, Mapping):
        _pod_networks(spec, reader)
        _taints(spec, reader)
    status = raw.get("status")
    listed = status.get("addresses") if isinstance(status, Mapping) else None
    seen: set[Any] = set()
    for position, item in enumerate(listed if isinstance(listed, list) else ()):
        if isinstance(item, Mapping):
            pair = f"{item.get('type')} {item.get('address')}"
            check_unique(pair, seen, ("status", "addresses", position), reader)


def _pod_networks(spec: Object, reader: Reader) -> None:
    listed = spec.get("podCIDRs")
    if not isinstance(listed, list):
        return
    first = spec.get("podCIDR")
    if isinstance(first, str) and first and listed and listed[0] != first:
        reader.problem(("spec", "podCIDRs"), "the first of them differs from podCIDR")
    networks = [addresses.parse_network(text) for text in listed if isinstance(text, str)]
    families = [Family.of(network) for network in networks if network is not None]
    if len(listed) > 2 or len(set(families)) < len(families):
        reader.problem(
            ("spec", "podCIDRs"), "has several networks of one family", "at most one of each"
        )


def _taints(spec: Object, reader: Reader) -> None:
    listed = spec.get("taints")
    for position, taint in enumerate(listed if isinstance(listed, list) else ()):
        if not isinstance(taint, Mapping):
            continue
        path = ("spec", "taints", position)
        key, effect = taint.get("key"), taint.get("effect")
        if not key:
            reader.problem((*path, "key"), "is required")
        elif isinstance(key, str):
            check_qualified(key, (*path, "key"), reader)
        if not effect:
            reader.problem((*path, "effect"), "is required", f"one of {', '.join(EFFECTS)}")
        elif isinstance(effect, str):
            check_choice(effect, (*path, "effect"), EFFECTS, reader)
