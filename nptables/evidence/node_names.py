"""Which Node a node is that goes by some name of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nptables.evidence.node import Evidence
from nptables.model import Node


def names_of(evidence: Evidence) -> tuple[str, ...]:
    """All names that a node is known by, the one that it gives itself first."""
    return tuple(name for name in (evidence.node, *evidence.aliases) if name)


def is_called(evidence: Evidence, name: str) -> bool:
    """Whether a node goes by a name, with or without its domain."""
    return _found(names_of(evidence), [name]) == name


def node_of(evidence: Evidence, nodes: Mapping[str, Node]) -> str:
    """The name of the Node that was looked at, or an empty string if unknown.

    It is the one with a name that the node gives itself, else the only one with the same name but
    for a domain that one of them lacks, else the only one with an address that is on one of its
    interfaces.
    """
    if evidence.node in nodes:
        return evidence.node
    found = _found(names_of(evidence), nodes)
    return found or _by_address(evidence, nodes)


def _found(names: Iterable[str], nodes: Iterable[str]) -> str:
    known = {name.lower(): name for name in nodes}
    for name in names:
        if name.lower() in known:
            return known[name.lower()]
    for name in names:
        fitting = [node for low, node in known.items() if _are_alike(low, name.lower())]
        if len(fitting) == 1:
            return fitting[0]
    return ""


def _are_alike(one: str, other: str) -> bool:
    """Whether names are the same but for a domain that only one of them has."""
    return one.partition(".")[0] == other.partition(".")[0] and ("." in one) is not ("." in other)


def _by_address(evidence: Evidence, nodes: Mapping[str, Node]) -> str:
    listed = (evidence.facts.interfaces if evidence.facts else None) or {}
    own = {entry.partition("/")[0] for entries in listed.values() for entry in entries}
    # Every node has these.
    own = {address for address in own if not address.startswith(("127.", "fe80:", "::1"))}
    fitting = [
        name
        for name, node in nodes.items()
        if any(kind == "InternalIP" and address in own for kind, address in node.addresses)
    ]
    return fitting[0] if len(fitting) == 1 else ""
