"""Changes that wait for the kernel."""

from __future__ import annotations

from nptables.incremental.changes import Changes
from nptables.model import EndpointSlice, Node, ProxyConfig, Service
from nptables.model.objects import Key


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
