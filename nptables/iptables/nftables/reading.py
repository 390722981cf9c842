"""What `nft list` prints of the tables of iptables, as rulesets."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from nptables.family import Family
from nptables.immutable import frozen
from nptables.iptables.nftables.rules import (
    NO_TARGET,
    NOTHING_PRINTED,
    NftRule,
    acts,
    empty_statements,
    read_rule,
)
from nptables.iptables.nftables.tables import NftChain, NftTable, NftText
from nptables.iptables.pasted.placing import Homes
from nptables.iptables.pasted.rules import Section, pieces
from nptables.iptables.ruleset import BUILT_IN_CHAINS, NFT, Ruleset, Table
from nptables.iptables.tables import TARGETS
from nptables.iptables.unshown import UNREAD_TARGET, Unshown

_FAMILIES: Mapping[str, Family] = {"ip": Family.IPV4, "ip6": Family.IPV6}
_COUNTER = re.compile(r"\bcounter\b")
_UNFINISHED = re.compile(r"counter(?: packets(?: \d+(?: bytes(?: \d+)?)?)?)?$|\b(?:jump|goto|to)$")
_TARGET = re.compile(r"\b(?:jump|goto) (\S+)")
_TWO_TABS = 16
# More rules than this that may ask for more than is printed are not asked about one by one.
_MOST_DOUBTS = 6
CUT_OFF = "the line is cut off"


@frozen
class Habits:
    """What is known of those who write rules, by the names of chains.

    `comments` is how many comments the writer of a rule that is in a chain and leads to a target
    puts into it at most, None where that is unknown; whoever is known asks for nothing that nft
    prints in part, but for a share of packets, and `shares` says whether the rule may be for one.
    `always` are matches that hold for every packet in a chain. `targetless` are chains with rules
    that have no target.
    """

    homes: Homes
    comments: Callable[[str, str], int | None]
    shares: Callable[[str, str], bool]
    always: Callable[[str], frozenset[str]]
    targetless: Callable[[str], bool]


@frozen
class NftListing:
    """What was read.

    `native` are objects of `nft -j list ruleset`, as far as names go, of tables and chains that
    are not those of iptables. `unread` counts the words whose values are not printed, `hidden` the
    rules of which something may not be shown. `whole` tells that all tables of the node are here.
    """

    rulesets: tuple[Ruleset, ...]
    native: tuple[Mapping[str, Any], ...]
    whole: bool
    exact: bool
    unread: Mapping[str, int]
    guessed: tuple[int, ...] = ()
    strays: tuple[tuple[int, str], ...] = ()


def read_listing(found: NftText, habits: Habits, family: Family | None = None) -> NftListing | None:
    """The rulesets of a text; None where there is no table and no chain in it.

    `family` is that of rules that do not tell.
    """
    if not found.tables:
        return None
    tables = [table for table in found.tables if not _is_native(table)]
    # Without the modules of iptables nft can print neither matches nor targets, and then nothing
    # may be concluded from what is not there.
    found.no_modules = found.no_modules or (not found.exact and _lacks_target(tables, habits))
    unread: Counter[str] = Counter()
    guessed: list[int] = []
    read: dict[Family, list[tuple[Table, bool]]] = {}
    for table in tables:
        for whose, part, whole in _tables(found, table, habits, family, unread, guessed):
            read.setdefault(whose, []).append((part, whole))
    # A single table may be all that was asked for; several are what `nft list ruleset` prints.
    whole = found.all_tables or (len(found.tables) > 1 and all(t.whole for t in found.tables))
    whole = whole and not found.partly
    if not read:
        # Whoever else handles packets there is known by the names of its tables.
        read = {each: [] for each in _families(found, family)}
    return NftListing(
        tuple(
            _ruleset(whose, read[whose], whole=whole) for whose in Family if whose in read
        ),
        tuple(_native(found)),
        whole,
        found.exact,
        unread,
        tuple(guessed),
        tuple(found.strays),
    )  # fmt: skip


def _families(found: NftText, family: Family | None) -> Iterator[Family]:
    """The families that tables are of which are not those of iptables."""
    names = {table.family for table in found.tables}
    both = not names & _FAMILIES.keys()
    for name, each in _FAMILIES.items():
        if name in names or (both and family in (None, each)):
            yield each


def _lacks_target(tables: Sequence[NftTable], habits: Habits) -> bool:
    """Whether a rule has nothing behind its counter, as where nft lacks the modules of iptables.

    Versions up to 1.0.5 leave no trace of matches then. Marking chains of kube-proxy show it.
    """
    return any(
        _has_counter(raw) and not acts(raw) and " log" not in raw
        for table in tables
        for chain in table.chains
        if not habits.targetless(chain.name)
        for _, raw in chain.rules
    )


def _is_native(table: NftTable) -> bool:
    """Whether a table is none of those of iptables."""
    return bool(table.name) and not (table.family in _FAMILIES and table.name in BUILT_IN_CHAINS)


def _is_own(table: NftTable, chain: NftChain) -> bool:
    """Whether a chain at a hook is nft's own; iptables' have the names and hooks that they have."""
    if chain.base is None:
        return False
    return table.name in BUILT_IN_CHAINS and chain.name not in BUILT_IN_CHAINS[table.name]


def _native(found: NftText) -> Iterator[Mapping[str, Any]]:
    """The names of what is not iptables', as `nft -j list ruleset` has them."""
    for table in found.tables:
        if not table.name:
            continue
        if _is_native(table):
            yield {"table": {"family": table.family, "name": table.name}}
        for chain in table.chains:
            if not (_is_native(table) or _is_own(table, chain)):
                continue
            entry = {"family": table.family, "table": table.name, "name": chain.name}
            if chain.base is not None:
                kind, hook, priority, policy = chain.base
                entry |= {"type": kind, "hook": hook, "prio": priority, "policy": policy}
            yield {"chain": entry}


