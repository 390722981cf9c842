"""The rules of a ruleset, ready to be walked: read when a packet comes to them, and not before.

A node with ten thousand Services has three hundred thousand rules, and a packet meets a few dozen.
So a rule is compiled when a packet reaches it, and the long chains that every packet passes are
indexed by the address or the port that their rules are about.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import cast

from nptables.errors import RuleSyntaxError
from nptables.family import Family
from nptables.immutable import frozen
from nptables.iptables import values
from nptables.iptables.rule import Option, Rule
from nptables.iptables.ruleset import Ruleset
from nptables.iptables.spelling import normal_form
from nptables.iptables.values import Unsettled
from nptables.model.addresses import pack_ip
from nptables.tracing.matching import Condition, compile_conditions
from nptables.tracing.matching.compiling import NotUnderstood, opaque_conditions
from nptables.tracing.state import State
from nptables.tracing.traversal.actions import Action, Kind, compile_action
from nptables.tracing.traversal.damaged import refused_without_target, refused_word
from nptables.tracing.traversal.unshown import unreached

# Below this an index costs more than it saves.
_LONG = 32
_ALL_MARK_BITS = 0xFFFFFFFF

# Lines that can only match one destination, or one destination port. The words stand where
# iptables-save puts them, so that a comment cannot be taken for an option.
_BY_ADDRESS = {
    Family.IPV4: re.compile(r"-A \S+(?: (?:! )?-s \S+)? -d ([0-9.]+)/32(?: |$)"),
    Family.IPV6: re.compile(r"-A \S+(?: (?:! )?-s \S+)? -d ([0-9a-f.:]+)/128(?: |$)"),
}
_BY_PORT = re.compile(
    r"-A \S+(?: -d 127\.0\.0\.0/8)? -p (tcp|udp|sctp)"
    r'(?: -m comment --comment (?:"[^"\\]*"|[A-Za-z0-9_-]+))?'
    r"(?: -m addrtype --dst-type LOCAL)? -m \1 --dport ([1-9][0-9]*)(?: |$)"
)
_MARK_READERS = re.compile(r" --mark | --save-mark| --validmark| --restore-skmark")
_TESTED_MARK = re.compile(r" -m mark (?:! )?--mark 0x[0-9a-f]+/0x([0-9a-f]+)")
_TO_DESTINATION = re.compile(r" --to-destination (\S+)")


# Many rulesets that are walked one after the other have most of the lines on the way in common.
_parsed = lru_cache(maxsize=4096)(Rule.parse)


def only_destination(line: str, family: Family) -> str | int | None:
    """The only destination address, else the only destination port, that a line can match.

    None where it is about neither, or about more than one.
    """
    match = _BY_ADDRESS[family].match(line)
    if match is not None and pack_ip(match[1]) is not None:
        return match[1]
    match = _BY_PORT.match(line)
    return int(match[2]) if match is not None and int(match[2]) < 65536 else None


@frozen
class CompiledRule:
    """A rule with its conditions and its action."""

    line: str
    conditions: tuple[Condition, ...]
    action: Action


class CompiledChain:
    """One chain; its rules are compiled when they are asked for."""

    def __init__(self, lines: Sequence[str], book: Rulebook, table: str) -> None:
        self.lines = lines
        self._book = book
        self._table = table
        self._rules: dict[int, CompiledRule] = {}

    def rule(self, position: int) -> CompiledRule:
        """The rule at a position."""
        found = self._rules.get(position)
        if found is None:
            found = self._rules[position] = self._book.compiled(
                self._table, self.lines[position], position
            )
        return found

    def candidates(self, states: Iterable[State]) -> Iterable[int]:
        """The positions of the rules that may match a packet in one of the states, in order."""
        if len(self.lines) <= _LONG:
            return range(len(self.lines))
        by_address, by_port, others = self._index
        found = set(others)
        for state in states:
            # An address of which only a network is known may be any of those in the index.
            if not isinstance(state.destination, str) or (state.port is None and by_port):
                return range(len(self.lines))
            found.update(by_address.get(state.destination, ()))
            found.update(by_port.get(state.port or 0, ()))
        return sorted(found)

    @cached_property
    def _index(self) -> tuple[Mapping[str, list[int]], Mapping[int, list[int]], list[int]]:
        by_address: dict[str, list[int]] = {}
        by_port: dict[int, list[int]] = {}
        others: list[int] = []
        family = self._book.family
        for position, line in enumerate(self.lines):
            key = only_destination(line, family)
            if isinstance(key, str):
                by_address.setdefault(key, []).append(position)
            elif key is not None:
                by_port.setdefault(key, []).append(position)
            else:
                others.append(position)
        return by_address, by_port, others


class Rulebook:
    """The chains of a ruleset, compiled on demand.

    `label` names the backend where a node has the tables of two, and is empty elsewhere.
    """

    def __init__(self, ruleset: Ruleset, label: str = "") -> None:
        self.ruleset = ruleset
        self.label = label
        self.family: Family = ruleset.family
        self._chains: dict[tuple[str, str], CompiledChain] = {}
        self.extra: dict[str, object] = {}

    def chain(self, table: str, name: str) -> CompiledChain | None:
        """A chain, or None where there is none of that name."""
        key = (table, name)
        found = self._chains.get(key)
        if found is None:
            in_table = self.ruleset.tables.get(table)
            if in_table is None or name not in in_table.chains:
                return None
            found = self._chains[key] = CompiledChain(in_table.chains[name], self, table)
        return found

    def acts(self, table: str, chain: str) -> bool:
        """Whether a built-in chain is there, or may be, and may do anything."""
        if self.is_open(table):
            return True
        found = self.chain(table, chain)
        return found is not None and (bool(found.lines) or self.policy(table, chain) == "DROP")

    def is_unprintable(self, table: str) -> bool:
        """Whether iptables cannot print a table, so that what there is of it is not all."""
        return table in self.ruleset.remarks.unreadable

    def is_open(self, table: str) -> bool:
        """Whether the chains of a table may have more rules than those that are shown."""
        return table in self.ruleset.unshown.open

    def lacks_interfaces(self, table: str) -> bool:
        """Whether the rules of a table may ask for interfaces that are not shown."""
        return table in self.ruleset.unshown.interfaces

    def unreached(self, table: str, hook: str) -> tuple[str, ...]:
        """The chains of an open table that no shown rule leads to, and a packet at a hook may."""
        kept = self.extra.get(f"unreached {table}")
        if kept is None:
            kept = self.extra[f"unreached {table}"] = unreached(self.ruleset, table)
        found: Mapping[str, tuple[str, ...]] = cast("Mapping[str, tuple[str, ...]]", kept)
        return found.get(hook, ())

    def policy(self, table: str, chain: str) -> str:
        """The policy of a built-in chain."""
        return self.ruleset.tables[table].policies.get(chain, "ACCEPT")

    def compiled(self, table: str, line: str, position: int) -> CompiledRule:
        """A line, compiled; one that cannot be read is a question and an unknown action."""
        where = f"{self.label} {table} {line.split(' ', 2)[1]} {position}".lstrip()
        try:
            rule = _parsed(line, self.family)
        except RuleSyntaxError as error:
            return _unreadable(line, where, error.message)
        if why := refused_without_target(rule):
            return _unreadable(line, where, why)
        wrong = impossible_values(rule, self.family)
        # What is cut off in the middle of a value has lost its target.
        if wrong.match and rule.target is None:
            return _unreadable(line, where, wrong.match)
        in_table = self.ruleset.tables[table].chains
        action = compile_action(rule, is_chain=in_table.__contains__)
        if wrong.target:
            text = f"it reaches a rule of {table} {rule.chain} that cannot be read ({wrong.target})"
            action = Action(Kind.UNKNOWN, text=text)
        # A word that is no option may be one that lost its dash, or a ! that stood before another.
        if (why := wrong.match) or (why := refused_word(rule)):
            return CompiledRule(line, opaque_conditions(rule, where, why), action)
        endpoint = self.endpoint_behind(rule.chain) if rule.source is not None else None
        try:
            conditions = compile_conditions(rule, where, endpoint)
        # Older iptables and other writers spell some values differently; the usual way costs
        # nothing where the line is in the usual form.
        except NotUnderstood as error:
            found = self._compiled_from_normal_form(line, where)
            if found is None and rule.target is None:
                return _unreadable(line, where, f"its condition {error}".rstrip())
            conditions = opaque_conditions(rule, where) if found is None else found
        return CompiledRule(line, conditions, action)

    def _compiled_from_normal_form(self, line: str, where: str) -> tuple[Condition, ...] | None:
        try:
            normal = Rule.parse(normal_form(line, self.family), self.family)
            return compile_conditions(normal, where)
        except (RuleSyntaxError, NotUnderstood):
            return None

    def endpoint_behind(self, chain: str) -> str | None:
        """The only destination that a chain of the nat table translates to, if there is one."""
        found = {
            match[1]
            # The chain of an endpoint has two rules; of a longer one this is not worth knowing.
            for line in self.ruleset.lines("nat", chain)[:8]
            if (match := _TO_DESTINATION.search(line)) is not None
        }
        return found.pop() if len(found) == 1 else None

    @cached_property
    def tested_mark_bits(self) -> int:
        """The bits of the mark that some rule looks at; the others make no difference."""
        bits = 0
        for line in self._all_lines():
            if _MARK_READERS.search(line) is None:
                continue
            tests = _TESTED_MARK.findall(line)
            if len(tests) != len(_MARK_READERS.findall(line)):
                return _ALL_MARK_BITS
            for mask in tests:
                bits |= int(mask, 16)
        return bits

    def _all_lines(self) -> Iterator[str]:
        for table in self.ruleset.tables.values():
            for lines in table.chains.values():
                yield from lines


def _unreadable(line: str, where: str, why: str) -> CompiledRule:
    """A rule of which nobody knows what it asks for and what it does."""
    action = Action(Kind.UNKNOWN, text=f"it reaches a rule that cannot be read ({why})")
    return CompiledRule(line, opaque_conditions(Rule(chain="", target=None), where), action)


Rules = Ruleset | Sequence[Ruleset]


def rulebooks_of(rules: Rules) -> tuple[Rulebook, ...]:
    """The rulebook of each ruleset of a node, which lives as long as the ruleset.

    Several are those of its backends. One that does not say which is called by its number.
    """
    if isinstance(rules, Ruleset):
        return (_rulebook(rules, ""),)
    if len(rules) == 1:
        return (_rulebook(rules[0], ""),)
    return tuple(
        _rulebook(ruleset, ruleset.backend or f"dump {count}")
        for count, ruleset in enumerate(rules, 1)
    )


def _rulebook(ruleset: Ruleset, label: str) -> Rulebook:
    key = (Rulebook, label)
    found = ruleset.derived.get(key)
    if not isinstance(found, Rulebook):
        found = ruleset.derived[key] = Rulebook(ruleset, label)
    return found


@frozen
class Impossible:
    """What is wrong with a rule, in words: with what it asks for, and with what it does."""

    match: str = ""
    target: str = ""


def impossible_values(rule: Rule, family: Family) -> Impossible:
    """The first value of a rule that cannot be, in its matches and in its target."""
    target = rule.target.options if rule.target is not None else ()
    return Impossible(
        next(_wrong(_asked(rule), family), ""),
        next(_wrong(((option.name, option) for option in target), family), ""),
    )


def _asked(rule: Rule) -> Iterator[tuple[str, Option]]:
    if rule.source is not None:
        yield "-s", rule.source
    if rule.destination is not None:
        yield "-d", rule.destination
    for match in rule.matches:
        for option in match.options:
            yield option.name, option


def _wrong(options: Iterator[tuple[str, Option]], family: Family) -> Iterator[str]:
    for name, option in options:
        reader = _READERS.get(name)
        if reader is None:
            continue
        what, read = reader
        try:
            read(option.value, family)
        except (Unsettled, ValueError):
            yield f"{name} {option.value} is not {what.format(family.value)}"


def _nat(text: str, family: Family) -> None:
    """`ADDRESS[-ADDRESS][:PORT[-PORT[/PORT]]]`, either part alone."""
    whole, slash, offset = text.partition("/")
    if slash:
        if whole.rpartition("]")[2].count(":") != 1:
            raise ValueError(text)
        values.port(offset)
    if whole.startswith(":") and not whole.startswith("::"):
        values.nat_ports(whole[1:])
    else:
        values.nat_address(whole, family)


def _ports(text: str, _family: Family) -> None:
    values.nat_ports(text.partition("/")[0])


def _connection_ports(text: str, _family: Family) -> None:
    values.port_range(text)


def _icmp(text: str, family: Family) -> None:
    if not values.any_icmp_type(text, family):
        values.icmp_type(text, family)


Reader = Callable[[str, Family], object]
_NETWORK: tuple[str, Reader] = ("an {} address or network", values.network)
_READERS: Mapping[str, tuple[str, Reader]] = {
    "-s": _NETWORK,
    "-d": _NETWORK,
    "--ctorigsrc": _NETWORK,
    "--ctorigdst": _NETWORK,
    "--ctreplsrc": _NETWORK,
    "--ctrepldst": _NETWORK,
    "--src-range": ("a range of {} addresses", values.address_range),
    "--dst-range": ("a range of {} addresses", values.address_range),
    "--to-destination": ("an {} address, with or without a port", _nat),
    "--to-source": ("an {} address, with or without a port", _nat),
    "--to-ports": ("a port or a range of ports", _ports),
    "--ctorigsrcport": ("a port or a range of ports", _connection_ports),
    "--ctorigdstport": ("a port or a range of ports", _connection_ports),
    "--ctreplsrcport": ("a port or a range of ports", _connection_ports),
    "--ctrepldstport": ("a port or a range of ports", _connection_ports),
    "--icmp-type": ("an ICMP type", _icmp),
    "--icmpv6-type": ("an ICMP type", _icmp),
}
