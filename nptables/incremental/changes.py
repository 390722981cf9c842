"""What happened to the objects that decide a node's rules, and what of it the kernel lacks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import attrs

from nptables.immutable import frozen
from nptables.model import Cluster, EndpointSlice, Node, ProxyConfig, Service
from nptables.model.objects import Key

T = TypeVar("T")


@frozen
class Changes:
    """A set of changes, taken together: only the last state of each object counts.

    `services` and `slices` are by namespace and name; None means that the object is gone. `node`
    (its Node object with its facts) and `config` are None where they are as they were.
    """

    services: Mapping[Key, Service | None] = attrs.field(factory=dict)
    slices: Mapping[Key, EndpointSlice | None] = attrs.field(factory=dict)
    node: Node | None = None
    config: ProxyConfig | None = None

    @classmethod
    def everything(cls, cluster: Cluster, node: Node, config: ProxyConfig) -> Changes:
        """The changes that lead from nothing to a whole cluster as one node sees it."""
        return cls(dict(cluster.services), dict(cluster.slices), node, config)

    @classmethod
    def between(cls, old: Cluster, new: Cluster) -> Changes:
        """The changes of Services and slices that lead from one cluster to another.

        An object that is the same object in both is not compared, so what a watch left alone
        costs next to nothing.
        """
        return cls(
            _between(old.services, new.services),
            _between(old.slices, new.slices),
        )

    def then(self, later: Changes) -> Changes:
        """These changes followed by later ones."""
        return Changes(
            {**self.services, **later.services},
            {**self.slices, **later.slices},
            later.node if later.node is not None else self.node,
            later.config if later.config is not None else self.config,
        )

    def __bool__(self) -> bool:
        """Whether anything changed."""
        return bool(self.services or self.slices or self.node or self.config)

    def __len__(self) -> int:
        """How many objects changed."""
        return len(self.services) + len(self.slices) + bool(self.node) + bool(self.config)


def _between(old: Mapping[Key, T], new: Mapping[Key, T]) -> dict[Key, T | None]:
    found: dict[Key, T | None] = {}
    for key, value in new.items():
        before = old.get(key)
        if before is not value and before != value:
            found[key] = value
    for key in old.keys() - new.keys():
        found[key] = None
    return found


class PendingChanges:
    """Collects changes until the kernel has accepted them.

    Many changes to one object cost one: only its last state is kept. `take` gives all changes
    that the kernel does not have, as one snapshot that later changes leave alone; they are
    forgotten by `accepted`, and otherwise are part of the next snapshot again.

    It belongs to one thread, or to whoever holds its owner's lock.
    """

    def __init__(self) -> None:
        self._services: dict[Key, Service | None] = {}
        self._slices: dict[Key, EndpointSlice | None] = {}
        self._node: Node | None = None
        self._config: ProxyConfig | None = None
        self._taken = Changes()

    def service(self, service: Service) -> None:
        """A Service is new or changed."""
        self._services[service.key] = service

    def service_gone(self, key: Key) -> None:
        """The Service of that namespace and name is gone."""
        self._services[key] = None

    def endpoint_slice(self, endpoint_slice: EndpointSlice) -> None:
        """An EndpointSlice is new or changed."""
        metadata = endpoint_slice.metadata
        self._slices[metadata.namespace, metadata.name] = endpoint_slice

    def endpoint_slice_gone(self, key: Key) -> None:
        """The EndpointSlice of that namespace and name is gone."""
        self._slices[key] = None

    def node(self, node: Node) -> None:
        """The node has other labels, addresses, pod networks or facts."""
        self._node = node

    def config(self, config: ProxyConfig) -> None:
        """The configuration is another."""
        self._config = config

    def add(self, changes: Changes) -> None:
        """Several changes at once."""
        self._services.update(changes.services)
        self._slices.update(changes.slices)
        self._node = changes.node if changes.node is not None else self._node
        self._config = changes.config if changes.config is not None else self._config

    def __len__(self) -> int:
        """How many objects have changes that the kernel does not have."""
        return len(self._taken.then(self._waiting()))

    def take(self) -> Changes:
        """All changes that the kernel does not have, older ones that it refused included."""
        self._taken = self._taken.then(self._waiting())
        self._services, self._slices = {}, {}
        self._node = self._config = None
        return self._taken

    def accepted(self) -> None:
        """The kernel has what `take` gave last: forget it."""
        self._taken = Changes()

    def _waiting(self) -> Changes:
        return Changes(self._services, self._slices, self._node, self._config)
