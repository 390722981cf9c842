"""Reading fields of one Kubernetes object: types and values checked, every problem kept.

A reader never raises for bad input: it notes the problem and gives the default (or leaves the
item out), so that one pass finds everything that is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import attrs

from nptables.errors import Path, Problem, printable
from nptables.model import addresses

Object = Mapping[str, Any]
_NOTHING: Object = {}


@attrs.define(eq=False, repr=False)
class Reader:
    """Reads the fields of one object and collects the problems found in it.

    `lenient` is for objects as an API server stores them: addresses are read as kube-proxy
    reads them. What cannot be used is a problem in either mode; who asked for the reading
    decides whether problems are fatal.
    """

    kind: str
    namespace: str = ""
    name: str = ""
    index: int | None = None
    lenient: bool = False
    problems: list[Problem] = attrs.field(factory=list)
    _misshapen: set[Path] = attrs.field(factory=set, init=False)

    def ill_shaped(self, path: Path, message: str, hint: str = "") -> None:
        """Note a field of a wrong name or type; nothing more is said of it and what is in it."""
        self.problem(path, message, hint)
        self._misshapen.add(path)

    def silence(self, path: Path) -> None:
        """Say nothing of a field that was meant and was written as another."""
        self._misshapen.add(path)

    def problem(self, path: Path, message: str, hint: str = "", *, code: str = "") -> None:
        """Note that the value at `path` is wrong, and what would be right; see Problem."""
        if self._misshapen and any(path[:end] in self._misshapen for end in range(len(path) + 1)):
            return
        self.problems.append(
            Problem(
                message,
                hint=hint,
                code=code,
                kind=self.kind,
                namespace=self.namespace,
                name=self.name,
                path=path,
                index=self.index,
            )
        )

    def mapping(self, parent: Object, key: str, path: Path = ()) -> Object:
        """The object at `key`; an absent or null one is empty."""
        value = parent.get(key)
        if value is None:
            return _NOTHING
        if value.__class__ is dict or isinstance(value, Mapping):
            return value
        self.wrong_type((*path, key), value, "an object")
        return _NOTHING

    def items(self, parent: Object, key: str, path: Path = ()) -> Sequence[Any]:
        """The list at `key`; an absent or null one is empty."""
        value = parent.get(key)
        if value is None:
            return ()
        if isinstance(value, list | tuple):
            return value
        self.wrong_type((*path, key), value, "a list")
        return ()

    def objects(self, parent: Object, key: str, path: Path = ()) -> Iterable[tuple[Path, Object]]:
        """The objects of the list at `key`, each with its path."""
        for position, value in enumerate(self.items(parent, key, path)):
            where = (*path, key, position)
            if value.__class__ is dict or isinstance(value, Mapping):
                yield where, value
            else:
                self.wrong_type(where, value, "an object")

    def texts(self, parent: Object, key: str, path: Path = ()) -> Iterable[tuple[Path, str]]:
        """The strings of the list at `key`, each with its path."""
        for position, value in enumerate(self.items(parent, key, path)):
            where = (*path, key, position)
            if isinstance(value, str):
                yield where, value
            else:
                self.wrong_type(where, value, "a string")

    def text(self, parent: Object, key: str, path: Path = (), default: str = "") -> str:
        """The string at `key`; an absent or null one is `default`."""
        value = parent.get(key)
        if value is None:
            return default
        if isinstance(value, str):
            return value
        self.wrong_type((*path, key), value, "a string")
        return default

    def choice(
        self, parent: Object, key: str, path: Path, known: Sequence[str], default: str
    ) -> str:
        """The string at `key`, one of `known`; an absent, null or empty one is `default`."""
        value = self.text(parent, key, path) or default
        if value in known:
            return value
        self.problem(
            (*path, key), f"{quoted(value)} is not one of {', '.join(known)}", nearest(value, known)
        )
        return default

    def integer(self, parent: Object, key: str, path: Path = (), default: int = 0) -> int:
        """The integer at `key`; an absent or null one is `default`."""
        value = parent.get(key)
        if value is None:
            return default
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        # kubectl sends 80.0 as 80.
        if isinstance(value, float) and value.is_integer():
            return int(value)
        self.wrong_type((*path, key), value, "a whole number")
        return default

    def boolean(self, parent: Object, key: str, path: Path, *, default: bool) -> bool:
        """The boolean at `key`; an absent or null one is `default`."""
        value = parent.get(key)
        if value is None:
            return default
        if isinstance(value, bool):
            return value
        self.wrong_type((*path, key), value, "true or false")
        return default

    def labels(self, parent: Object, key: str, path: Path = ()) -> dict[str, str]:
        """The string-to-string map at `key`."""
        found = {}
        for label, value in self.mapping(parent, key, path).items():
            if isinstance(value, str):
                found[label] = value
            # So Go reads null in a map of strings.
            elif value is None:
                found[label] = ""
            else:
                self.wrong_type(
                    (*path, key, label), value, "a string", f'write "{value}" in quotes'
                )
        return found

    def ip(self, text: str, path: Path) -> str | None:
        """The canonical address written in `text`, or None where it is none."""
        found = addresses.parse_ip_sloppy(text) if self.lenient else addresses.parse_ip(text)
        if found is not None:
            return found
        meant = addresses.parse_ip_sloppy(text)
        if meant is None:
            hint = "for example 10.9.8.7 or 2001:db8::ffff"
            host, _, port = text.rpartition(":")
            if port.isdigit() and addresses.parse_ip_sloppy(host.strip("[]")):
                hint = "an address without a port"
            elif "/" in text:
                hint = "an address without a prefix length"
            self.problem(path, f"{quoted(text)} is not an IP address", hint)
        elif ":" in text:
            self.problem(path, f"{quoted(text)} is an IPv4-mapped IPv6 address", f"write {meant}")
        else:
            self.problem(path, f"{quoted(text)} has leading zeros", f"write {meant}")
        return None

    def network(self, text: str, path: Path) -> str | None:
        """The canonical network written in `text`, or None where it is none."""
        found = (
            addresses.parse_network_sloppy(text) if self.lenient else addresses.parse_network(text)
        )
        if found is None:
            meant = addresses.parse_network_sloppy(text)
            address = addresses.parse_ip_sloppy(text)
            if meant is None and address is not None:
                meant = addresses.with_host_prefix(address)
                if address.endswith(".0"):
                    meant = f"{address}/24, or whatever its length is"
            hint = f"write {meant}" if meant else "for example 10.9.8.0/24 or 2001:db8::/64"
            self.problem(path, f"{quoted(text)} is not a network in CIDR notation", hint)
        return found

    def wrong_type(self, path: Path, value: object, wanted: str, hint: str = "") -> None:
        """Note that `value` is not of the type that is wanted."""
        if not hint and wanted == "a whole number" and isinstance(value, str) and _is_int(value):
            hint = f"write {value} without quotes"
        if not hint and wanted == "a string" and isinstance(value, int | float):
            hint = "put it in quotes"
        self.ill_shaped(path, f"must be {wanted}, not {described(value)}", hint)


def mapping_of(value: object) -> Object:
    """A mapping as it is, and an empty one for anything else."""
    # What is most often there: to ask whether anything else is a mapping takes ten times as long.
    if value.__class__ is dict:
        return cast("Object", value)
    return value if value is not None and isinstance(value, Mapping) else {}


def quoted(text: str) -> str:
    """`text` in double quotes, safe to print on one line."""
    return f'"{printable(text, 80)}"'


def described(value: object) -> str:
    """What a value of the wrong type is, in a reader's words."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"the string {quoted(value)}"
    if isinstance(value, int | float):
        try:
            return f"the number {value}"
        except ValueError:
            return "a very long number"
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    return "nothing" if value is None else f"a {type(value).__name__}"


# Among a handful of words even a remote likeness (ClusterIP, ClientIP) is a good guess.
_FEW = 4


def nearest(value: str, known: Sequence[str]) -> str:
    """A hint naming the known value that `value` was most likely meant to be, or nothing."""
    found = closest(value, known)
    return f"did you mean {found}?" if found else ""


def closest(value: str, known: Sequence[str]) -> str:
    """The known value that `value` was most likely meant to be, or an empty string."""
    import difflib  # noqa: PLC0415 - for mistakes only

    cutoff = 0.55 if len(known) <= _FEW else 0.65
    by_folded = {candidate.lower(): candidate for candidate in known}
    match = difflib.get_close_matches(value[:80].lower(), by_folded, n=1, cutoff=cutoff)
    return by_folded[match[0]] if match else ""


def _is_int(text: str) -> bool:
    return text.isascii() and text.removeprefix("-").isdigit()
