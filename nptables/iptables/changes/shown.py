"""Comparing rules that are shown only in part: see `Unshown.comments`."""

from __future__ import annotations

import re
from collections.abc import Mapping

import attrs

from nptables.errors import RuleSyntaxError
from nptables.family import Family
from nptables.iptables.rule import Match, Rule, Target
from nptables.iptables.ruleset import Ruleset, Table
from nptables.iptables.spelling import normal_form
from nptables.iptables.unshown import HOLDS_MATCH, UNREAD_MATCH, UNREAD_TARGET

_NAMED = re.compile(r'xt (match|target) "?([A-Za-z0-9_-]+)"?')
# What is printed in the same way for different values of a match or a target.
_WORDS = {
    "ct status": "conntrack", "fib saddr": "addrtype", "udp dport": "udp",
    "masquerade": "MASQUERADE",
}  # fmt: skip
_BASE = ("source", "destination", "in_interface", "out_interface", "protocol", "fragment")


def with_what_is_not_shown(shown: Ruleset, other: Ruleset) -> Ruleset:
    """A ruleset with each partly shown rule replaced by the other's rule that it may be."""
    tables = {
        name: _table(table, other.tables[name], shown.family) if name in other.tables else table
        for name, table in shown.tables.items()
    }
    return attrs.evolve(shown, tables=tables)


def _table(shown: Table, other: Table, family: Family) -> Table:
    chains: Mapping[str, tuple[str, ...]] = {
        name: _lines(lines, other.chains[name], family) if name in other.chains else lines
        for name, lines in shown.chains.items()
    }
    return attrs.evolve(shown, chains=chains, line_counters={}, order=())


def _lines(shown: tuple[str, ...], others: tuple[str, ...], family: Family) -> tuple[str, ...]:
    if shown == others:
        return shown
    waiting: dict[object, list[tuple[str, Rule]]] = {}
    for line in others:
        if (rule := _parsed(line, family)) is not None:
            waiting.setdefault(_key(rule), []).append((line, rule))
    found = []
    for line in shown:
        rule = _parsed(line, family)
        candidates = waiting.get(_key(rule), []) if rule is not None else []
        taken = next((c for c in candidates if rule is not None and _may_be(rule, c[1])), None)
        if taken is not None:
            candidates.remove(taken)
        found.append(line if taken is None else taken[0])
    return tuple(found)


def _parsed(line: str, family: Family) -> Rule | None:
    try:
        return Rule.parse(normal_form(line, family), family)
    except RuleSyntaxError:
        return None


def _key(rule: Rule) -> object:
    """What every form shows of a rule: addresses, interfaces and the protocol."""
    return tuple(getattr(rule, name) for name in _BASE)


def _may_be(shown: Rule, other: Rule) -> bool:
    """Whether a rule that is shown in part may be another one."""
    left = [match for match in other.matches if not _says_nothing(match, other)]
    bare = [match.name for match in other.matches if match not in left]
    unread = []
    for match in shown.matches:
        if match.name in (UNREAD_MATCH, HOLDS_MATCH):
            unread.append(" ".join(option.value for option in match.options))
        elif match in left:
            left.remove(match)
        elif not _says_nothing(match, shown):
            return False
    loose, hidden_values = 0, False
    for words in unread:
        named = _name_in(words)
        if named is None:
            # What has no name may be a comment as well.
            loose += 1
        elif named[0] == "target":
            hidden_values = True
        elif (known := next((each for each in left if each.name == named[1]), None)) is not None:
            left.remove(known)
        elif named[1] not in bare:
            return False
    target = _may_be_target(shown.target, other.target, hidden_values=hidden_values)
    # Each word without a name may hide one match, and no more than that.
    return len(left) <= loose and target


def _name_in(words: str) -> tuple[str, str] | None:
    """Whether a match or a target stands for words, and its name; None where nothing tells."""
    if (named := _NAMED.match(words)) is not None:
        return named[1], named[2]
    found = (name for beginning, name in _WORDS.items() if words.startswith(beginning))
    name = next(found, None)
    return None if name is None else ("target" if name.isupper() else "match", name)


def _says_nothing(match: Match, rule: Rule) -> bool:
    """A comment, or a match of the rule's protocol that asks for nothing more."""
    bare = not match.options and rule.protocol is not None and rule.protocol.value == match.name
    return match.name == "comment" or bare


def _may_be_target(shown: Target | None, other: Target | None, *, hidden_values: bool) -> bool:
    if shown == other:
        return True
    if shown is None:
        return False
    if shown.name == UNREAD_TARGET:
        words = " ".join(option.value for option in shown.options)
        named = _NAMED.match(words)
        return named is None or (other is not None and named[2] == other.name)
    return (
        other is not None
        and hidden_values
        and shown.name == other.name
        and shown.goto == other.goto
    )
