"""What is known of the cluster and the node, kept current by events.

The store remembers what changed since it was last asked, and when those changes happened, so that
the loop can say how long they took. It is complete once both lists are there and the Node
is known or was awaited for long enough.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import attrs

from nptables.errors import Problem
from nptables.family import Family
from nptables.immutable import frozen
from nptables.incremental import Changes
from nptables.model import Cluster, EndpointSlice, Node, NodeFacts, ProxyConfig, Service
from nptables.sources.apiserver import Changed, Listed

Key = tuple[str, str]


@frozen
class Pending:
    """What changed since the last sync: keys of Services and slices, and when it happened.

    `everything` is set where the node, its facts or the configuration changed too. `triggered`
    has, by slice, its family and when the change that it reports happened.
    """

    services: frozenset[Key] = frozenset()
    slices: frozenset[Key] = frozenset()
    everything: bool = False
    triggered: Mapping[Key, tuple[Family, float]] = attrs.field(factory=dict)

    def __bool__(self) -> bool:
        """Whether anything changed."""
        return bool(self.services or self.slices or self.everything)


class Store:
    """Services, EndpointSlices and the own Node, as the API server last said.

    It is what client-go's informers call a store. `problems` holds, by kind, namespace and name,
    what is wrong with objects that are left out in whole or in part.
    """

    def __init__(self, node_name: str, facts: NodeFacts | None = None) -> None:
        self.node_name = node_name
        self.facts = facts or NodeFacts()
        self.services: dict[Key, Service] = {}
        self.slices: dict[Key, EndpointSlice] = {}
        self.health_ports: dict[Key, int] = {}
        self._slices_of: dict[Key, dict[Key, EndpointSlice]] = {}
        self.problems: dict[tuple[str, Key], tuple[Problem, ...]] = {}
        self.node: Node | None = None
        self.node_gone = False
        self.listed: set[str] = set()
        self.service_changes = 0
        self.endpoint_changes = 0
        self._services: set[Key] = set()
        self._slices: set[Key] = set()
        self._everything = True
        self._triggered: dict[Key, float] = {}

    @property
    def dirty(self) -> bool:
        """Whether anything changed since `take_changes`."""
        return bool(self._services or self._slices or self._everything)

    def take(self, event: Listed | Changed) -> tuple[Problem, ...]:
        """Take in what the API server said; returns what is newly wrong with it."""
        if isinstance(event, Listed):
            return self._take_list(event)
        return self._take_change(event)

    def take_facts(self, facts: NodeFacts) -> bool:
        """What the node itself says; returns whether that is news."""
        if facts == self.facts:
            return False
        self.facts = facts
        self._everything = True
        return True

    def touch(self) -> None:
        """Everything has to be looked at again, because the configuration changed."""
        self._everything = True

    def take_changes(self, config: ProxyConfig) -> tuple[Pending, Changes]:
        """What changed since this was asked last, all of it the first time."""
        pending = Pending(
            frozenset(self._services),
            frozenset(self._slices),
            self._everything,
            {
                key: (found.family, at)
                for key, at in self._triggered.items()
                if (found := self.slices.get(key)) is not None and found.family is not None
            },
        )
        changes = Changes(
            {key: self.services.get(key) for key in self._services},
            {key: self.slices.get(key) for key in self._slices},
            self.node_with_facts() if self._everything else None,
            config if self._everything else None,
        )
        self._services.clear()
        self._slices.clear()
        self._triggered.clear()
        self._everything = False
        return pending, changes

    def local_endpoints(self) -> dict[Key, int]:
        """How many ready endpoints each Service with a health-check port has on this node.

        Those of the Service's first family count, as in kube-proxy, where one family has the port.
        """
        return {
            key: len(
                {
                    endpoint.address
                    for endpoint_slice in self._slices_of.get(key, {}).values()
                    if endpoint_slice.family is next(iter(self.services[key].cluster_ips), None)
                    for endpoint in endpoint_slice.endpoints
                    if endpoint.ready and endpoint.node_name == self.node_name
                }
            )
            for key in self.health_ports
        }

    def node_with_facts(self) -> Node:
        """The Node that rules are made for; without a Node object, one with its name only."""
        nodes = {} if self.node is None else {self.node.name: self.node}
        return Cluster(nodes=nodes).node(self.node_name, self.facts)

    def _take_list(self, event: Listed) -> tuple[Problem, ...]:
        name, cluster = event.resource.name, event.cluster
        self.listed.add(name)
        if name == "services":
            changed = set(_differences(self.services, cluster.services))
            for key in changed:
                self._put_service(key, cluster.services.get(key))
            self._note_services(changed)
        elif name == "endpointslices":
            changed = set(_differences(self.slices, cluster.slices))
            for key in changed:
                self._put_slice(key, cluster.slices.get(key))
            self._note_slices(changed, event.triggered)
        else:
            self._take_node(cluster.nodes.get(self.node_name))
        kind = event.resource.kind
        before = {key: found for key, found in self.problems.items() if key[0] == kind}
        for at in before:
            del self.problems[at]
        for problem in cluster.problems:
            at = kind, (problem.namespace, problem.name)
            self.problems[at] = (*self.problems.get(at, ()), problem)
        return tuple(
            problem
            for key, found in self.problems.items()
            if key[0] == kind and before.get(key) != found
            for problem in found
        )

    def _take_change(self, event: Changed) -> tuple[Problem, ...]:
        key = event.namespace, event.name
        name, value = event.resource.name, event.value
        if name == "services":
            if self.services.get(key) != value:
                self._note_services({key})
            self._put_service(key, value if isinstance(value, Service) else None)
        elif name == "endpointslices":
            if self.slices.get(key) != value:
                triggered = {} if event.triggered is None else {key: event.triggered}
                self._note_slices({key}, triggered)
            self._put_slice(key, value if isinstance(value, EndpointSlice) else None)
        elif event.name == self.node_name:
            self._take_node(value if isinstance(value, Node) else None)
        at = event.resource.kind, key
        known = self.problems.pop(at, ())
        if event.problems:
            self.problems[at] = event.problems
        return () if known == event.problems else event.problems

    def _put_service(self, key: Key, service: Service | None) -> None:
        self.health_ports.pop(key, None)
        if service is None:
            self.services.pop(key, None)
            return
        self.services[key] = service
        if service.health_check_port and not service.headless:
            self.health_ports[key] = service.health_check_port

    def _put_slice(self, key: Key, endpoint_slice: EndpointSlice | None) -> None:
        old = self.slices.pop(key, None)
        if old is not None:
            of_service = self._slices_of.get(old.service_key, {})
            of_service.pop(key, None)
            if not of_service:
                self._slices_of.pop(old.service_key, None)
        if endpoint_slice is not None:
            self.slices[key] = endpoint_slice
            self._slices_of.setdefault(endpoint_slice.service_key, {})[key] = endpoint_slice

    def _note_services(self, keys: Iterable[Key]) -> None:
        keys = set(keys)
        self._services |= keys
        self.service_changes += len(keys)

    def _note_slices(self, keys: set[Key], triggered: Mapping[Key, float]) -> None:
        self._slices |= keys
        self.endpoint_changes += len(keys)
        for key in keys & triggered.keys():
            # Of several changes before one sync the oldest waited longest.
            self._triggered.setdefault(key, triggered[key])

    def _take_node(self, node: Node | None) -> None:
        # What was last known of a Node that is gone stays in use: its labels and addresses are
        # still those of this machine.
        self.node_gone = node is None
        if node is not None and node != self.node:
            self.node = node
            self._everything = True


def _differences(before: Mapping[Key, object], after: Mapping[Key, object]) -> Iterator[Key]:
    for key in before.keys() | after.keys():
        if before.get(key) != after.get(key):
            yield key
