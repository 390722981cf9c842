"""What an input says about the endpoints of its Services, besides EndpointSlices."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

import attrs

from nptables.errors import Path
from nptables.immutable import frozen

if TYPE_CHECKING:
    from nptables.model.workloads import Workload

Key = tuple[str, str]
# Kind, namespace, name and field path to file, line and column, as far as they are known.
Place = Callable[[str, str, str, Path], tuple[str, int | None, int | None] | None]


def nowhere(
    kind: str, namespace: str, name: str, path: Path
) -> tuple[str, int | None, int | None] | None:
    """The place of an object that was read from no text."""
    del kind, namespace, name, path
    return None


@frozen
class Operated:
    """An object of another project's kind, whose operator may make Pods."""

    kind: str
    namespace: str
    name: str

    @property
    def subject(self) -> str:
        """The object as people name it."""
        return f"{self.kind} {self.namespace}/{self.name}"


@attrs.frozen(slots=False, eq=False, repr=False)
class Backing:
    """Workloads of an input, and whether its list of endpoints is the whole of them.

    `listed` is true where the input has the EndpointSlices of a cluster: then a Service without any
    has none. `elsewhere` are workloads that were found beside the input, in other sets of a tree,
    and `lacking` says what was not read that may hold more. `scattered` tells that the files come
    from a tree and may be for several clusters. `unplaced` are Services that are written without a
    namespace, which is decided when they are applied; `hooks` are those that a hook makes.
    `scaled` are workloads whose replicas something else decides, as kind, namespace and name.
    `namespaces` are those whose Services the input has, None for all. `hidden` are Services of
    which an address, or one of an endpoint's, was taken out of the input.
    """

    listed: bool = False
    workloads: tuple[Workload, ...] = ()
    operated: tuple[Operated, ...] = ()
    elsewhere: tuple[Workload, ...] = ()
    lacking: str = ""
    scattered: bool = False
    unplaced: frozenset[Key] = frozenset()
    hooks: frozenset[Key] = frozenset()
    scaled: frozenset[tuple[str, str, str]] = frozenset()
    has_nodes: bool = False
    namespaces: frozenset[str] | None = None
    hidden: frozenset[Key] = frozenset()
    place: Place = nowhere

    def knows(self, service: str) -> bool:
        """Whether the input has all that decides the rules of a Service (`namespace/name`)."""
        namespace, _, name = service.partition("/")
        if self.namespaces is not None and namespace not in self.namespaces:
            return False
        return (namespace, name) not in self.hidden

    def lasting(self, namespace: str) -> tuple[Workload, ...]:
        """The workloads of a namespace without what a hook makes."""
        return self._by_namespace.get(namespace, ())

    @cached_property
    def _by_namespace(self) -> Mapping[str, tuple[Workload, ...]]:
        found: dict[str, list[Workload]] = {}
        for workload in self.workloads:
            if not workload.hook:
                found.setdefault(workload.namespace, []).append(workload)
        return {namespace: tuple(listed) for namespace, listed in found.items()}

    def selected(self, namespace: str, selector: Mapping[str, str]) -> tuple[Workload, ...]:
        """The workloads whose Pods a selector selects; Jobs only where nothing else is there."""
        fitting = [w for w in self.lasting(namespace) if w.fits(selector)]
        return tuple([w for w in fitting if not w.is_single] or fitting)

    def where(self, kind: str, namespace: str, name: str, path: Path = ()) -> str:
        """File and line of a field, such as ` (web.yaml:7)`, or an empty string."""
        found = self.place(kind, namespace, name, path)
        if found is None:
            return ""
        return f" ({found[0]})" if found[1] is None else f" ({found[0]}:{found[1]})"

    def others(self) -> Iterator[Workload]:
        """The workloads of other sets without what a hook makes."""
        return (workload for workload in self.elsewhere if not workload.hook)
