"""What ipsets hold, for rules that match on them.

What `ipset save` prints is read into sets, each entry of which has parts: the address and the port
of `10.1.2.3,tcp:80`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol

from nptables.errors import InvalidInput, Problem
from nptables.family import Family
from nptables.immutable import frozen
from nptables.iptables.protocols import protocol_name
from nptables.tracing.addressing import Address, Net, family_of, is_in, net, number

_WITH_PORTS = ("tcp", "udp", "sctp", "udplite")


class Side(NamedTuple):
    """What `src` or `dst` of a set match stands for in a packet.

    `port` and `interface` are None where they are not known, `interface` is empty where there
    is none.
    """

    address: Address
    port: int | None
    interface: str | None
    protocol: str


class Part(Protocol):
    """One part of an entry."""

    @property
    def length(self) -> int:
        """How narrow it is: the kernel looks at long prefixes first."""

    def fits(self, side: Side) -> bool | None:
        """Whether a packet fits; None where that is unknown."""


class AddressPart(NamedTuple):
    """An address or a network."""

    network: Net

    @property
    def bits(self) -> int:
        """The length of an address of its family."""
        return self.network.bits

    @property
    def length(self) -> int:
        """The length of the prefix."""
        return self.network.mask.bit_count()

    def fits(self, side: Side) -> bool | None:
        """Whether the address is in it."""
        return is_in(side.address, self.network)


class RangePart(NamedTuple):
    """Addresses from one to another."""

    first: int
    last: int
    bits: int

    @property
    def length(self) -> int:
        """The length of the prefix that they have in common."""
        return self.bits - (self.first ^ self.last).bit_length()

    def fits(self, side: Side) -> bool | None:
        """Whether the address is one of them."""
        if not isinstance(side.address, str):
            return None
        return self.first <= number(side.address) <= self.last


class PortPart(NamedTuple):
    """A port or a range of them, of some protocols."""

    protocols: tuple[str, ...]
    low: int
    high: int
    length: int = 0

    def fits(self, side: Side) -> bool | None:
        """Whether protocol and port fit."""
        if side.protocol not in self.protocols:
            return False
        return None if side.port is None else self.low <= side.port <= self.high


class InterfacePart(NamedTuple):
    """An interface, or with `prefix` all whose names begin so."""

    name: str
    prefix: bool
    length: int = 0

    def fits(self, side: Side) -> bool | None:
        """Whether it is the interface of this side."""
        if side.interface is None:
            return None
        return side.interface.startswith(self.name) if self.prefix else side.interface == self.name


class OpenPart(NamedTuple):
    """What a trace does not know of a packet: a MAC address, a bridge port, an ICMP type."""

    protocol: str = ""
    length: int = 0

    def fits(self, side: Side) -> bool | None:
        """Open, unless the protocol is another."""
        return False if self.protocol and side.protocol != self.protocol else None


def read_part(kind: str, text: str, family: Family | None, *, mask: str, wildcard: bool) -> Part:
    """A part as `ipset save` writes it; `kind` is its word in the type of the set.

    `family` and `mask` (a netmask or bitmask, or empty) are the set's, `wildcard` is an option
    of the entry. Raises ValueError.
    """
    if kind in ("ip", "net"):
        part = _address_part(text, mask)
        if family is None or part.bits != family.host_prefix:
            raise ValueError(text)
        return part
    if kind == "port":
        return _port_part(text)
    if kind == "number":
        low, high = _ports(text)
        # bitmap_port_kadt looks at TCP and UDP only, and not which of them it is.
        return PortPart(("tcp", "udp"), low, high)
    if kind == "iface" and not text.startswith("physdev:"):
        return InterfacePart(text, wildcard)
    return OpenPart()


def _address_part(text: str, mask: str) -> AddressPart | RangePart:
    first, dash, last = text.partition("-")
    if dash:
        low, high = net(first), net(last)
        if low.bits != high.bits or low.base > high.base or mask or "/" in text:
            raise ValueError(text)
        return RangePart(low.base, high.base, low.bits)
    return AddressPart(net(f"{text}/{mask}" if mask and "/" not in text else text))


def _port_part(text: str) -> Part:
    word, colon, ports = text.rpartition(":")
    protocol = (protocol_name(word) or "") if colon else "tcp"
    if not protocol:
        raise ValueError(text)
    if protocol not in _WITH_PORTS:
        # An ICMP type, which has many spellings, or the 0 of a protocol without ports.
        return OpenPart(protocol)
    return PortPart((protocol,), *_ports(ports))


def _ports(text: str) -> tuple[int, int]:
    low, _, high = text.partition("-")
    first, last = _number(low), _number(high or low)
    if first > last:
        raise ValueError(text)
    return first, last


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6 and int(text) < 65536):
        raise ValueError(text)
    return int(text)


Sets = Mapping[str, Callable[[tuple[Side, ...]], bool | None]]
"""By name, whether a set holds a packet, given the sides that the rule names; None: not known."""


@frozen
class Entry:
    """An entry of a set; `nomatch` is an exception from the wider ones."""

    parts: tuple[Part, ...]
    nomatch: bool

    @property
    def lengths(self) -> tuple[int, ...]:
        """How narrow each part is."""
        return tuple(part.length for part in self.parts)

    def fits(self, sides: Sequence[Side]) -> bool | None:
        """Whether a packet fits; None where that is unknown."""
        answers = {part.fits(side) for part, side in zip(self.parts, sides, strict=False)}
        if False in answers:
            return False
        return None if None in answers else True


class IpSet:
    """A set of one type. `dimension` is the number of sides that a match on it must name.

    The kernel looks for the narrowest entry first, and that one decides (`mtype_test_cidrs` in
    net/netfilter/ipset/ip_set_hash_gen.h). A match that names fewer sides than the set has, or
    of another family, does not match (`ip_set_test`).
    """

    def __init__(
        self, name: str, type_name: str, dimension: int, family: Family | None = None
    ) -> None:
        self.name = name
        self.type_name = type_name
        self.dimension = dimension
        self.family = family
        self._entries: list[Entry] = []
        self._by_network: dict[int, dict[int, list[Entry]]] = {}
        self._others: list[Entry] = []
        self._known = lru_cache(maxsize=1024)(self._looked_up)

    @property
    def open_entries(self) -> int:
        """How many entries have a part that a trace cannot decide."""
        return sum(any(isinstance(p, OpenPart) for p in entry.parts) for entry in self._entries)

    def spans(self) -> Iterator[tuple[int, int]]:
        """First and last address, as numbers, of everything that entries say of addresses."""
        for entry in self._entries:
            for part in entry.parts:
                if isinstance(part, AddressPart):
                    base, mask, bits = part.network
                    yield base, base | ((1 << bits) - 1) ^ mask
                elif isinstance(part, RangePart):
                    yield part.first, part.last

    def add(self, entry: Entry) -> None:
        """Add an entry."""
        self._entries.append(entry)
        first = entry.parts[0]
        if isinstance(first, AddressPart):
            bases = self._by_network.setdefault(first.network.mask, {})
            bases.setdefault(first.network.base, []).append(entry)
        else:
            self._others.append(entry)
        self._known.cache_clear()

    def __call__(self, sides: tuple[Side, ...]) -> bool | None:
        """Whether it holds a packet; None where that is unknown."""
        if len(sides) < self.dimension:
            return False
        if self.family is not None and family_of(sides[0].address) is not self.family:
            return False
        return self._known(sides[: self.dimension])

    def _looked_up(self, sides: tuple[Side, ...]) -> bool | None:
        possible: list[bool] = []
        # Narrow ones first, so that a `nomatch` in a wider network is found before that network.
        found = sorted(self._candidates(sides[0]), key=lambda entry: entry.lengths, reverse=True)
        for entry in found:
            fits = entry.fits(sides)
            if fits is not False:
                possible.append(not entry.nomatch)
            if fits:
                break
        else:
            return None if any(possible) else False
        return possible[0] if len(set(possible)) == 1 else None

    def _candidates(self, side: Side) -> Iterable[Entry]:
        """The entries whose first part may fit."""
        if not isinstance(side.address, str):
            return self._entries
        address = number(side.address)
        found = list(self._others)
        for mask, bases in self._by_network.items():
            found += bases.get(address & mask, ())
        return found


@frozen
class ListOfSets:
    """A `list:set`: it holds what any of its sets holds."""

    members: tuple[IpSet, ...]

    def __call__(self, sides: tuple[Side, ...]) -> bool | None:
        """Whether it holds a packet; None where that is unknown."""
        answers = {member(sides) for member in self.members}
        if True in answers:
            return True
        return None if None in answers else False


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
    for line_number, line in enumerate(text.splitlines(), start=1):
        reader.read(line_number, line)
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
        # A comment comes last and may hold any word, `nomatch` too.
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
        # What a mask means to other types is not known here, so whatever is asked of them stays
        # open.
        if mask and into.type_name not in _MASKED_TYPES:
            return tuple(OpenPart() for _ in kinds)
        if into.type_name == "bitmap:port":
            # Its word in the type is `port`, but its entries name no protocol.
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
