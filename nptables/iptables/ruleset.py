"""Rulesets: tables of chains of rules, each rule kept as its canonical text.

A rule is the line that `iptables-save` prints for it, a chain is a tuple of such lines. So
rendering is joining strings and comparing is comparing strings; the parsed `Rule` is a view
that is made on demand. Counters and comment lines are an optional column beside the lines.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain as _concatenation
from itertools import groupby, islice
from typing import TYPE_CHECKING

import attrs

from nptables.errors import SaveSyntaxError
from nptables.family import Family
from nptables.gcpause import collector_paused
from nptables.immutable import frozen
from nptables.iptables.ownership import Ownership
from nptables.iptables.unshown import EVERYTHING_SHOWN, Unshown

if TYPE_CHECKING:
    from nptables.iptables.remarks import Remarks
    from nptables.iptables.rule import Rule

# The two backends of iptables.
LEGACY, NFT = "legacy", "nft"
NO_COUNTERS = "[0:0]"
# How many texts are joined at once where the whole is not needed: so few fit in a cache.
_TEXTS_IN_PIECE = 1000

_CHAIN = re.compile(r":(\S+) (\S+)(?: (\[\d+:\d+\]))?", re.ASCII)
_ESCAPED = re.compile(r"\\.", re.DOTALL)
_TARGET = re.compile(r' -[jg] (\S+)|"(?:[^"\\]|\\.)*"', re.DOTALL)
_COUNTED = re.compile(r"(\[\d+:\d+\]) (-A .*)", re.ASCII | re.DOTALL)

# The built-in chains of each table, in the order in which iptables-save prints them.
# Which a table has is its `valid_hooks` (net/ipv4/netfilter/iptable_nat.c and so on).
BUILT_IN_CHAINS: Mapping[str, tuple[str, ...]] = {
    "raw": ("PREROUTING", "OUTPUT"),
    "mangle": ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
    "security": ("INPUT", "FORWARD", "OUTPUT"),
}


@frozen
class Chain:
    """One chain of a table, for reading.

    `policy` is None for a user-defined chain. `counters` is text such as `[12:3456]` (packets
    and bytes) and is empty where the dump had none; `line_counters` has one entry a line, or
    is empty.
    """

    name: str
    lines: tuple[str, ...]
    policy: str | None = None
    counters: str = NO_COUNTERS
    line_counters: tuple[str, ...] = ()

    def rules(self, family: Family) -> tuple[Rule, ...]:
        """The lines parsed. Raises RuleSyntaxError for a line that is no rule."""
        return _parsed(self.lines, family)


@frozen
class Table:
    """One table: the lines of its chains, in the order in which the chains are declared.

    `policies` names the built-in chains and their policies. `counters` and `line_counters` are
    by chain and hold only what is not zero counters and no counters. `order` is the chain of
    each rule line where the text did not have them chain by chain. `unread` are chains that are
    there and whose rules are unknown: tables that cannot be read completely have some.
    """

    name: str
    chains: Mapping[str, tuple[str, ...]]
    policies: Mapping[str, str] = attrs.field(factory=dict)
    counters: Mapping[str, str] = attrs.field(factory=dict)
    line_counters: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)
    order: tuple[str, ...] = ()
    unread: frozenset[str] = frozenset()

    def chain(self, name: str) -> Chain:
        """The chain of that name. Raises KeyError where there is none."""
        return Chain(
            name,
            self.chains[name],
            self.policies.get(name),
            self.counters.get(name, NO_COUNTERS),
            self.line_counters.get(name, ()),
        )

    def save_lines(self) -> list[str]:
        """The lines of the table as `iptables-save` prints them."""
        declarations = [line for text in self._declarations() for line in text.split("\n")]
        return [f"*{self.name}", *declarations, *self._rule_lines(), "COMMIT"]

    def save_texts(self) -> Iterator[str]:
        """The same as fewer texts, some of several lines: faster where they are joined anyway."""
        start = (f"*{self.name}", *self._declarations())
        return _concatenation(start, self._rule_lines(), ("COMMIT",))

    def _declarations(self) -> Iterator[str]:
        """The lines that declare chains, those of the same kind as one text."""
        policies, counters = self.policies, self.counters
        unlike = {*policies, *counters}
        # Most chains of a large ruleset are user-defined ones that were translated or just made.
        for is_unlike, names in groupby(self.chains, unlike.__contains__):
            if is_unlike:
                yield "\n".join(
                    f":{name} {policies.get(name, '-')} {counters.get(name, NO_COUNTERS)}".rstrip()
                    for name in names
                )
            else:
                yield ":" + f" - {NO_COUNTERS}\n:".join(names) + f" - {NO_COUNTERS}"

    def _rule_lines(self) -> Iterator[str]:
        if self.order or self.line_counters:
            return self._lines_in_order()
        return _concatenation.from_iterable(self.chains.values())

    def _lines_in_order(self) -> Iterator[str]:
        columns = {name: self._lines_with_counters(name) for name in self.chains}
        if self.order:
            for name in self.order:
                yield next(columns[name])
        else:
            for column in columns.values():
                yield from column

    def _lines_with_counters(self, name: str) -> Iterator[str]:
        lines = self.chains[name]
        for line, counters in zip(
            lines, self.line_counters.get(name, ("",) * len(lines)), strict=True
        ):
            yield f"{counters} {line}" if counters else line


@frozen(slots=False)
class Ruleset:
    """The tables of one address family.

    `comments` are the comment and blank lines of a parsed dump with their line index. They are not
    part of a comparison of two rulesets. `ownership` says which chains and rules belong to the
    program that made the ruleset; in a parsed dump it is empty. `backend` is `legacy`, `nft`, or
    empty if unknown. `unshown` is what the form of the input does not show: nothing in the output
    of a save program.
    """

    family: Family
    tables: Mapping[str, Table]
    comments: tuple[tuple[int, str], ...] = attrs.field(default=(), eq=False, repr=False)
    ownership: Ownership = attrs.field(factory=Ownership, eq=False, repr=False, kw_only=True)
    backend: str = attrs.field(default="", eq=False, repr=False, kw_only=True)
    unshown: Unshown = attrs.field(default=EVERYTHING_SHOWN, repr=False, kw_only=True)

    @cached_property
    def derived(self) -> dict[Hashable, object]:
        """What others made of this ruleset and want to find again: it lives as long as this does.

        Never part of a comparison. Keys are types of whoever puts something in.
        """
        return {}

    @cached_property
    def remarks(self) -> Remarks:
        """What the dump says of tables and chains that it leaves out."""
        from nptables.iptables.remarks import read_remarks  # noqa: PLC0415 - of dumps alone

        return read_remarks(line for _, line in self.comments)

    @staticmethod
    def from_save(text: str, *, family: Family = Family.IPV4) -> Ruleset:
        """The ruleset in a text that `iptables-save` or `ip6tables-save` printed.

        `to_save` gives the same text back. Raises SaveSyntaxError, which names the line, and
        TypeError for what is no family.
        """
        lines, numbers = logical_lines(text)
        return parse_lines(lines, numbers, Family.checked(family))

    @staticmethod
    def from_save_lines(
        lines: Iterable[str], *, family: Family = Family.IPV4, like: Ruleset | None = None
    ) -> Ruleset:
        """The same from the lines of such a text, read one by one and only once.

        Where a chain holds what it does in `like`, that is kept instead of an equal copy: of a
        large node that is right nearly everything. Raises SaveSyntaxError.
        """
        return _parse(_logical(lines), Family.checked(family), like)

    def to_save(self) -> str:
        """The text that `iptables-save` prints for these tables.

        A ruleset that was translated has counters `[0:0]` on chains and no comment lines; one
        that was parsed gives its text back.
        """
        # A translation leaves the collector a backlog, with which it would begin here.
        with collector_paused():
            return "\n".join([*self._save_texts(), ""])

    def save_pieces(self) -> Iterator[str]:
        """The text of `to_save` in pieces of many lines, for whoever writes them one by one.

        The whole text of a large ruleset, and the bytes that it is written as, take a third of the
        memory that the ruleset and its cluster take.
        """
        texts = self._save_texts()
        while piece := list(islice(texts, _TEXTS_IN_PIECE)):
            yield "\n".join([*piece, ""])

    def _save_texts(self) -> Iterator[str]:
        if self.comments:
            lines = [line for table in self.tables.values() for line in table.save_lines()]
            return iter(_with_comments(lines, self.comments))
        return _concatenation.from_iterable(t.save_texts() for t in self.tables.values())

    @property
    def partial(self) -> bool:
        """Whether there may be rules that are not in it."""
        return bool(self.unshown) or any(table.unread for table in self.tables.values())

    def lines(self, table: str, chain: str) -> tuple[str, ...]:
        """The lines of a chain; empty where the chain or the table is not there."""
        found = self.tables.get(table)
        return found.chains.get(chain, ()) if found is not None else ()

    def rules(self, table: str, chain: str) -> tuple[Rule, ...]:
        """The rules of a chain, parsed. Raises RuleSyntaxError for a line that is no rule."""
        return _parsed(self.lines(table, chain), self.family)

    def chain_count(self) -> int:
        """How many chains there are in all tables."""
        return sum(len(table.chains) for table in self.tables.values())

    def rule_count(self) -> int:
        """How many rules there are in all tables."""
        return sum(len(lines) for table in self.tables.values() for lines in table.chains.values())


def _parsed(lines: Iterable[str], family: Family) -> tuple[Rule, ...]:
    # Most rulesets are written and compared without a look into any rule.
    from nptables.iptables.rule import Rule  # noqa: PLC0415

    return tuple(Rule.parse(line, family) for line in lines)


def _with_comments(lines: list[str], comments: Iterable[tuple[int, str]]) -> list[str]:
    """The lines with each comment at its index in the result."""
    merged: list[str] = []
    taken = 0
    for index, comment in comments:
        upto = taken + index - len(merged)
        merged.extend(lines[taken:upto])
        merged.append(comment)
        taken = upto
    return merged + lines[taken:]


def chain_of(line: str) -> str:
    """The chain that a rule line is appended to: the word after `-A`."""
    end = line.find(" ", 3)
    return line[3:] if end < 0 else line[3:end]


def target_of(line: str) -> str:
    """The chain or target that a rule line leads to: the word after `-j` or `-g`, or nothing."""
    start = max(line.rfind(" -j "), line.rfind(" -g "))
    if start < 0:
        return ""
    behind = line[start + 4 :]
    if '"' not in behind:
        # What no quote follows stands in none.
        return behind.partition(" ")[0]
    found = ""
    for match in _TARGET.finditer(line):
        found = match[1] or found
    return found


def parse_lines(lines: Sequence[str], numbers: Sequence[int], family: Family) -> Ruleset:
    """See `Ruleset.from_save`. One pass, and not a byte is lost.

    `lines` and `numbers` are what `logical_lines` gives. Comment lines start with `#`. Everything
    else must be a table, a chain, a rule or COMMIT: a command such as `-I` or `-X` is no part of a
    saved ruleset. Raises SaveSyntaxError.
    """
    return _parse(zip(numbers, lines, strict=True), family, None)


def _parse(numbered: Iterable[tuple[int, str]], family: Family, like: Ruleset | None) -> Ruleset:
    tables: dict[str, Table] = {}
    comments: list[tuple[int, str]] = []
    reading: _TableReader | None = None
    number, line = 0, ""
    for index, (number, line) in enumerate(numbered):
        first = line[:1]
        if first in ("#", "") or line.isspace():
            comments.append((index, line))
        elif reading is None:
            name = line[1:]
            if first != "*":
                raise _error("stands outside a table (expected *TABLE)", number, line)
            if not name or " " in name or name in tables:
                message = "names no table, or one that was there before"
                raise _error(message, number, line)
            reading = _TableReader(name, like.tables.get(name) if like else None)
        elif line == "COMMIT":
            tables[reading.name] = reading.table()
            reading = None
        else:
            reading.read(line, first, number)
    if reading is not None:
        message = f"is the last line, but table {reading.name} has no COMMIT"
        raise _error(message, number, line)
    return Ruleset(family, tables, tuple(comments))


def logical_lines(text: str) -> tuple[list[str], Sequence[int]]:
    """The lines of a dump, a rule with a line break in quotes as one, and their numbers.

    Lines end with a line feed; a carriage return before it is dropped. The kernel keeps a comment
    with a line break and iptables-save prints it as it is, so that what follows looks like a line
    of its own.
    """
    lines = (text.replace("\r\n", "\n") if "\r\n" in text else text).split("\n")
    if lines[-1] == "":
        lines.pop()
    # Nearly every text has none, and is then not looked at character by character.
    suspects = [i for i, line in enumerate(lines) if line.count('"') & 1 or "\\" in line]
    if not any(map(_opens_quote, (lines[i] for i in suspects))):
        return lines, range(1, len(lines) + 1)
    joined: list[str] = []
    numbers: list[int] = []
    opened: list[str] = []
    for number, line in enumerate(lines, 1):
        if not opened:
            numbers.append(number)
        opened.append(line)
        whole = "\n".join(opened) if len(opened) > 1 else line
        if not _opens_quote(whole):
            joined.append(whole)
            opened = []
    if opened:
        raise _error("has a quote that is never closed", numbers[-1], opened[0])
    return joined, numbers


def _logical(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """The same one by one: each with its number."""
    opened = ""
    started = 0
    for number, read in enumerate(lines, 1):
        line = read.rstrip("\n").removesuffix("\r")
        if opened:
            line = f"{opened}\n{line}"
        else:
            started = number
        if (line.count('"') & 1 or "\\" in line) and _opens_quote(line):
            opened = line
        else:
            opened = ""
            yield started, line
    if opened:
        raise _error("has a quote that is never closed", started, opened.partition("\n")[0])


def _opens_quote(line: str) -> bool:
    """Whether a rule line ends within a quoted word."""
    # Only rules have quoted words: an odd quote in a comment line opens nothing.
    if not line.startswith(("-", "[")):
        return False
    return bool((_ESCAPED.sub("", line) if "\\" in line else line).count('"') & 1)


class _TableReader:
    """Collects the chains and rules of one table; those that are as in `like` are kept once."""

    def __init__(self, name: str, like: Table | None = None) -> None:
        self.name = name
        self.like: Mapping[str, tuple[str, ...]] = {} if like is None else like.chains
        self.chains: dict[str, tuple[str, ...]] = {}
        self.policies: dict[str, str] = {}
        self.counters: dict[str, str] = {}
        self.line_counters: dict[str, list[str]] = {}
        self.counted = False
        self.blocks: list[tuple[str, int]] = []
        self.current = ""
        self.lines: list[str] = []
        self.started = 0

    def read(self, line: str, first: str, number: int) -> None:
        """Take a line, of which `first` is the first character, as a rule or a chain."""
        if first == "-":
            self.rule(line, "", number)
        elif first == ":":
            self.declare(line, number)
        elif (match := _COUNTED.fullmatch(line)) is not None:
            self.rule(match[2], match[1], number)
        else:
            raise _error("is neither a chain, a rule nor COMMIT", number, line)

    def declare(self, line: str, number: int) -> None:
        match = _CHAIN.fullmatch(line)
        if match is None:
            raise _error("is not a chain (expected :NAME POLICY [PACKETS:BYTES])", number, line)
        name, policy, counters = match.groups()
        if name in self.chains:
            raise _error(f"declares chain {name} a second time", number, line)
        self.chains[name] = ()
        if policy != "-":
            self.policies[name] = policy
        if counters != NO_COUNTERS:
            self.counters[name] = counters or ""

    def rule(self, line: str, counters: str, number: int) -> None:
        if not line.startswith("-A "):
            raise _error("is a command, not a saved rule (expected -A CHAIN)", number, line)
        name = chain_of(line)
        if name != self.current:
            if name not in self.chains:
                raise _error(f"belongs to chain {name}, which is not declared", number, line)
            self._end_block()
            self.current = name
            self.lines = list(self.chains[name])
            self.started = len(self.lines)
        # From the first line with counters on, so that a dump without them has no column at all.
        if counters or self.counted:
            self._count(name, counters)
        self.lines.append(line)

    def _count(self, name: str, counters: str) -> None:
        self.counted = True
        column = self.line_counters.setdefault(name, [])
        column.extend([""] * (len(self.lines) - len(column)))
        column.append(counters)

    def _end_block(self) -> None:
        if self.current:
            self.blocks.append((self.current, len(self.lines) - self.started))
            lines, known = tuple(self.lines), self.like.get(self.current)
            self.chains[self.current] = known if known == lines else lines

    def table(self) -> Table:
        self._end_block()
        return Table(
            self.name,
            self.chains,
            self.policies,
            self.counters,
            {name: tuple(column) for name, column in self.line_counters.items()},
            self._order(),
        )

    def _order(self) -> tuple[str, ...]:
        """The chain of each rule, where the rules did not stand chain by chain."""
        names = [name for name, _ in self.blocks]
        # As save programs print them: then the order of the chains says everything.
        if names == [name for name, lines in self.chains.items() if lines]:
            return ()
        return tuple(name for name, count in self.blocks for _ in range(count))


def _error(message: str, number: int, line: str) -> SaveSyntaxError:
    return SaveSyntaxError(message, line_number=number, line=line)
