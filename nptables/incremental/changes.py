"""What happened to the objects that decide a node's rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import attrs

from nptables.model import Cluster, EndpointSlice, Node, ProxyConfig, Service
from nptables.model.objects import Key

T = TypeVar("T")


@attrs.frozen
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
