"""YAML as kubectl reads it, built from parser events so that hostile text stays cheap.

Going from events to values ourselves (instead of through PyYAML's composer and constructor)
keeps the place of every key, finds duplicate keys, bounds nesting and aliases before anything
recursive sees them, and takes half the time.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import attrs

from nptables.errors import Path, Problem, printable
from nptables.sources.text import scalars
from nptables.sources.text.parsed import DEEPEST, TOO_DEEP, Locate, Parsed, identity

# A place is an integer (line and column packed) or, of a container, that and its children.
Place = int | tuple[int, Any]
_COLUMN_BITS = 20
_MOST_COLUMNS = (1 << _COLUMN_BITS) - 1
_DOCUMENT_START = re.compile(r"^---(?=\s|$)", re.MULTILINE)
# As go-yaml (allowedAliasRatio in its decode.go): what aliases stand for may be much more than what
# was written, up to a limit.
_ALWAYS_ALLOWED = 400_000
_ALLOWED_RATIO = 10
_EVENTS_PER_REPORT = 20_000


def parse_yaml(
    text: str, report: Callable[[int], None] | None = None
) -> tuple[list[Parsed], list[Problem]]:
    """Every document of a YAML text, and what is wrong with the text.

    After a document that does not parse, reading goes on with the next `---`.
    """
    documents: list[Parsed] = []
    problems: list[Problem] = []
    lines: list[str] | None = None
    start, first_line = 0, 0
    while True:
        rest = text[start:] if start else text
        builder = _Builder(first_line, problems)
        try:
            documents.extend(builder.documents(rest, report))
            return documents, problems
        except _Unreadable as error:
            from nptables.sources.text.yamlwords import in_words  # noqa: PLC0415 - seldom needed

            lines = text.splitlines() if lines is None else lines
            problem, line = error.args
            problems.append(
                problem if problem is not None else in_words(error.cause, lines, first_line)
            )
            at_line = line if problem is not None else (problems[-1].line or 1) - 1
            following = _next_document(text, at_line)
            if following is None or following <= start:
                return documents, problems
            start = following
            first_line = text.count("\n", 0, start)


def _next_document(text: str, line: int) -> int | None:
    """Where the first `---` below a line (from 0) stands."""
    position = 0
    for _ in range(line + 1):
        position = text.find("\n", position) + 1
        if position == 0:
            return None
    match = _DOCUMENT_START.search(text, position)
    return match.start() if match else None


class _Unreadable(Exception):
    """A document that cannot be read on: a problem and its line, or the parser's own error."""

    def __init__(self, problem: Problem | None, line: int, cause: Any = None) -> None:
        super().__init__(problem, line)
        self.cause = cause


@attrs.define(eq=False, repr=False)
class _Frame:
    """A container that is being read."""

    is_mapping: bool
    values: Any
    places: Any
    anchor: str | None
    place: int
    size: int = 1
    key: str | None = None
    key_place: int = 0
    is_merge: bool = False
    merged: set[str] | None = None


