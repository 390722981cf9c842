"""The state of the page, read from JSON that anybody may have written: a link, a file."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from nptables.errors import InvalidInput, Problem, printable
from nptables.family import Family
from nptables.model.kubeproxy import Version
from nptables.playground.protocol import FAMILIES, VERSION, VIEWS

# Characters of all texts together, and files: more takes a browser too long, or its memory.
MOST_CHARACTERS = 16_000_000
MOST_FILES = 1_000
# Of a name of a file, a node, a Service or an end.
_MOST_NAME = 1_000
_MEGABYTE = 1_000_000


# What messages call the texts that have no name of their own.
CONFIG = "kube-proxy.yaml"
FACTS = "facts.yaml"


class TooLarge(Exception):
    """There is more input than a browser can take; the text says how much it takes."""


@attrs.frozen
class Held:
    """A file: its name, and its text or bytes."""

    name: str
    data: str | bytes

    @property
    def stem(self) -> str:
        """The name without folders and without what stands behind a dot."""
        return self.name.rpartition("/")[2].partition(".")[0]


@attrs.frozen
class State:
    """What is on the screen; `before` is the state that was marked, without one of its own."""

    files: tuple[Held, ...] = ()
    config: str = ""
    facts: str = ""
    evidence: tuple[Held, ...] = ()
    node: str = ""
    version: str = ""
    family: Family = Family.IPV4
    source: str = ""
    destination: str = ""
    service: str = ""
    view: str = "findings"
    before: State | None = None

    @property
    def asked_family(self) -> Family | None:
        """The family where another than the usual is chosen: evidence may have only one."""
        return self.family if self.family is Family.IPV6 else None

    @property
    def asked_version(self) -> str | None:
        """The version of kube-proxy that is chosen, or None."""
        return self.version or None


_INPUTS = ("files", "config", "facts", "evidence", "node", "kubeProxyVersion")
_FIELDS = ("version", *_INPUTS, "family", "from", "to", "service", "before", "view")


def read_state(value: Any) -> State:
    """The state that a JSON value is.

    What is not there is empty. Raises InvalidInput with every problem, and TooLarge.
    """
    if not isinstance(value, Mapping):
        raise InvalidInput([Problem("the state is not an object with fields")])
    version = value.get("version", VERSION)
    if version != VERSION or isinstance(version, bool):
        shown = printable(str(version), 40) if isinstance(version, str | int) else "unknown"
        raise InvalidInput([
            Problem(
                f"the state is of version {shown}, and this page knows version {VERSION}",
                hint="reload the page, or open the link with the page that made it",
            )
        ])  # fmt: skip
    reader = _Reader()
    state = reader.state(value)
    if reader.problems:
        raise InvalidInput(reader.problems)
    return state


def well_formed(text: str) -> str:
    """A text without halves of surrogate pairs: no file has any, but escapes of JSON may."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


@attrs.define
class _Reader:
    """Reads fields, and notes what is wrong with them."""

    problems: list[Problem] = attrs.field(factory=list)
    characters: int = 0
    files: int = 0

    def state(self, value: Mapping[str, Any]) -> State:
        """All of a state."""
        self._unknown(value, _FIELDS, "the state")
        found = self._inputs(value, "")
        before = value.get("before")
        if before is not None and not isinstance(before, Mapping):
            self._wrong("before", "is not an object with fields, or null")
            before = None
        if before is not None:
            self._unknown(before, _INPUTS, "before")
        return attrs.evolve(
            found,
            family=Family(self._one_of(value, "family", FAMILIES)),
            source=self._name(value, "from"),
            destination=self._name(value, "to"),
            service=self._name(value, "service"),
            view=self._one_of(value, "view", VIEWS),
            before=None if before is None else self._inputs(before, "before."),
        )

    def _inputs(self, value: Mapping[str, Any], above: str) -> State:
        files = tuple(self._held(value, "files", above))
        evidence = tuple(self._held(value, "evidence", above))
        # An editor that nobody wrote into is no manifest beside a node's evidence.
        if evidence and not any(held.data.strip() for held in files):
            files = ()
        return State(
            files=files,
            config=self._text(value, "config", above),
            facts=self._text(value, "facts", above),
            evidence=evidence,
            node=self._name(value, "node", above),
            version=self._version(value, above),
        )

    def _held(self, value: Mapping[str, Any], field: str, above: str) -> Iterator[Held]:
        names: set[str] = set()
        for number, item in enumerate(self._list(value, field, above)):
            where = f"{above}{field}[{number}]"
            if not self._is_file(item, where):
                continue
            name = self._name(item, "name", f"{where}.")
            if not name or name in names:
                wrong = f'"{printable(name, 80)}" is there twice' if name else "is empty"
                self._wrong(f"{where}.name", wrong)
            names.add(name)
            if "base64" not in item:
                yield Held(name, self._text(item, "text", f"{where}."))
                continue
            packed = self._text(item, "base64", f"{where}.")
            try:
                yield Held(name, base64.b64decode(packed, validate=True))
            except (binascii.Error, ValueError):
                self._wrong(f"{where}.base64", "is not base64")

    def _is_file(self, item: Any, where: str) -> bool:
        self.files += 1
        if self.files > MOST_FILES:
            raise TooLarge(
                f"there are more than {MOST_FILES:,} files: leave out what is not needed"
            )
        if not isinstance(item, Mapping):
            self._wrong(where, "is not an object with name and text")
            return False
        self._unknown(item, ("name", "text", "base64"), where)
        return True

    def _list(self, value: Mapping[str, Any], field: str, above: str) -> list[Any]:
        found = value.get(field, [])
        if not isinstance(found, list):
            self._wrong(f"{above}{field}", "is not a list")
            return []
        return found

    def _text(self, value: Mapping[str, Any], field: str, above: str = "") -> str:
        found = value.get(field, "")
        if not isinstance(found, str):
            self._wrong(f"{above}{field}", "is not text")
            return ""
        self.characters += len(found)
        if self.characters > MOST_CHARACTERS:
            raise TooLarge(
                f"the input is larger than the {MOST_CHARACTERS // _MEGABYTE} MB that this page "
                "takes: leave out what is not needed, or use the command line, which has no limit"
            )
        return well_formed(found)

    def _name(self, value: Mapping[str, Any], field: str, above: str = "") -> str:
        found = self._text(value, field, above)
        if len(found) > _MOST_NAME:
            self._wrong(f"{above}{field}", f"is longer than {_MOST_NAME:,} characters")
            return ""
        return found

    def _version(self, value: Mapping[str, Any], above: str) -> str:
        found = self._name(value, "kubeProxyVersion", above)
        if found and Version.parse(found) is None:
            self._wrong(
                f"{above}kubeProxyVersion",
                f'"{printable(found, 40)}" is not a version, such as 1.30',
            )
            return ""
        return found

    def _one_of(self, value: Mapping[str, Any], field: str, known: Sequence[str]) -> str:
        found = value.get(field, "")
        if found == "":
            return known[0]
        if not isinstance(found, str) or found not in known:
            shown = f'"{printable(found, 40)}"' if isinstance(found, str) else "it"
            self._wrong(field, f"{shown} is not one of {', '.join(known)}")
            return known[0]
        return found

    def _unknown(self, value: Mapping[str, Any], known: Sequence[str], whose: str) -> None:
        for field in value:
            if field not in known:
                self._wrong("", f'{whose} has no field "{printable(str(field), 40)}"')
                return

    def _wrong(self, field: str, message: str) -> None:
        self.problems.append(
            Problem(f"state: {field}: {message}" if field else f"state: {message}")
        )
