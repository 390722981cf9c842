"""From any objects to the Services, slices and Nodes among them, with every problem found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from nptables.errors import Problem, printable
from nptables.model import names
from nptables.model.endpointslice import EndpointSlice, is_truncated, read_endpoint_slice
from nptables.model.kinds import is_list, read_kind, with_kind
from nptables.model.node import Node, read_node
from nptables.model.reading import Object, Reader, quoted
from nptables.model.schema import UNKNOWN_FIELD, conforms, shape_problems
from nptables.model.schema.types import FIELDS
from nptables.model.service import Service, read_service
from nptables.model.usual import usual_endpoints, usual_service, usual_slice
from nptables.model.validation import validate

if TYPE_CHECKING:
    from nptables.model.pod import Pod
    from nptables.model.unread import Unread

T = TypeVar("T")
Usual = TypeVar("Usual", Service, EndpointSlice)
Key = tuple[str, str]
GIVEN_TWICE = "is given twice"
_MOST_NESTED_LISTS = 50


@attrs.define(eq=False, repr=False)
class ObjectReading:
    """Collects objects by kind, and every problem with them.

    Strictly, objects are checked as an API server checks a manifest. With `lenient`, for objects
    as a server stores them, kube-proxy's own reading is all that is done.
    """

    lenient: bool = False
    problems: list[Problem] = attrs.field(factory=list)
    services: dict[Key, Service] = attrs.field(factory=dict)
    slices: dict[Key, EndpointSlice] = attrs.field(factory=dict)
    nodes: dict[str, Node] = attrs.field(factory=dict)
    unread: list[Unread] = attrs.field(factory=list)
    pods: dict[Key, Pod] = attrs.field(factory=dict)

    def read(self, raw: Any, index: int) -> None:
        """Read one object, or each of a list; `index` is its position in the input."""
        for item in flattened(raw):
            if isinstance(item, Problem):
                self.problems.append(attrs.evolve(item, index=index))
                self.leave_out(item)
            else:
                self.read_one(item, index)

    def read_one(self, raw: Any, index: int) -> None:
        """Read one object that is no list."""
        before = len(self.problems)
        kind = read_kind(raw)
        if isinstance(kind, Problem):
            self.problems.append(identified(kind, raw, index))
        elif kind == "Service":
            if not self._keep_usual(usual_service(raw), self.services):
                self._keep(raw, index, kind, names.is_label, self.services, read_service)
        elif kind == "EndpointSlice":
            self._read_slice(raw, index)
        elif kind == "Node":
            self._read_node(raw, index)
        elif kind == "Pod":
            self.keep_pod(raw)
        if len(self.problems) > before:
            self.leave_out(raw)
        elif kind == "EndpointSlice":
            self.note_truncated(raw)

    def keep_pod(self, raw: Any) -> None:
        """Keep where a Pod is; of what is wrong with it nothing is said."""
        from nptables.model.pod import Pod  # noqa: PLC0415 - most inputs hold none

        found = Pod.read(raw)
        if found is not None:
            self.pods[found.namespace, found.name] = found

    def leave_out(self, raw: Any) -> None:
        """Note that an object, or a part of it, is not read."""
        from nptables.model.unread import unread_of  # noqa: PLC0415 - seldom needed

        if (found := unread_of(raw)) is not None:
            self.unread.append(found)

    def note_truncated(self, raw: Any) -> None:
        """Note an object that says of itself that it does not hold all endpoints."""
        if not is_truncated(raw):
            return
        from nptables.model.unread import truncated  # noqa: PLC0415 - seldom needed

        if (found := truncated(raw)) is not None:
            self.unread.append(found)

    def check(self, raw: Object, kind: str, index: int) -> bool:
        """Check an object that is not kept itself, such as a Pod; say whether it can be used."""
        before = len(self.problems)
        is_name = names.is_subdomain
        reader = reader_for(raw, index, kind, is_name, lenient=self.lenient, problems=self.problems)
        if reader is None:
            self.leave_out(raw)
            return False
        if self.lenient:
            self._check_types(raw, kind, reader)
        else:
            validate(raw, kind, reader)
        if len(self.problems) == before:
            return True
        self.leave_out(raw)
        return False

    def _check_types(self, raw: Object, kind: str, reader: Reader) -> None:
        """Note wrong types alone: a newer server may have fields that are not known here."""
        before = len(self.problems)
        if not conforms(raw, kind):
            shape_problems(raw, kind, reader)
            self.problems[before:] = [
                problem for problem in self.problems[before:] if problem.message != UNKNOWN_FIELD
            ]

    def _keep(
        self,
        raw: Object,
        index: int,
        kind: str,
        is_name: Callable[[str], bool],
        into: dict[Key, T],
        read: Callable[[Object, Reader], T | None],
    ) -> None:
        reader = reader_for(raw, index, kind, is_name, lenient=self.lenient, problems=self.problems)
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
        if not self.lenient:
            if key in into:
                reader.problem((), GIVEN_TWICE)
            validate(raw, kind, reader)
        found = read(raw, reader)
        if found is not None:
            into[key] = found

    def _keep_usual(self, found: Usual | None, into: dict[Key, Usual]) -> bool:
        """Keep what was read at a glance; say whether it was."""
        if found is None:
            return False
        key = found.metadata.namespace, found.metadata.name
        if key in into and not self.lenient:
            return False
        into[key] = found
        return True

    def _read_slice(self, raw: Object, index: int) -> None:
        if self._keep_usual(usual_slice(raw), self.slices):
            return
        usual = usual_endpoints(raw)
        bare = raw if usual is None else {**raw, "endpoints": []}
        read = partial(read_endpoint_slice, usual=usual or ())
        self._keep(bare, index, "EndpointSlice", names.is_subdomain, self.slices, read)

    def _read_node(self, raw: Object, index: int) -> None:
        reader = reader_for(
            raw, index, "Node", names.is_subdomain, lenient=self.lenient, problems=self.problems
        )
        if reader is None:
            return
        reader.namespace = ""
        if not self.lenient:
            if reader.name in self.nodes:
                reader.problem((), GIVEN_TWICE)
            validate(raw, "Node", reader)
        self.nodes[reader.name] = read_node(raw, reader)


def flattened(raw: Any) -> Iterator[Any]:
    """The objects in a list of any kind, lists in lists opened, or the one object itself.

    Client models become mappings. A Problem stands for lists that are nested beyond reason.
    """
    pending = [(_plain(raw), 0)]
    while pending:
        item, depth = pending.pop()
        if not is_list(item):
            yield item
        elif depth >= _MOST_NESTED_LISTS:
            yield Problem(f"is a list in a list, {depth} deep", hint="a List holds objects")
        else:
            inner = (_plain(with_kind(each, item)) for each in item["items"])
            pending.extend((each, depth + 1) for each in reversed(list(inner)))


def _plain(raw: Any) -> Any:
    """The mapping behind a client model; what is no model as it is."""
    if raw.__class__ is dict:
        return raw
    from nptables.model.clientmodels import from_client_model  # noqa: PLC0415 - files hold none

    return from_client_model(raw)


def identified(problem: Problem, raw: Any, index: int | None) -> Problem:
    """A problem with the name of the object, as far as it can be told."""
    metadata = raw.get("metadata") if isinstance(raw, Mapping) else None
    metadata = metadata if isinstance(metadata, Mapping) else {}
    name, namespace = metadata.get("name"), metadata.get("namespace")
    kind = raw.get("kind") if isinstance(raw, Mapping) else ""
    if not isinstance(name, str) or not name:
        return attrs.evolve(problem, index=index, kind=_short(kind))
    if not isinstance(namespace, str) or not namespace:
        namespace = "" if kind == "Node" else "default"
    return attrs.evolve(
        problem,
        index=index,
        kind=_short(kind),
        namespace=printable(namespace, 80),
        name=printable(name, 80),
    )


def _short(kind: Any) -> str:
    return printable(kind, 80) if isinstance(kind, str) else ""


def reader_for(
    raw: Object,
    index: int | None,
    kind: str,
    is_name: Callable[[str], bool],
    *,
    lenient: bool,
    problems: list[Problem],
) -> Reader | None:
    """A reader for the object, or None where its name rules it out."""
    reader = Reader(kind, index=index, lenient=lenient, problems=problems)
    metadata = reader.mapping(raw, "metadata")
    name = reader.text(metadata, "name", ("metadata",))
    reader.name = printable(name, 80)
    reader.namespace = reader.text(metadata, "namespace", ("metadata",)) or "default"
    if not name:
        reader.namespace = ""
        # Where the name is there and no text, that has been said already.
        reader.problem(("metadata", "name"), "is required", _name_hint(metadata))
        return None
    if not is_name(name):
        hint = names.LABEL_HINT if is_name is names.is_label else names.SUBDOMAIN_HINT
        reader.problem(("metadata", "name"), f"{quoted(name)} is not a valid name", hint)
        return None
    return reader


def _name_hint(metadata: Object) -> str:
    if metadata.get("generateName"):
        return "only an API server can use generateName: write a name"
    misplaced = [key for key in map(str, metadata) if key.lower() == "name"]
    if misplaced:
        return f"did you mean name instead of {printable(misplaced[0], 20)}?"
    unknown = [key for key in map(str, metadata) if key not in FIELDS["ObjectMeta"]]
    return f"{quoted(unknown[0])} is not a field of metadata: did you mean name?" if unknown else ""
