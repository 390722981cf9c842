"""Rules without, or with only some of, the lines of tables and chains around them.

What `iptables -S` prints of a whole table is whole, and so is a table of a dump from its first line
to COMMIT. Of everything else it is unknown which rules were left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import attrs

from nptables.immutable import frozen
from nptables.iptables.listing.tables import begins_another, table_of
from nptables.iptables.pasted.placing import Homes, place
from nptables.iptables.ruleset import BUILT_IN_CHAINS, Table, chain_of, target_of
from nptables.iptables.tables import TARGETS

_RULE = re.compile(r"(?:\[\d+:\d+\] )?(-A \S+.*)", re.ASCII | re.DOTALL)
# `-S -v` prints the counters as an option of the rule.
_COUNTERS = re.compile(r"( -c \d+ \d+)(?= |$)", re.ASCII)
_CHAIN = re.compile(r":(\S+) (\S+)(?: \[\d+:\d+\])?", re.ASCII)
_POLICY = re.compile(r"-P (\S+) (ACCEPT|DROP|QUEUE|RETURN)(?: -c \d+ \d+)?", re.ASCII)
_NEW_CHAIN = re.compile(r"-N (\S+)", re.ASCII)
_TABLE = re.compile(r"\*([a-z]+)", re.ASCII)
# How the rest of a rule begins that was broken into two lines.
_REST = ("-m ", "-j ", "-g ", "--", "! ", "-p ", "-s ", "-d ", "-i ", "-o ")
_BUILT_IN = frozenset(name for names in BUILT_IN_CHAINS.values() for name in names)


@attrs.define
class Section:
    """Lines of one table, or of an unknown one: `table` is empty then.

    `policies` has the declared chains with their policies, empty for those that others made.
    `begun` and `ended` tell that the lines of a dump around a table are there.
    """

    table: str
    policies: dict[str, str] = attrs.field(factory=dict)
    rules: list[tuple[int, str]] = attrs.field(factory=list)
    strays: list[tuple[int, str]] = attrs.field(factory=list)
    begun: bool = False
    ended: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing of a table in it."""
        return not (self.rules or self.policies or self.begun)


@frozen
class Piece:
    """A table as far as it is there; `guessed` are numbers of lines that may be of another."""

    table: Table
    whole: bool
    guessed: tuple[int, ...] = ()


def sections(lines: Sequence[str], numbers: Sequence[int], table: str) -> Iterator[Section]:
    """The lines in pieces of one table each; `table` is that of what does not say.

    What is no line of rules is a stray, or the rest of a rule that was broken into two lines.
    """
    section = Section(table)
    after_rule = False
    for number, raw in zip(numbers, lines, strict=True):
        line = raw.strip()
        rule = _RULE.fullmatch(line)
        if (found := _TABLE.fullmatch(line)) is not None:
            yield section
            section = Section(found[1], begun=True)
        elif line == "COMMIT":
            section.ended = True
            yield section
            section = Section(table)
        elif rule is not None:
            section.rules.append((number, _COUNTERS.sub("", rule[1], count=1)))
        elif (declared := _declared(line)) is not None:
            if not section.begun and _begins_another(section, *declared):
                yield section
                section = Section(table)
            section.policies[declared[0]] = declared[1]
        # A terminal or a mail program broke the line; with an odd quote, within a comment.
        elif after_rule and (line.startswith(_REST) or section.rules[-1][1].count('"') % 2):
            begun, text = section.rules[-1]
            section.rules[-1] = (begun, f"{text} {line}")
            continue
        elif line and not line.startswith("#"):
            section.strays.append((number, line))
        after_rule = rule is not None
    yield section


def _declared(line: str) -> tuple[str, str] | None:
    """A chain and its policy, empty for those that others made; None for any other line."""
    found = _CHAIN.fullmatch(line) or _POLICY.fullmatch(line)
    if found is not None:
        return found[1], "" if found[2] == "-" else found[2]
    found = _NEW_CHAIN.fullmatch(line)
    return None if found is None else (found[1], "")


def _begins_another(section: Section, name: str, policy: str) -> bool:
    """Whether a declared chain begins what `iptables -S` prints of another table."""
    if not policy:
        return name in section.policies
    return bool(section.rules) or begins_another(list(section.policies), name)


def pieces(section: Section, homes: Homes, *, partly: bool) -> tuple[Piece, ...]:
    """The tables that the lines of a section are of, each as far as it is there.

    `partly` tells that something may have taken lines out.
    """
    table = section.table or table_of([n for n, policy in section.policies.items() if policy])
    if table:
        whole = not partly and _is_whole(section, table)
        return (_piece(table, section.rules, section.policies, whole=whole),)
    lines = [line for _, line in section.rules]
    placed = place(lines, homes)
    found = []
    for name in dict.fromkeys((*placed.tables, *_declared_in(section, homes))):
        rules = [
            rule for rule, where in zip(section.rules, placed.tables, strict=True) if where == name
        ]
        chains = {chain_of(line) for _, line in rules}
        policies = {
            chain: policy
            for chain, policy in section.policies.items()
            if chain in chains or name in (homes(chain), _home_of_policy(chain, policy))
        }
        guessed = tuple(
            section.rules[position][0]
            for position in sorted(placed.guessed)
            if placed.tables[position] == name
        )
        piece = _piece(name, rules, policies, whole=False)
        found.append(attrs.evolve(piece, guessed=guessed))
    return tuple(found)


def _declared_in(section: Section, homes: Homes) -> Iterator[str]:
    """The tables of chains that are declared and have no rules."""
    for chain, policy in section.policies.items():
        if home := homes(chain) or _home_of_policy(chain, policy):
            yield home


def _home_of_policy(chain: str, policy: str) -> str:
    """Where a policy is that stops packets: people set none but those of filter."""
    return "filter" if policy not in ("", "ACCEPT") and chain in BUILT_IN_CHAINS["filter"] else ""


def _is_whole(section: Section, table: str) -> bool:
    """Whether nothing of a table is missing: all chains are declared that it has or jumps to."""
    if section.strays or section.begun is not section.ended:
        return False
    built_in = {name for name, policy in section.policies.items() if policy}
    known = table_of([*built_in])
    if not section.begun and known != ("filter" if table == "security" else table):
        return False
    jumps = {target_of(line) for _, line in section.rules} - TARGETS.keys() - {""}
    chains = {chain_of(line) for _, line in section.rules}
    return (chains | jumps) <= section.policies.keys()


def _piece(
    name: str, rules: Sequence[tuple[int, str]], policies: dict[str, str], *, whole: bool
) -> Piece:
    chains: dict[str, list[str]] = {chain: [] for chain in policies}
    for _, line in rules:
        chains.setdefault(chain_of(line), []).append(line)
    return Piece(
        Table(
            name,
            {chain: tuple(lines) for chain, lines in chains.items()},
            {
                chain: policies.get(chain) or "ACCEPT"
                for chain in chains
                if chain in _BUILT_IN and (whole or policies.get(chain))
            },
        ),
        whole,
    )