@attrs.define(eq=False, repr=False)
class _Builder:
    """Turns the events of one text into documents."""

    first_line: int
    problems: list[Problem]
    stack: list[_Frame] = attrs.field(factory=list)
    anchors: dict[str, tuple[Any, Place, int] | None] = attrs.field(factory=dict)
    events: int = 0
    root: tuple[Any, Place] = (None, 0)
    duplicates: list[tuple[Path, int, int]] = attrs.field(factory=list)

    def documents(self, text: str, report: Callable[[int], None] | None) -> Iterator[Parsed]:
        """Every document of the text; raises _Unreadable."""
        import yaml  # noqa: PLC0415 - JSON is read without it

        # PyYAML may have been built without libyaml.
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        handlers: dict[type, Callable[[Any], None]] = {
            yaml.ScalarEvent: self._scalar,
            yaml.MappingStartEvent: self._open_mapping,
            yaml.MappingEndEvent: self._close,
            yaml.SequenceStartEvent: self._open_sequence,
            yaml.SequenceEndEvent: self._close,
            yaml.AliasEvent: self._alias,
            yaml.DocumentStartEvent: self._start,
        }
        parsing: Iterator[Any] = iter(yaml.parse(text, loader))
        while True:
            try:
                event = next(parsing, None)
            except yaml.YAMLError as error:
                raise _Unreadable(None, 0, error) from None
            if event is None:
                return
            self.events += 1
            if report is not None and not self.events % _EVENTS_PER_REPORT:
                report(event.start_mark.index)
            handle = handlers.get(event.__class__)
            if handle is not None:
                handle(event)
            elif event.__class__ is yaml.DocumentEndEvent:
                value, place = self.root
                self._report_duplicates(value)
                yield Parsed(value, _locator(place))

    def _start(self, _event: Any) -> None:
        self.anchors.clear()
        self.duplicates.clear()
        self.root = (None, 0)

    def _pack(self, mark: Any) -> int:
        line: int = mark.line + 1 + self.first_line
        column: int = min(mark.column + 1, _MOST_COLUMNS)
        return line << _COLUMN_BITS | column

    def _scalar(self, event: Any) -> None:
        tag = event.tag
        text = event.value
        try:
            if tag is not None and tag != "!":
                value = scalars.tagged(tag, text)
            elif event.implicit[0]:
                value = scalars.plain(text)
            else:
                value = text
        except scalars.BadScalarError as error:
            self._stop(event, str(error), "put it in quotes")
        place = self._pack(event.start_mark)
        if event.anchor is not None:
            self.anchors[event.anchor] = (value, place, 1)
        frame = self.stack[-1] if self.stack else None
        if frame is not None and frame.is_mapping and frame.key is None:
            self._key(frame, value, place, event)
        else:
            self._add(value, place, 1)

    def _key(self, frame: _Frame, value: Any, place: int, event: Any) -> None:
        key = scalars.key_text(value)
        if key is None:
            self._stop(event, "a key is empty", "write a field name before the colon")
        key = sys.intern(key)
        # In quotes it is a key like any other.
        frame.is_merge = key == "<<" and bool(event.implicit[0])
        if key in frame.values and not frame.is_merge and key not in (frame.merged or ()):
            self.duplicates.append((self._path(key), place, _of(frame.places[key])))
        frame.key = key
        frame.key_place = place

    def _open_mapping(self, event: Any) -> None:
        self._open(
            event,
            _Frame(
                is_mapping=True,
                values={},
                places={},
                anchor=event.anchor,
                place=self._pack(event.start_mark),
            ),
        )

    def _open_sequence(self, event: Any) -> None:
        self._open(
            event,
            _Frame(
                is_mapping=False,
                values=[],
                places=[],
                anchor=event.anchor,
                place=self._pack(event.start_mark),
            ),
        )

    def _open(self, event: Any, frame: _Frame) -> None:
        above = self.stack[-1] if self.stack else None
        if above is not None and above.is_mapping and above.key is None:
            # So `{{ name }}` reads to YAML: an object as the key of an object.
            if frame.is_mapping and event.flow_style:
                self._stop(
                    event,
                    "YAML: this is a template, not a manifest",
                    "render it first, for example with `helm template`",
                )
            self._stop(event, "a key must be text, not an object or a list", "put it in quotes")
        if len(self.stack) >= DEEPEST:
            self._stop(event, TOO_DEEP, "no Kubernetes object is")
        if frame.anchor is not None:
            # Known, but not whole: an alias within it would have no end.
            self.anchors[frame.anchor] = None
        self.stack.append(frame)

    def _close(self, _event: Any) -> None:
        frame = self.stack.pop()
        place: Place = (frame.place, frame.places)
        if frame.anchor is not None:
            self.anchors[frame.anchor] = (frame.values, place, frame.size)
        self._add(frame.values, place, frame.size)

    def _alias(self, event: Any) -> None:
        name = event.anchor
        if name not in self.anchors:
            self._stop(
                event,
                f"*{printable(name, 60)} refers to an anchor that is not there",
                f'for text that begins with a star write "*{printable(name, 60)}" in quotes',
            )
        found = self.anchors[name]
        if found is None:
            self._stop(event, f"the anchor &{printable(name, 60)} contains itself")
        value, place, size = found
        frame = self.stack[-1] if self.stack else None
        if frame is not None and frame.is_mapping and frame.key is None:
            if not isinstance(value, str):
                self._stop(event, "a key must be text, not an object or a list")
            self._key(frame, value, self._pack(event.start_mark), event)
            return
        total = sum(above.size for above in self.stack) + size
        if total > _ALWAYS_ALLOWED and total > _ALLOWED_RATIO * self.events:
            self._stop(
                event,
                "the aliases in this document expand it beyond all limits",
                "write out what is meant instead of *aliases of *aliases",
            )
        self._add(value, place, size)

    def _add(self, value: Any, place: Place, size: int) -> None:
        if not self.stack:
            self.root = (value, place)
            return
        frame = self.stack[-1]
        frame.size += size
        if not frame.is_mapping:
            frame.values.append(value)
            frame.places.append(place)
            return
        key, frame.key = frame.key, None
        if frame.is_merge and isinstance(value, dict | list):
            self._merge(frame, value, place)
            return
        frame.values[key] = value
        frame.places[key] = (
            frame.key_place if isinstance(place, int) else (frame.key_place, place[1])
        )

    def _merge(self, frame: _Frame, value: Any, place: Place) -> None:
        """Put the keys of `<<` in: over those above it, under those below it, as kubectl does."""
        assert isinstance(place, tuple)  # noqa: S101 - a container's place always is
        listed = (
            [(value, place)] if isinstance(value, dict) else list(zip(value, place[1], strict=True))
        )
        for mapping, where in reversed(listed):
            if not isinstance(mapping, dict):
                self.problems.append(
                    Problem(
                        "<< must be given an object or a list of objects",
                        line=frame.key_place >> _COLUMN_BITS,
                        column=frame.key_place & _MOST_COLUMNS,
                    )
                )
                continue
            frame.merged = (frame.merged or set()) | mapping.keys()
            frame.values.update(mapping)
            frame.places.update(where[1])

    def _path(self, key: str) -> Path:
        above = self.stack[:-1]
        steps = (frame.key or "" if frame.is_mapping else len(frame.values) for frame in above)
        return (*steps, key)

    def _report_duplicates(self, root: Any) -> None:
        kind, namespace, name = identity(root)
        at_top = [found for found in self.duplicates if len(found[0]) == 1]
        if {("apiVersion",), ("kind",)} <= {path for path, _, _ in at_top}:
            place = min(place for _, place, _ in at_top)
            self.problems.append(
                Problem(
                    "a second object begins here",
                    hint="put a line with --- above it",
                    line=place >> _COLUMN_BITS,
                    column=place & _MOST_COLUMNS,
                )
            )
            self.duplicates = [found for found in self.duplicates if len(found[0]) > 1]
        for path, place, first in self.duplicates:
            self.problems.append(
                Problem(
                    "is given twice",
                    hint=f"the first is in line {first >> _COLUMN_BITS}; keep one",
                    kind=kind,
                    namespace=namespace,
                    name=name,
                    path=path,
                    line=place >> _COLUMN_BITS,
                    column=place & _MOST_COLUMNS,
                )
            )

    def _stop(self, event: Any, message: str, hint: str = "") -> NoReturn:
        mark = event.start_mark
        line = mark.line + self.first_line
        raise _Unreadable(Problem(message, hint=hint, line=line + 1, column=mark.column + 1), line)


def _of(place: Place) -> int:
    return place if isinstance(place, int) else place[0]


def _locator(root: Place) -> Locate:
    def locate(path: Path) -> tuple[int, int] | None:
        place = root
        for step in path:
            if isinstance(place, int):
                break
            children = place[1]
            try:
                place = children[step]
            except (KeyError, IndexError, TypeError):
                break
        packed = _of(place)
        return (packed >> _COLUMN_BITS, packed & _MOST_COLUMNS) if packed else None

    return locate
