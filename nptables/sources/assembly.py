"""From single objects to a cluster: read, check, make up what is missing, derive endpoints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from nptables.errors import InvalidInput, Path, Problem, printable
from nptables.family import Family
from nptables.model import Cluster
from nptables.model.backing import Backing
from nptables.model.kinds import is_list, read_kind
from nptables.model.objects import GIVEN_TWICE, ObjectReading, flattened, identified
from nptables.sources.backing import Maker, key_of, makers_of, read_backing, workloads_of
from nptables.sources.ranges import Ranges
from nptables.sources.text import Document

if TYPE_CHECKING:
    from nptables.sources.previews import Preview, ServicePreviews

Object = Mapping[str, Any]
_LISTINGS = ("EndpointSlice", "Endpoints")
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")


@attrs.frozen(eq=False, repr=False)
class Options:
    """How objects are read; see `load`."""

    lenient: bool
    preview: bool
    ranges: Ranges
    listed: bool = False


@attrs.frozen(eq=False, repr=False)
class Item:
    """One object of the input, with the document and the path in it where it stands."""

    value: Any
    document: Document | None = None
    prefix: Path = ()

    def flattened(self) -> Iterator[Item]:
        """The object, or those of the list that it is."""
        if not is_list(self.value):
            yield from (attrs.evolve(self, value=value) for value in flattened(self.value))
            return
        for number, value in enumerate(self.value["items"]):
            where = (*self.prefix, "items", number)
            if value.__class__ is dict and "kind" in value and not is_list(value):
                yield Item(value, self.document, where)
                continue
            # Kinds that the list implies are filled in by flattening a list of one.
            one = {**self.value, "items": [value]}
            for inner in flattened(one):
                yield Item(inner, self.document, where)

    @property
    def identity(self) -> tuple[str, str, str] | None:
        """Kind, namespace and name; None where one of them is no text."""
        metadata = self.value.get("metadata")
        kind = self.value.get("kind")
        if not isinstance(metadata, Mapping) or not isinstance(kind, str):
            return None
        name, namespace = metadata.get("name"), metadata.get("namespace") or "default"
        if not isinstance(name, str) or not isinstance(namespace, str):
            return None
        return kind, "" if kind == "Node" else namespace, name

    def place(self, problem: Problem) -> Problem:
        """The problem with file, line and column instead of a position among the objects."""
        problem = attrs.evolve(problem, index=None)
        if self.document is None:
            return problem
        return attrs.evolve(
            self.document.place(
                attrs.evolve(problem, path=self._as_written(problem.path)), self.prefix
            ),
            path=problem.path,
        )

    def _as_written(self, path: Path) -> Path:
        """The server speaks of clusterIPs also where only clusterIP was written."""
        if path[:2] != ("spec", "clusterIPs"):
            return path
        found = (
            self.document.locate((*self.prefix, "spec", "clusterIPs")) if self.document else None
        )
        above = self.document.locate((*self.prefix, "spec")) if self.document else None
        return path if found != above else ("spec", "clusterIP")

    def without_value(self) -> Item:
        """The place alone, so that the object itself can be forgotten."""
        if self.document is None:
            return self
        return attrs.evolve(self, value=None, document=attrs.evolve(self.document, value=None))


@attrs.define(eq=False, repr=False)
class Assembled:
    """What came of the objects."""

    cluster: Cluster
    problems: list[Problem]
    previews: list[Preview]
    ignored: dict[str, int]
    proxy_config: Object | None
    pods: list[Object]
    raw_problems: list[Problem]


def assemble(items: Iterable[Item], options: Options) -> Assembled:
    """The cluster of all objects, with every problem in its place."""
    return _Assembly(list(items), options).assembled()


@attrs.define(eq=False, repr=False)
class _Assembly:
    """The steps from objects to a cluster, in the order in which they need each other."""

    items: list[Item]
    options: Options
    reading: ObjectReading = attrs.field(init=False)
    positions: dict[str, list[int]] = attrs.field(init=False, factory=dict)
    others: list[int] = attrs.field(init=False, factory=list)
    ignored: dict[str, int] = attrs.field(init=False, factory=dict)
    previews: list[Preview] = attrs.field(init=False, factory=list)
    proxy_config: Object | None = attrs.field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        """Begin with nothing read."""
        self.reading = ObjectReading(self.options.lenient)

    def assembled(self) -> Assembled:
        """Carry out every step."""
        for index, item in enumerate(self.items):
            self.positions.setdefault(self._kind(item, index), []).append(index)
        for index, raw in self._of("Node", "EndpointSlice"):
            self.reading.read_one(raw, index)
        # After the Nodes, whose families decide which ones a Service gets that asks for none.
        self._read_services()
        endpoints = self._checked("Endpoints")
        pods = self._checked("Pod")
        for _, raw in pods:
            self.reading.keep_pod(raw)
        makers = [
            m for kind in WORKLOADS for i, raw in self._checked(kind) for m in makers_of(i, raw)
        ]
        makers += [m for i in self.others for m in self._other_makers(i)]
        backing = self._backing(endpoints)
        reading = self.reading
        if endpoints or pods or makers:
            from nptables.sources.derivation import Derivation  # noqa: PLC0415 - seldom needed

            raws = [item.value for item in self.items]
            derivation = Derivation(reading, raws, preview=self.options.preview)
            derivation.derive(endpoints, pods, makers)
            self.previews += derivation.previews
        return Assembled(
            cluster=Cluster(
                reading.services,
                reading.slices,
                reading.nodes,
                tuple(reading.problems) if self.options.lenient else (),
                tuple(reading.unread),
                backing,
                reading.pods,
            ),
            problems=[self._place(problem) for problem in reading.problems],
            previews=self.previews,
            ignored=self.ignored,
            proxy_config=self.proxy_config,
            pods=[raw for _, raw in pods],
            raw_problems=list(reading.problems),
        )

    def _backing(self, endpoints: list[tuple[int, Any]]) -> Backing:
        """What the input says of who stands behind its Services.

        Its endpoints are a cluster's whole list where some of them were made by a controller: a
        slice that somebody wrote for one Service without a selector says nothing of the others. One
        that was left out is one of the list all the same.
        """
        services = self.reading.services
        keys = [found.service_key for found in self.reading.slices.values()]
        keys += [key_of(raw) for _, raw in endpoints]
        keys += [(u.namespace, u.service) for u in self.reading.unread if u.kind in _LISTINGS]
        return read_backing(
            (
                value
                for value in (item.value for item in self.items)
                if value.__class__ is dict or isinstance(value, Mapping)
            ),
            listed=self.options.listed
            or any(key not in services or services[key].selector for key in keys),
            has_nodes=bool(self.reading.nodes),
        )

    def _other_makers(self, index: int) -> list[Maker]:
        """A workload of another kind; one whose template is no Pod's makes nothing."""
        found = makers_of(index, without_nulls(self.items[index].value))
        check = ObjectReading(lenient=True).check
        return [maker for maker in found if check(maker[1], "Pod", index)]

    def _kind(self, item: Item, index: int) -> str:
        if isinstance(item.value, Problem):
            self.reading.problems.append(attrs.evolve(item.value, index=index))
            self.reading.leave_out(item.value)
            return ""
        kind = read_kind(item.value)
        if isinstance(kind, Problem):
            self.reading.problems.append(identified(kind, item.value, index))
            self.reading.leave_out(item.value)
            return ""
        if not kind and workloads_of(item.value):
            self.others.append(index)
        elif not kind and not self._take_config(item.value, index):
            shown = printable(str(item.value.get("kind")), 80)
            self.ignored[shown] = self.ignored.get(shown, 0) + 1
        return kind

    def _take_config(self, raw: Object, index: int) -> bool:
        # An input seldom holds what is neither read nor a workload.
        from nptables.sources.kubeproxy import find_kube_proxy_config  # noqa: PLC0415

        try:
            found = find_kube_proxy_config(raw)
        except InvalidInput as error:
            self.reading.problems += [
                attrs.evolve(identified(p, raw, index), line=None, column=None, path=("data",))
                for p in error.problems
            ]
            return True
        if found is not None and self.proxy_config is None:
            self.proxy_config = found
        return found is not None

    def _of(self, *kinds: str) -> Iterator[tuple[int, Any]]:
        """The objects of some kinds, in the order of the input."""
        for index in sorted([i for kind in kinds for i in self.positions.get(kind, ())]):
            yield index, self.items[index].value

    def _checked(self, kind: str) -> list[tuple[int, Any]]:
        return [
            (index, without_nulls(raw))
            for index, raw in self._of(kind)
            if self.reading.check(raw, kind, index)
        ]

    def _read_services(self) -> None:
        services = list(self._of("Service"))
        maker: ServicePreviews | None = None
        for index, raw in services:
            if _was_applied(raw):
                self.reading.read_one(raw, index)
                continue
            if maker is None:
                maker = self._maker([each for _, each in services])
            completed, problems = maker.complete(raw)
            self.reading.problems += [attrs.evolve(p, index=index) for p in problems]
            self.reading.read_one(completed, index)
        self.previews += () if maker is None else maker.made

    def _maker(self, services: list[Object]) -> ServicePreviews:
        """What makes up the values that Services lack, and none that one of them has."""
        # The Services that a cluster gave lack none.
        from nptables.sources.previews import ServicePreviews  # noqa: PLC0415

        return ServicePreviews(
            services,
            self.options.ranges,
            primary=self._primary_family(),
            dual_stack=self._has_both_families(),
            refuse=not self.options.preview,
        )

    def _node_families(self) -> set[Family]:
        return {
            Family.of(text)
            for node in self.reading.nodes.values()
            for text in (*node.pod_cidrs, *(address for _, address in node.addresses))
        }

    def _primary_family(self) -> Family:
        # With both families either may come first in a cluster, and nearly everywhere IPv4 does.
        return Family.IPV6 if self._node_families() == {Family.IPV6} else Family.IPV4

    def _has_both_families(self) -> bool:
        return len(self._node_families()) == 2

    def _place(self, problem: Problem) -> Problem:
        if problem.index is None or not 0 <= problem.index < len(self.items):
            return problem
        item = self.items[problem.index]
        placed = item.place(problem)
        if problem.message == GIVEN_TWICE and not problem.path and not problem.hint:
            first = next((i for i in self.items if _same(i, item)), item)
            if first is not item:
                where = first.place(Problem(""))
                if where.file is not None:
                    shown = f"the first is {where.file}:{where.line}; keep one"
                    placed = attrs.evolve(placed, hint=shown)
        return placed


def without_nulls(value: Any) -> Any:
    """A copy in which nothing is null: to the API a null field is an absent one."""
    if isinstance(value, Mapping):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [without_nulls(item) for item in value if item is not None]
    return value


def _same(one: Item, other: Item) -> bool:
    return isinstance(one.value, Mapping) and one.identity == other.identity


def _was_applied(service: Object) -> bool:
    """Whether a Service has all that a server assigns, by a look that is cheap and may miss it."""
    try:
        spec = service["spec"]
        return bool(
            spec["clusterIP"]
            and len(spec["clusterIPs"]) == len(spec["ipFamilies"])
            and spec["ipFamilyPolicy"] == "SingleStack"
            and spec["type"] in ("ClusterIP", "NodePort")
            and (spec["type"] == "ClusterIP" or all([port["nodePort"] for port in spec["ports"]]))  # noqa: C419
        )
    except (KeyError, TypeError, AttributeError):
        return False
