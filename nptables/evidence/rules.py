"""Rules in whatever form somebody shows them, as evidence, with what the form does not show."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from nptables.errors import printable
from nptables.evidence.chain_tables import table_of_chain
from nptables.evidence.node import Evidence, Form, Gap
from nptables.family import Family
from nptables.iptables import Ruleset
from nptables.iptables.listing import CUT_OFF
from nptables.iptables.pasted import Kind, Pasted, read_pasted
from nptables.iptables.ruleset import target_of
from nptables.iptables.tables import TARGETS

_FORMS = {Kind.SAVED: Form.SAVED, Kind.FRAGMENT: Form.FRAGMENT, Kind.LISTING: Form.LISTING}
_NAMED = 6
# What is said of tables that a form is not about.
NOTHING_OF_THEM = "has nothing of them"
_WORDS = re.compile(r"\w")
# Fewer digits than tell the step of a probability: `%f`, up to iptables 1.4.11.
_ROUNDED = re.compile(r" probability 0\.\d{1,9}(?!\d)")


def from_rules(text: str, family: Family | None = None) -> Evidence | None:
    """The rules that a text shows; None where it shows none.

    `family` is that of rules that do not tell. Raises SaveSyntaxError for a dump that is damaged.
    """
    pasted = read_pasted(text, table_of_chain, family)
    if pasted is None or not any(ruleset.tables for ruleset in pasted.rulesets):
        return None
    gaps = dict.fromkeys(gaps_of(pasted))
    if pasted.kind is Kind.LISTING and _ROUNDED.search(text):
        gaps[Gap("exact probabilities", "they are printed with six digits")] = None
    return Evidence(_FORMS[pasted.kind], pasted.rulesets, gaps=tuple(gaps))


def gaps_of(pasted: Pasted) -> Iterator[Gap]:
    """What rules that were pasted do not show."""
    for ruleset in pasted.rulesets:
        whose = f" of {ruleset.family.value}" if len(pasted.rulesets) > 1 else ""
        if ruleset.backend and len(pasted.rulesets) > 1:
            whose += f" ({ruleset.backend})"
        yield from _unshown(ruleset, pasted.kind.value, whose)
    if pasted.guessed:
        lines = _names("line", [str(number) for number in pasted.guessed if number])
        yield Gap(f"the table of {lines}", "it is not given, so the most likely one is assumed")
    yield from _unread(pasted.unread)
    if strays := [stray for stray in pasted.strays if _WORDS.search(stray[1])]:
        lines = _names("line", [str(number) for number, _ in strays])
        first = printable(strays[0][1], 60)
        yield Gap(lines, f'no rules, and left out: "{first}"')


def _unshown(ruleset: Ruleset, form: str, whose: str) -> Iterator[Gap]:
    """What a form does not show of the tables of one family and backend."""
    unshown = ruleset.unshown
    if unshown.open:
        tables = _tables(unshown.open)
        yield Gap(
            f"all rules of {tables}{whose}",
            f"this {form} may have only some of them; iptables-save prints all",
        )
        for table in sorted(unshown.open):
            if missing := _missing(ruleset, table):
                yield Gap(
                    f"{_names('chain', missing)} of {table}{whose}",
                    "rules jump there, but the rules in them are not shown",
                )
    if unshown.tables:
        yield tables_not_shown(unshown.tables, form, whose)
    if unshown.interfaces:
        yield Gap(
            f"interfaces in rules of {_tables(unshown.interfaces)}{whose}",
            "a listing without -v does not show them",
        )


def tables_not_shown(tables: frozenset[str], form: str, whose: str = "") -> Gap:
    """That a form has nothing of some tables."""
    return Gap(f"{_tables(tables)}{whose}", f"this {form} {NOTHING_OF_THEM}")


def _unread(unread: Sequence[tuple[int, str]]) -> Iterator[Gap]:
    """Words that are not understood; where lines were cut off, without broken comments."""
    words = [found for found in unread if found[1] != CUT_OFF]
    if len(words) < len(unread):
        words = [found for found in words if "/*" not in found[1]]
        yield Gap("all conditions of rules", "the lines of the listing are cut off")
    for number, text in words[:_NAMED]:
        yield Gap(
            f'the meaning of "{printable(text, 60)}" in line {number}', "it is not understood"
        )
    if len(words) > _NAMED:
        yield Gap(f"{len(words) - _NAMED} more such words", "they are not understood")


def _missing(ruleset: Ruleset, table: str) -> list[str]:
    """The chains that rules of a table lead to and that are not there."""
    found = ruleset.tables[table].chains
    jumps = (target_of(line) for lines in found.values() for line in lines)
    return [name for name in dict.fromkeys(jumps) if name and name not in {*found, *TARGETS}]


def _tables(names: frozenset[str]) -> str:
    order = ("nat", "filter", "raw", "mangle", "security")
    others = sorted(names.difference(order))
    return _names("table", [*(name for name in order if name in names), *others])


def _names(what: str, names: Sequence[str]) -> str:
    """`table nat`, `tables nat and filter`, the first of many."""
    shown = list(names[:_NAMED])
    if len(names) > _NAMED:
        shown.append(f"{len(names) - _NAMED} more")
    listed = " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))
    return f"{what}{'s' if len(names) > 1 else ''} {listed}"