def _tables(
    found: NftText,
    table: NftTable,
    habits: Habits,
    family: Family | None,
    unread: Counter[str],
    guessed: list[int],
) -> Iterator[tuple[Family, Table, bool]]:
    """A table of iptables, or the tables that chains without a table are of."""
    chains = [chain for chain in table.chains if not _is_own(table, chain)]
    texts = [raw for chain in chains for _, raw in chain.rules]
    whose = _FAMILIES.get(table.family) or family or _family_of(texts) or Family.IPV4
    # A chain of nft's own at a hook decides before or behind those of iptables.
    own = any(_is_own(table, chain) for chain in table.chains)
    table.whole = table.whole and not own and not _is_doubtful(found, chains, habits)
    rules = {chain.name: _rules(found, table, chain, whose, habits) for chain in chains}
    open_ends = _cut(found, chains, rules)
    for name, each in rules.items():
        for position, (number, _) in enumerate(each):
            if number in open_ends:
                text = dict(_texts(chains, name))[number]
                again = read_rule(text, name, whose, doubts=(CUT_OFF, NO_TARGET))
                each[position] = (number, again)
    for each in rules.values():
        unread.update(words for _, rule in each for words in dict.fromkeys(rule.unread))
    lines = {name: tuple(rule.line for _, rule in each) for name, each in rules.items()}
    policies = {
        chain.name: chain.base[3].upper()
        for chain in chains
        if chain.base is not None and _is_built_in(table, chain.name)
    }
    whole = table.whole and not open_ends and not found.partly and not _leads_out(rules)
    if table.name:
        if whole and lines:
            for name in BUILT_IN_CHAINS[table.name]:
                lines.setdefault(name, ())
                policies.setdefault(name, "ACCEPT")
        yield whose, Table(table.name, lines, policies), whole
        return
    section = Section("")
    section.policies = {chain.name: policies.get(chain.name, "") for chain in chains}
    section.rules = [(n, rule.line) for each in rules.values() for n, rule in each]
    for piece in pieces(section, habits.homes, partly=True):
        guessed += piece.guessed
        yield whose, piece.table, False


def _is_doubtful(found: NftText, chains: Sequence[NftChain], habits: Habits) -> bool:
    """Whether so much of a table may not be printed that it counts as shown in part.

    One question about all of it is better than one about each rule, which has no answer.
    """
    if any(broken for chain in chains for _, _, broken in _joined(chain.rules)):
        return True
    if found.exact:
        return False
    texts = [raw for chain in chains for _, raw in chain.rules]
    if found.no_modules or not any(_indent(raw) for raw in texts):
        return True
    unknown = 0
    for chain in chains:
        indent = _indent_of(chain)
        for _, raw in chain.rules:
            target = _TARGET.search(raw)
            writer = habits.comments(chain.name, target[1] if target else "")
            unknown += writer is None and empty_statements(raw, indent) > 0
    return unknown > _MOST_DOUBTS


def _is_built_in(table: NftTable, chain: str) -> bool:
    built_in = BUILT_IN_CHAINS.get(table.name)
    if built_in is None:
        return any(chain in names for names in BUILT_IN_CHAINS.values())
    return chain in built_in


def _texts(chains: Sequence[NftChain], name: str) -> Iterator[tuple[int, str]]:
    return (rule for chain in chains if chain.name == name for rule in chain.rules)


