"""The chains and tables of a listing, and whether all of them are there."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

import attrs

from nptables.family import Family
from nptables.immutable import frozen
from nptables.iptables.listing.rows import Columns, Row, is_broken_row, read_row
from nptables.iptables.ruleset import BUILT_IN_CHAINS, Table
from nptables.iptables.tables import TARGETS

_CHAIN = re.compile(
    r"Chain (\S+) "
    r"\((?:policy (ACCEPT|DROP|QUEUE|RETURN)(?: \S+ packets, .*)?|(\d+) references?)\)\s*"
)
# What stands where lines were left out: dots, the dashes of `grep -A`, a word for it.
OMISSION = re.compile(r"\W*|\W*(?:snip|cut|skipped|omitted|truncated)\w*\W*", re.IGNORECASE)
_HOOKS = ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")
# The tables by their built-in chains; nat had no INPUT before Linux 2.6.36.
_BY_CHAINS = {
    **{frozenset(names): table for table, names in BUILT_IN_CHAINS.items() if table != "security"},
    frozenset({"PREROUTING", "OUTPUT", "POSTROUTING"}): "nat",
}
# Targets whose own words, at the end of a row, are not turned into options.
_NOT_READ = frozenset({
    "AUDIT", "CHECKSUM", "CLASSIFY", "DSCP", "ECN", "HL", "NFLOG", "SET", "TCPMSS", "TEE", "TOS",
    "TTL",
})  # fmt: skip
CUT_OFF = "(the line is cut off)"
# A row without a word behind the columns ends with this many blanks, and less where it was cut.
_LAST_COLUMN = 21
_FEW = 4


@frozen
class Listed:
    """A table of a listing, under the name that it was asked for by, or that its chains tell.

    The name is empty if unknown. `whole` says that nothing of the table is missing,
    `interfaces` that interfaces are shown. `unread` are words that are not understood, each with
    the number of its line, `strays` lines that are no rules.
    """

    table: Table
    whole: bool
    interfaces: bool
    unread: tuple[tuple[int, str], ...] = ()
    strays: tuple[tuple[int, str], ...] = ()


def is_title(line: str) -> bool:
    """Whether a line is the first of a chain in a listing."""
    return _CHAIN.fullmatch(line) is not None


def read_listing(
    lines: Sequence[str], numbers: Sequence[int], family: Family, table: str = ""
) -> tuple[Listed, ...]:
    """The tables of a listing, one behind the other; blank and comment lines are left out.

    `table` is the one that was asked for, where that is known.
    """
    chains = list(_chains(lines, numbers, family))
    cut = _is_cut(chains)
    return tuple(_listed(of_one, family, table, cut=cut) for of_one in _tables(chains))


@attrs.define
class _Chain:
    """The lines of one chain, and the rules that they are. `references` lead to it."""

    name: str
    policy: str | None
    references: int
    columns: Columns | None = None
    title: str = ""
    rows: list[tuple[int, str, Row | None]] = attrs.field(factory=list)


def _chains(lines: Sequence[str], numbers: Sequence[int], family: Family) -> Iterator[_Chain]:
    chain: _Chain | None = None
    for number, line in zip(numbers, lines, strict=True):
        if (found := _CHAIN.fullmatch(line)) is not None:
            if chain is not None:
                yield chain
            name, policy, references = found.groups()
            chain = _Chain(name, policy, int(references or 0))
        elif chain is None or line.startswith("#"):
            continue
        elif chain.columns is None and (columns := Columns.of(line)) is not None:
            chain.columns, chain.title = columns, line
        else:
            row = read_row(line, chain.name, chain.columns or Columns(), family)
            chain.rows.append((number, line, row))
    if chain is not None:
        yield chain


def begins_another(names: Sequence[str], name: str) -> bool:
    """Whether a chain cannot be of the same table as those before it, by the order of chains."""
    if name in names:
        return True
    if name not in _HOOKS:
        return False
    built_in = [each for each in names if each in _HOOKS]
    if len(built_in) < len(names):
        return True
    if name == "OUTPUT" and built_in[-1:] == ["POSTROUTING"]:
        return False
    return bool(built_in) and _HOOKS.index(name) < _HOOKS.index(built_in[-1])


def table_of(names: Sequence[str]) -> str:
    """The table that has exactly these built-in chains; empty where none, or several, may."""
    return _BY_CHAINS.get(frozenset(name for name in names if name in _HOOKS), "")


def _tables(chains: Sequence[_Chain]) -> Iterator[list[_Chain]]:
    found: list[_Chain] = []
    for chain in chains:
        if found and begins_another([each.name for each in found], chain.name):
            yield found
            found = []
        found.append(chain)
    if found:
        yield found


def _is_cut(chains: Sequence[_Chain]) -> int:
    """The length at which the lines of a listing were cut off, 0 where they were not.

    A comment that does not end, a title that does not, a target without the words that it always
    has, or words at the end of the longest row that are not understood, show it. It is so of a
    long listing without any words behind the columns, too.
    """
    rows = [(line, row) for chain in chains for _, line, row in chain.rows if row is not None]
    longest = max((len(line) for line, _ in rows), default=0)
    titles = [chain.title for chain in chains if chain.title]
    is_cut = (
        any("destination" not in title for title in titles)
        or any(len(line) >= longest - 2 and _ends_unread(row) for line, row in rows)
        or any(row.silent or row.behind.count("/*") > row.behind.count("*/") for _, row in rows)
        or (len(rows) >= _FEW and not any(row.behind or line.endswith(" ") for line, row in rows))
    )
    return longest if is_cut else 0


def _ends_unread(row: Row) -> bool:
    """Whether the last word of a row is not understood."""
    last = row.behind.split()[-1:]
    unread = bool(row.unread and last) and row.unread[-1].split()[-1:] == last
    return unread and row.target not in _NOT_READ


def _listed(chains: Sequence[_Chain], family: Family, asked: str, *, cut: int) -> Listed:
    names = [chain.name for chain in chains]
    lines: dict[str, tuple[str, ...]] = {}
    policies = {chain.name: chain.policy for chain in chains if chain.policy is not None}
    unread: list[tuple[int, str]] = []
    strays: list[tuple[int, str]] = []
    leads: Counter[str] = Counter()
    whole = not cut
    for chain in chains:
        rows, inside, behind = _rows(chain, family, cut)
        whole = whole and not inside and chain.columns is not None
        lines[chain.name] = tuple(row.line for _, row in rows)
        leads.update(row.target for _, row in rows)
        unread += [(number, text) for number, row in rows for text in row.unread]
        strays += [*inside, *behind]
    name = asked or table_of(names)
    # security has the same built-in chains as filter, so that these cannot tell one from the other.
    whole = whole and bool(name) and table_of(names) == name.replace("security", "filter")
    # The kernel counts the rules that lead to a chain: where fewer are here, some are missing.
    whole = whole and not any(leads[chain.name] < chain.references for chain in chains)
    whole = whole and all(target in lines or target in TARGETS for target in leads if target)
    columns = [chain.columns for chain in chains if chain.columns is not None]
    return Listed(
        Table(name, lines, policies),
        whole=whole,
        interfaces=bool(columns) and all(each.interfaces for each in columns),
        unread=tuple(unread),
        strays=tuple(strays),
    )


def _rows(
    chain: _Chain, family: Family, cut: int
) -> tuple[list[tuple[int, Row]], list[tuple[int, str]], list[tuple[int, str]]]:
    """The rules of a chain, lines in it that are none, and lines behind it.

    What stands on a line of its own belongs to the rule before it: a long line that was broken.
    A blank line ends a chain. If its title is lost, the chain of the rules behind it is unknown.
    """
    found: list[tuple[int, str, Row, list[str]]] = []
    strays: list[tuple[int, str]] = []
    behind: list[tuple[int, str]] = []
    ended = lost = False
    for number, line, row in chain.rows:
        text = line.strip()
        lost = lost or Columns.of(line) is not None
        if not text:
            ended = True
        elif lost or (behind and row is not None):
            lost = True
            strays.append((number, text))
        elif row is not None:
            found.append((number, line, row, []))
            ended = False
        elif ended:
            behind.append((number, text))
        elif found and not OMISSION.fullmatch(text) and not is_broken_row(text):
            found[-1][3].append(text)
        else:
            strays.append((number, text))
    rows = []
    for number, line, read, more in found:
        if cut and len(line.rstrip()) >= cut - _LAST_COLUMN:
            more.append(CUT_OFF)
        again = read
        if more:
            columns = chain.columns or Columns()
            again = read_row(line, chain.name, columns, family, " ".join(more)) or read
        rows.append((number, again))
    return rows, strays, behind
