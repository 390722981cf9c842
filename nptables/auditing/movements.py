"""What changed in the cluster while its nodes were read: every state in which a Service was."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from typing import TypeVar

import attrs

from nptables.model import Cluster, EndpointSlice, Service
from nptables.model.objects import Key

Value = TypeVar("Value")

# Of a Service with more states than this only its last two count, with all of its slices'.
_MOST_STATES = 64


@attrs.frozen
class Movement:
    """One object is new or different; `value` is None where it is gone or cannot be read.

    `key` is its namespace and name, `service` tells whether it is a Service, else it is a slice.
    `at` is when it was seen: seconds since the epoch.
    """

    at: float
    service: bool
    key: Key
    value: Service | EndpointSlice | None


@attrs.frozen
class State:
    """A Service as it was, with its slices by name; None where it was not there."""

    service: Service | None
    slices: tuple[EndpointSlice, ...]


def states_of(cluster: Cluster, movements: Iterable[Movement]) -> dict[Key, tuple[State, ...]]:
    """Every state of each Service that changed, from `cluster` on, the last one last.

    kube-proxy hears of Services and of slices by watches of their own, and one may be behind the
    other: so each state of the Service goes with each of its slices.
    """
    found: dict[Key, _History] = {}
    homes: dict[Key, Key] = {key: s.service_key for key, s in cluster.slices.items()}
    for movement in movements:
        if movement.service:
            history = _of(found, movement.key, cluster)
            value = movement.value
            history.services.append(value if isinstance(value, Service) else None)
            continue
        new = movement.value if isinstance(movement.value, EndpointSlice) else None
        old_home = homes.pop(movement.key, None)
        if new is not None and not new.headless:
            homes[movement.key] = new.service_key
        for home in {home for home in (old_home, homes.get(movement.key)) if home is not None}:
            held = new if homes.get(movement.key) == home else None
            _of(found, home, cluster).move(movement.key, held)
    return {key: tuple(history.states()) for key, history in found.items()}


class _History:
    """One Service: its states, and those of all of its slices together."""

    def __init__(
        self, service: Service | None, slices: Iterable[tuple[Key, EndpointSlice]]
    ) -> None:
        self.services: list[Service | None] = [service]
        self._now = dict(slices)
        self.sliced: list[tuple[EndpointSlice, ...]] = [self._in_order()]

    def move(self, key: Key, value: EndpointSlice | None) -> None:
        if value is None:
            self._now.pop(key, None)
        else:
            self._now[key] = value
        self.sliced.append(self._in_order())

    def _in_order(self) -> tuple[EndpointSlice, ...]:
        return tuple(self._now[key] for key in sorted(self._now))

    def states(self) -> Iterator[State]:
        services, sliced = _distinct(self.services), _distinct(self.sliced)
        # Each state has to be translated, and looked for on every node.
        if len(services) * len(sliced) > _MOST_STATES:
            services = services[-2:]
        for service, slices in product(services, sliced):
            yield State(service, slices)


def _distinct(values: Iterable[Value]) -> list[Value]:
    """The values without those that are equal to the one before them."""
    found: list[Value] = []
    for value in values:
        if not found or found[-1] != value:
            found.append(value)
    return found


def _of(found: dict[Key, _History], key: Key, cluster: Cluster) -> _History:
    if key not in found:
        mine = ((k, s) for k, s in cluster.slices.items() if s.service_key == key)
        held = ((k, s) for k, s in mine if not s.headless)
        found[key] = _History(cluster.services.get(key), held)
    return found[key]
