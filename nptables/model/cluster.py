"""The cluster: every Service, EndpointSlice and Node that decides a node's rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any, TypeVar

import attrs

from nptables.errors import InvalidInput, Problem, UnknownNode, printable
from nptables.model import names
from nptables.model.endpointslice import EndpointSlice, read_endpoint_slice
from nptables.model.metadata import Metadata
from nptables.model.node import HOSTNAME_LABEL, Node, NodeFacts, read_node
from nptables.model.reading import Object, Reader, described, nearest, quoted
from nptables.model.service import Service, read_service

T = TypeVar("T")
Key = tuple[str, str]


@attrs.frozen(slots=False)
class Cluster:
    """An immutable picture of a cluster.

    `services` and `slices` are keyed by namespace and name, `nodes` by name. `problems` is what
    a lenient reading left out.
    """

    services: Mapping[Key, Service] = attrs.field(factory=dict)
    slices: Mapping[Key, EndpointSlice] = attrs.field(factory=dict)
    nodes: Mapping[str, Node] = attrs.field(factory=dict)
    problems: tuple[Problem, ...] = ()

    @classmethod
    def from_objects(cls, objects: Iterable[Any], lenient: bool = False) -> Cluster:  # noqa: FBT001, FBT002
        """A cluster from objects as `kubectl get -o json` gives them.

        Lists are opened, kinds that do not decide rules are passed over. Raises InvalidInput
        with `.problems`, all of them at once. With `lenient`, for objects as an API server
        stores them, what kube-proxy would repair is repaired, what cannot be used is left out
        and listed in `.problems`.
        """
        reading = _Reading(lenient=lenient)
        for index, raw in enumerate(objects):
            reading.read(raw, index)
        if reading.problems and not lenient:
            raise InvalidInput(reading.problems)
        return cls(reading.services, reading.slices, reading.nodes, tuple(reading.problems))

    def node(self, name: str | None = None, facts: object = None) -> Node:
        """The node of that name, with facts as a mapping or NodeFacts.

        Without a name the only node there is. In a cluster without any Node object every name
        will do. Raises UnknownNode, which lists the names that are there.
        """
        known = sorted(self.nodes)
        if name is None:
            if len(known) != 1:
                raise UnknownNode(
                    f"which node? there are {len(known)}: {', '.join(known[:20])}"
                    if known
                    else "which node? the input has no Node object",
                    hint="name one with --node",
                    known=known,
                )
            name = known[0]
        node = self.nodes.get(name)
        if node is None and known:
            listed = ", ".join(known[:20]) + (
                f" and {len(known) - 20} more" if len(known) > 20 else ""
            )
            raise UnknownNode(
                f"there is no node {quoted(name)}; there are: {listed}",
                hint=nearest(name, known),
                known=known,
            )
        if node is None:
            if not names.is_subdomain(name):
                raise UnknownNode(f"{quoted(name)} is not a node name", hint=names.SUBDOMAIN_HINT)
            node = Node(Metadata(name, labels={HOSTNAME_LABEL: name}))
        if facts is None:
            return node
        if not isinstance(facts, NodeFacts):
            facts = NodeFacts.from_mapping(facts)
        return attrs.evolve(node, facts=facts)

    def slices_of(self, service: Service) -> tuple[EndpointSlice, ...]:
        """The slices of a Service that kube-proxy receives, sorted by name."""
        return self._slices_by_service.get(service.key, ())

    @cached_property
    def _slices_by_service(self) -> Mapping[Key, tuple[EndpointSlice, ...]]:
        found: dict[Key, list[EndpointSlice]] = {}
        for key in sorted(self.slices):
            endpoint_slice = self.slices[key]
            if not endpoint_slice.headless:
                found.setdefault(endpoint_slice.service_key, []).append(endpoint_slice)
        return {key: tuple(slices) for key, slices in found.items()}


class _Reading:
    """Collects objects by kind, and every problem with them."""

    def __init__(self, *, lenient: bool) -> None:
        self.lenient = lenient
        self.problems: list[Problem] = []
        self.services: dict[Key, Service] = {}
        self.slices: dict[Key, EndpointSlice] = {}
        self.nodes: dict[str, Node] = {}

    def read(self, raw: Any, index: int) -> None:
        if not isinstance(raw, Mapping):
            self.problems.append(
                Problem(f"must be a Kubernetes object, not {described(raw)}", index=index)
            )
            return
        kind, version = raw.get("kind"), raw.get("apiVersion")
        if isinstance(kind, str) and kind.endswith("List") and isinstance(raw.get("items"), list):
            for item in raw["items"]:
                self.read(_with_kind(item, kind, version), index)
        elif not isinstance(kind, str) or not kind:
            self.problems.append(Problem("has no kind", hint="such as kind: Service", index=index))
        elif kind == "Service" and version == "v1":
            self._keep(raw, index, kind, names.is_label, self.services, read_service)
        elif kind == "EndpointSlice" and str(version).startswith("discovery.k8s.io/"):
            self._keep(raw, index, kind, names.is_subdomain, self.slices, read_endpoint_slice)
        elif kind == "Node" and version == "v1":
            self._read_node(raw, index)
        elif kind in ("Service", "EndpointSlice", "Node") and version is None:
            self.problems.append(
                Problem("has no apiVersion", hint=_versions[kind], kind=kind, index=index)
            )

    def _keep(
        self,
        raw: Object,
        index: int,
        kind: str,
        is_name: Callable[[str], bool],
        into: dict[Key, T],
        read: Callable[[Object, Reader], T | None],
    ) -> None:
        reader = self._reader(raw, index, kind, is_name)
        if reader is None:
            return
        if not names.is_label(reader.namespace):
            reader.problem(
                ("metadata", "namespace"),
                f"{quoted(reader.namespace)} is not a namespace name",
                names.LABEL_HINT,
            )
            return
        key = reader.namespace, reader.name
        if key in into and not self.lenient:
            reader.problem((), "is given twice")
        found = read(raw, reader)
        if found is not None:
            into[key] = found

    def _read_node(self, raw: Object, index: int) -> None:
        reader = self._reader(raw, index, "Node", names.is_subdomain)
        if reader is None:
            return
        reader.namespace = ""
        if reader.name in self.nodes and not self.lenient:
            reader.problem((), "is given twice")
        self.nodes[reader.name] = read_node(raw, reader)

    def _reader(
        self, raw: Object, index: int, kind: str, is_name: Callable[[str], bool]
    ) -> Reader | None:
        """A reader for the object, or None where its name rules it out."""
        reader = Reader(kind, index=index, lenient=self.lenient, problems=self.problems)
        metadata = reader.mapping(raw, "metadata")
        name = reader.text(metadata, "name", ("metadata",))
        reader.name = printable(name, 80)
        reader.namespace = reader.text(metadata, "namespace", ("metadata",)) or "default"
        if not name:
            reader.problem(("metadata", "name"), "is required")
            return None
        if not is_name(name):
            hint = names.LABEL_HINT if is_name is names.is_label else names.SUBDOMAIN_HINT
            reader.problem(("metadata", "name"), f"{quoted(name)} is not a valid name", hint)
            return None
        return reader


_versions = {
    "Service": "apiVersion: v1",
    "Node": "apiVersion: v1",
    "EndpointSlice": "apiVersion: discovery.k8s.io/v1",
}


def _with_kind(item: Any, list_kind: str, version: Any) -> Any:
    """An item of a typed list, which may lack the kind that its list implies."""
    if list_kind == "List" or not isinstance(item, Mapping) or "kind" in item:
        return item
    return {"kind": list_kind.removesuffix("List"), "apiVersion": version, **item}
