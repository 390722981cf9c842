"""The cluster: every Service, EndpointSlice and Node that decides a node's rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import attrs

from nptables.errors import InvalidInput, Problem, UnknownNode
from nptables.immutable import frozen
from nptables.model import names
from nptables.model.backing import Backing
from nptables.model.endpointslice import EndpointSlice
from nptables.model.kubeproxy.seeing import (
    Habits,
    broken_in_service,
    broken_in_slice,
    seen_service,
    seen_slice,
    sees_everything,
)
from nptables.model.metadata import Metadata
from nptables.model.node import HOSTNAME_LABEL, Node, NodeFacts
from nptables.model.objects import Key, ObjectReading
from nptables.model.reading import nearest, quoted
from nptables.model.service import Service
from nptables.words import listed

if TYPE_CHECKING:
    from nptables.model.pod import Pod
    from nptables.model.unread import Unread


@frozen(slots=False)
class Cluster:
    """An immutable picture of a cluster.

    `services` and `slices` are keyed by namespace and name, `nodes` by name. `problems` are the
    reasons why a lenient reading left something out, and `unread` names the Services and Nodes
    about which something is therefore unknown. `backing` is what manifests tell about the endpoints
    of Services; without it, only the slices tell. `pods` are those whose objects were in the
    input: no rule depends on them, but packets come from them.
    """

    services: Mapping[Key, Service] = attrs.field(factory=dict)
    slices: Mapping[Key, EndpointSlice] = attrs.field(factory=dict)
    nodes: Mapping[str, Node] = attrs.field(factory=dict)
    problems: tuple[Problem, ...] = ()
    unread: tuple[Unread, ...] = ()
    backing: Backing | None = attrs.field(default=None, eq=False, repr=False)
    pods: Mapping[Key, Pod] = attrs.field(factory=dict, eq=False, repr=False)

    @classmethod
    def from_objects(cls, objects: Iterable[Any], lenient: bool = False) -> Cluster:  # noqa: FBT001, FBT002
        """A cluster from objects as `kubectl get -o json` gives them, or client models.

        Lists are opened, kinds that do not decide rules are skipped. Raises InvalidInput with
        `.problems`, all of them at once. With `lenient`, for objects as an API server stores them,
        what kube-proxy would repair is repaired, what cannot be used is left out and listed in
        `.problems`.
        """
        if isinstance(objects, Mapping):
            raise InvalidInput(
                [Problem("one object, where a list of objects is wanted", "[object]")]
            )
        reading = ObjectReading(lenient)
        for index, raw in enumerate(objects):
            reading.read(raw, index)
        if reading.problems and not lenient:
            raise InvalidInput(reading.problems)
        return cls(
            reading.services,
            reading.slices,
            reading.nodes,
            tuple(reading.problems),
            tuple(reading.unread),
            pods=reading.pods,
        )

    def node(self, name: str | None = None, facts: object = None) -> Node:
        """The node of that name, with facts as a mapping or NodeFacts.

        Without a name the only node there is. In a cluster without any Node object every name
        will do. Raises UnknownNode, which lists the names that are there.
        """
        known = sorted(self.nodes)
        if name is None:
            if len(known) != 1:
                raise UnknownNode(self._which_node(known), hint="name one with --node", known=known)
            name = known[0]
        node = self.nodes.get(name)
        if node is None and known:
            raise UnknownNode(
                f"there is no node {quoted(name)}; there are: {listed(known, _MOST_LISTED)}",
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

    def _which_node(self, known: Sequence[str]) -> str:
        if known:
            return f"which node? there are {len(known)}: {listed(known, _MOST_LISTED)}"
        carried = sorted({e.node_name for s in self.slices.values() for e in s.endpoints} - {""})
        on = f"; endpoints are on: {listed(carried, _MOST_LISTED)}" if carried else ""
        return f"which node? the input has no Node object{on}"

    def slices_of(self, service: Service) -> tuple[EndpointSlice, ...]:
        """The slices of a Service that kube-proxy receives, sorted by name."""
        return self._slices_by_service.get(service.key, ())

    def seen_by(self, habits: Habits) -> Cluster:
        """The cluster as a kube-proxy with these habits sees it. The result is cached.

        The newest kube-proxy sees everything.
        """
        if sees_everything(habits):
            return self
        found = self._seen.get(habits)
        if found is None:
            slices = {key: seen_slice(value, habits) for key, value in self.slices.items()}
            broken = [
                *(p for value in self.services.values() for p in broken_in_service(value, habits)),
                *(p for value in self.slices.values() for p in broken_in_slice(value, habits)),
            ]
            found = attrs.evolve(
                self,
                services={key: seen_service(value, habits) for key, value in self.services.items()},
                slices={key: value for key, value in slices.items() if value is not None},
                problems=(*self.problems, *broken),
            )
            self._seen[habits] = found
            # Who has seen it so sees the same in it once more.
            found._seen[habits] = found  # noqa: SLF001 - a Cluster too
        return found

    @cached_property
    def _seen(self) -> dict[Habits, Cluster]:
        return {}

    @property
    def comparable(self) -> Cluster:
        """The cluster without the Services of which the input hides what decides their rules."""
        hidden = frozenset() if self.backing is None else self.backing.hidden
        if not hidden:
            return self
        services = {key: found for key, found in self.services.items() if key not in hidden}
        return attrs.evolve(self, services=services)

    def unread_about(self, service: Service) -> tuple[Unread, ...]:
        """What was left out that may hold endpoints of a Service: empty where all is known."""
        if not self.unread:
            return ()
        has_slices = any(not found.derived for found in self.slices_of(service))
        return tuple(u for u in self.unread if u.may_tell(service, has_slices=has_slices))

    @property
    def knows_all_endpoints(self) -> bool:
        """Whether every Service has all of its endpoints here, as those of a whole cluster have."""
        backing = self.backing
        is_listed = backing is None or (backing.listed and not backing.hidden)
        return is_listed and not self.unread

    @property
    def knows_all_nodes(self) -> bool:
        """Whether no Node, and nothing that may be one, was left out."""
        return not any(found.kind in ("", "Node") for found in self.unread)

    @cached_property
    def _slices_by_service(self) -> Mapping[Key, tuple[EndpointSlice, ...]]:
        found: dict[Key, list[EndpointSlice]] = {}
        # kube-proxy has its slices in a Go map: any order is right, and this one is always the
        # same.
        for key in sorted(self.slices):
            endpoint_slice = self.slices[key]
            if not endpoint_slice.headless:
                found.setdefault(endpoint_slice.service_key, []).append(endpoint_slice)
        return {key: tuple(slices) for key, slices in found.items()}


_MOST_LISTED = 20