def _family_of(texts: Sequence[str]) -> Family | None:
    """The family of rules by what they ask for."""
    words = " ".join(texts)
    six = " ip6 " in f" {words}" or "icmpv6" in words
    four = " ip " in f" {words}" or " icmp " in words
    return None if six is four else Family.IPV6 if six else Family.IPV4


def _rules(
    found: NftText, table: NftTable, chain: NftChain, family: Family, habits: Habits
) -> list[tuple[int, NftRule]]:
    """The rules of a chain, each with the number of its line."""
    joined = _joined(chain.rules)
    indent = _indent_of(chain)
    always = habits.always(chain.name)
    plain = [
        read_rule(raw, chain.name, family, exact=found.exact, always=always) for _, raw, _ in joined
    ]
    empty = [empty_statements(raw, indent) for _, raw, _ in joined]
    rules = []
    for position, (number, raw, _) in enumerate(joined):
        target = plain[position].target
        comments = habits.comments(chain.name, target)
        known = comments is not None and not found.no_modules
        doubts: list[str] = []
        if not found.exact and table.whole:
            share = habits.shares(chain.name, target)
            # Who writes shares asks the last rule of a chain for none.
            least = empty[-1] if share else comments or 0
            doubts += [NOTHING_PRINTED] * (empty[position] > least)
        if found.width and not habits.targetless(chain.name):
            # nft may print nothing of a target all the same, as 1.0.6 does of those of IPv6.
            doubts.append(NO_TARGET)
        if plain[position].target and not known and doubts in ([], [NO_TARGET]):
            rules.append((number, plain[position]))
            continue
        rule = read_rule(
            raw,
            chain.name,
            family,
            doubts=doubts,
            known_writer=known,
            exact=found.exact,
            always=always,
        )
        rules.append((number, rule))
    return rules


def _indent_of(chain: NftChain) -> int:
    """How far the rules of a chain are indented: two tabs, or what the least has."""
    return min(_TWO_TABS, *(_indent(raw) for _, raw in chain.rules)) if chain.rules else 0


def _joined(rules: Sequence[tuple[int, str]]) -> list[tuple[int, str, bool]]:
    """The rules, with lines that were broken in two as one: iptables' have a counter each."""
    found: list[tuple[int, str, bool]] = []
    for number, raw in rules:
        before = found[-1][1] if found else ""
        if before and _is_broken(before, raw):
            found[-1] = (found[-1][0], f"{before.rstrip()} {raw.strip()}", True)
        else:
            found.append((number, raw, False))
    return found


def _is_broken(first: str, second: str) -> bool:
    """Whether two lines are one: the first has a counter and no target, or neither of them."""
    if not _has_counter(first):
        return not acts(first)
    return not _has_counter(second) and _UNFINISHED.search(first.rstrip()) is not None


def _has_counter(text: str) -> bool:
    return _COUNTER.search(text) is not None


def _indent(raw: str) -> int:
    text = raw.expandtabs(8)
    return len(text) - len(text.lstrip())


def _cut(
    found: NftText, chains: Sequence[NftChain], rules: Mapping[str, Sequence[tuple[int, NftRule]]]
) -> frozenset[int]:
    """The numbers of lines that may be cut off: the longest, where one of them surely is."""
    longest = {
        number
        for chain in chains
        for number, raw in chain.rules
        if found.width and len(raw.rstrip()) >= found.width - 1
    }
    known = {*rules, *TARGETS, UNREAD_TARGET}
    read = [rule for each in rules.values() for number, rule in each if number in longest]
    is_cut = any(rule.target not in known for rule in read)
    return frozenset(longest) if is_cut else frozenset()


def _leads_out(rules: Mapping[str, Sequence[tuple[int, NftRule]]]) -> bool:
    """Whether a rule leads to a chain that is not there."""
    targets = {rule.target for each in rules.values() for _, rule in each}
    return bool(targets - rules.keys() - TARGETS.keys() - {"", UNREAD_TARGET})


def _ruleset(family: Family, tables: Sequence[tuple[Table, bool]], *, whole: bool) -> Ruleset:
    """The tables of a family, and what is not shown of them."""
    found: dict[str, Table] = {}
    opened = set()
    for table, complete in tables:
        here = found.get(table.name, table)
        both = {**here.chains, **table.chains}
        found[table.name] = Table(table.name, both, {**here.policies, **table.policies})
        if not complete or here != table:
            opened.add(table.name)
    missing = frozenset() if whole else frozenset(BUILT_IN_CHAINS.keys() - found.keys())
    return Ruleset(
        family, found, backend=NFT, unshown=Unshown(missing, frozenset(opened), comments=True)
    )
