"""What `ipset save` prints, as sets."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nptables.errors import InvalidInput, Problem
from nptables.family import Family
from nptables.tracing.sets.members import Entry, IpSet, ListOfSets, Sets
from nptables.tracing.sets.parts import OpenPart, Part, read_part

# More of them tell nothing new: the file is not one of `ipset save`.
_MOST_PROBLEMS = 20
_LIST = "list:set"
# Sets that mask what they are asked for before they look.
_MASKED_TYPES = ("hash:ip", "hash:ip,port", "bitmap:ip")
_HINT = "lines such as `create NAME hash:ip` and `add NAME 10.1.2.3`, as `ipset save` prints them"


def read_sets(text: str) -> Sets:
    """The sets in the output of `ipset save`, by name, for `sets` of `trace`.

    Addresses, networks, ports and interfaces are compared, in sets of any type; what a trace does
    not know of a packet (MAC addresses, marks, ICMP types) stays open. Entries with a timeout
    count as they stood when they were saved.

    Raises InvalidInput with the lines that cannot be read.
    """
    reader = _Reader()
    for number, line in enumerate(text.splitlines(), start=1):
        reader.read(number, line)
        if len(reader.problems) >= _MOST_PROBLEMS:
            break
    if reader.problems:
        raise InvalidInput(reader.problems)
    return {**reader.sets, **{n: ListOfSets(tuple(m)) for n, m in reader.lists.items()}}


class _Reader:
    """The lines of a file, one after the other."""

    def __init__(self) -> None:
        self.sets: dict[str, IpSet] = {}
        self.lists: dict[str, list[IpSet]] = {}
        self.problems: list[Problem] = []
        self._masks: dict[str, str] = {}

    def read(self, number: int, line: str) -> None:
        """Take a line; what is wrong with it becomes a problem."""
        words = line.split()
        if not words or words[0].startswith("#") or words == ["COMMIT"]:
            return
        readers: dict[str, Callable[[Sequence[str]], None]] = {
            "create": self._create, "-N": self._create, "add": self._add, "-A": self._add,
        }  # fmt: skip
        try:
            if words[0] not in readers or len(words) < 3:
                raise ValueError(f'"{" ".join(words[:3])}" is not a line of `ipset save`')
            readers[words[0]](words[1:])
        except ValueError as error:
            self.problems.append(Problem(str(error), hint=_HINT, line=number))

    def _create(self, words: Sequence[str]) -> None:
        name, type_name = words[:2]
        if name in self.sets or name in self.lists:
            raise ValueError(f"set {name} is created twice")
        if type_name == _LIST:
            self.lists[name] = []
            return
        _, colon, parts = type_name.partition(":")
        if not colon or not parts:
            raise ValueError(f'"{type_name}" is not a type of set')
        self._masks[name] = _option(words, "netmask") or _option(words, "bitmask")
        family = None
        if any(part in ("ip", "net") for part in parts.split(",")):
            family = Family.IPV6 if _option(words, "family") == "inet6" else Family.IPV4
        self.sets[name] = IpSet(name, type_name, len(parts.split(",")), family)

    def _add(self, words: Sequence[str]) -> None:
        name, text, *options = words
        if "comment" in options:
            options = options[: options.index("comment")]
        if name in self.lists:
            if text not in self.sets:
                raise ValueError(f"there is no set {text} that set {name} could list")
            self.lists[name].append(self.sets[text])
            return
        into = self.sets.get(name)
        if into is None:
            raise ValueError(f"set {name} is not created before something is added")
        try:
            into.add(Entry(self._parts(into, text, options), "nomatch" in options))
        except ValueError:
            raise ValueError(f'"{text}" is not an entry of a {into.type_name} set') from None

    def _parts(self, into: IpSet, text: str, options: Sequence[str]) -> tuple[Part, ...]:
        kinds = into.type_name.partition(":")[2].split(",")
        values = text.split(",")
        if len(values) != len(kinds):
            raise ValueError(text)
        mask = self._masks[into.name]
        if mask and into.type_name not in _MASKED_TYPES:
            return tuple(OpenPart() for _ in kinds)
        if into.type_name == "bitmap:port":
            kinds = ["number"]
        wildcard = "wildcard" in options
        return tuple(
            read_part(
                kind, value, into.family, mask=mask if kind == "ip" else "", wildcard=wildcard
            )
            for kind, value in zip(kinds, values, strict=True)
        )


def _option(words: Sequence[str], name: str) -> str:
    """The word behind an option, or an empty string."""
    return words[words.index(name) + 1] if name in words[:-1] else ""
