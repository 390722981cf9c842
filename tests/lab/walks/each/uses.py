"""Which options the rules of a case have, plain and negated."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import attrs

from nptables.iptables.rule import Rule
from tests.lab.walks.each.recording import position

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nptables.family import Family
    from tests.lab.walks.each.case import Case, Row

# What a rule asks without a match.
OF_RULES = {
    "source": "-s", "destination": "-d", "in_interface": "-i", "out_interface": "-o",
    "protocol": "-p", "fragment": "-f",
}  # fmt: skip


class Use(NamedTuple):
    """An option in a rule, and whether it is negated; of the rule itself where `match` is empty."""

    match: str
    option: str
    negated: bool


def rules_of(case: Case, family: Family) -> Iterator[tuple[Rule, Row]]:
    """The rules of a case, each with what became of packets there."""
    for line in case.text().splitlines():
        if line.startswith("-A "):
            yield Rule.parse(line, family), case.rows[position(line, family)]


def uses(rule: Rule) -> Iterator[Use]:
    """The options that decide whether a rule matches."""
    for name, flag in OF_RULES.items():
        option = getattr(rule, name)
        if option is not None:
            yield Use("", flag, option.negated)
    for match in rule.matches:
        for option in match.options:
            yield Use(match.name, option.name, option.negated)


def turned_round(rule: Rule, use: Use) -> Rule:
    """The rule with an option of a match negated, or plain where it was negated."""
    return attrs.evolve(
        rule,
        matches=tuple(
            attrs.evolve(
                match,
                options=tuple(
                    attrs.evolve(option, negated=not option.negated)
                    if (match.name, option.name) == use[:2]
                    else option
                    for option in match.options
                ),
            )
            for match in rule.matches
        ),
    )
