"""Every match and target that the tracer knows, against what the kernel did with it.

`tests/lab/test_trace_each.py` holds the recordings to the kernel that runs the tests.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nptables import Family, Ruleset
from nptables.iptables.tables import EFFECTLESS
from nptables.iptables.unshown import HOLDS_MATCH
from nptables.tracing import matching, traversal
from nptables.tracing.matching.compiling import MATCHES
from nptables.tracing.matching.headers import HEADER_MATCHES
from nptables.tracing.matching.tracking import TRACKING_MATCHES
from nptables.tracing.traversal import actions
from tests.lab.walks.each.match_cases import OF_ENTRIES
from tests.lab.walks.each.recording import Recording, difference
from tests.lab.walks.each.uses import OF_RULES, Use, rules_of, uses

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from tests.lab.walks.each.case import Case

EVERY_MATCH = "every match"
# Answers that cannot differ, in a packet that is whole, new and not being bridged.
ONE_WAY = {
    "-f": "connection tracking puts fragments together before anybody sees them",
    "-p tcp -m tcp --tcp-flags SYN ACK": "a flag that is not looked at is never seen as set",
    "-p icmp -m icmp --icmp-type any": "any type",
    "-m physdev --physdev-is-bridged": "a routed packet is not being bridged",
    "-m statistic --mode nth --every 1 --packet 0": "every packet",
    "-m statistic --mode random --probability 0": "no packet",
    "-m statistic --mode random --probability 1": "every packet",
    "-m recent --set --name ann": "it notes, and always matches",
    "-m comment --comment words": "a comment",
    "-m helper --helper ftp": "a new connection has no helper",
    **{f"! -i lo {words}": "before tracking there is no entry"
       for words in (text.replace("{}", "") for text in OF_ENTRIES)},
    "-m u32 --u32 \"0>>24=0x45\"": "packets here have no IP options",
    "-m u32 --u32 \"0>>24=0x46\"": "packets here have no IP options",
    **{f"-m {o} {s}": "the connection is new" for o in ("state --state", "conntrack --ctstate")
       for s in ("ESTABLISHED", "RELATED")},
    **{f"-m conntrack --ctstatus {s}": "the connection is new"
       for s in ("NONE", "EXPECTED", "SEEN_REPLY", "ASSURED")},
    "-m conntrack --ctdir REPLY": "the connection is new",
    **{f"-m addrtype --dst-type {kind}": "the local table has no such routes"
       for kind in ("UNREACHABLE", "UNSPEC")},
    "-m addrtype --src-type LOCAL,UNICAST": "every source is one of both",
    **{f"-m addrtype --{side}-type UNICAST{limit}": "IPv6: all but groups are"
       for side, limit in (("src", ""), ("src", " --limit-iface-in"),
                           ("dst", " --limit-iface-out"))},
    "-m pkttype --pkt-type broadcast": "IPv6 has no broadcasts",
    "-i cni0": "nothing comes in there",
    "-o cni0": "nothing leaves there",
}  # fmt: skip
# The same of options, wherever they stand.
ONE_WAY_OPTIONS = {
    ("", "-f"): "connection tracking puts fragments together before anybody sees them",
    ("physdev", "--physdev-is-bridged"): "a routed packet is not being bridged",
    ("recent", "--set"): "it notes, and always matches",
    ("connlabel", "--set"): "it sets a label, and matches",
    ("helper", "--helper"): "a new connection has no helper",
}
# What no rule here has, and why.
NOT_RECORDED = {
    "nfacct": "it counts, and needs an object that another program makes",
    HOLDS_MATCH: "the kernel has no such match: a reader writes it for what surely holds",
    "LED": "this needs a lamp",
    "SECMARK": "this needs a security module",
    "ULOG": "the kernel has it no longer",
}


@cache
def recording(family: Family) -> Recording:
    return Recording(family)


def recorded() -> Iterator[tuple[Family, Case]]:
    for family in Family:
        for case in recording(family).cases:
            yield family, case


ALL = list(recorded())


@pytest.mark.parametrize(
    ("family", "case"), ALL, ids=[f"{family.value}: {case.name}" for family, case in ALL]
)
def test_a_packet_fares_as_it_did_in_the_kernel(family: Family, case: Case) -> None:
    found = recording(family)
    rules = Ruleset.from_save(case.text(), family=family)

    assert difference(case, rules, found.node, found.sets) == []


@pytest.mark.parametrize("family", Family)
def test_every_match_held_of_some_packets_and_not_of_others(family: Family) -> None:
    (case,) = (case for case in recording(family).cases if case.name == EVERY_MATCH)
    visited = {(r.table, r.chain, n) for r in case.rows for n in r.met}
    met: dict[str, set[tuple[str, str, int]]] = {}
    chains: dict[str, set[tuple[str, str]]] = {}
    for row in case.rows:
        met.setdefault(row.words, set()).update((row.table, row.chain, n) for n in row.met)
        chains.setdefault(row.words, set()).add((row.table, row.chain))
    seen = {words: {v for v in visited if v[:2] in chains[words]} for words in met}

    negation = re.compile(r"! (?!-i lo -m)")
    one_way = {words for words in met if not met[words] or met[words] == seen[words]}

    plain = {negation.sub("", words) for words in ONE_WAY}
    unexplained = {words for words in one_way if negation.sub("", words) not in plain}
    assert {words for words in unexplained if " -j " not in words} == set()


def test_every_option_of_a_match_held_of_some_packets_and_not_of_others() -> None:
    """A rule of the option, plain or negated, was met by a packet, and not by one that came by."""
    ways: dict[Use, set[bool]] = {}
    for family, case in ALL:
        came: dict[tuple[str, str], set[int]] = {}
        for row in case.rows:
            came.setdefault((row.table, row.chain), set()).update(row.met)
        for rule, row in rules_of(case, family):
            missed = came[row.table, row.chain] - set(row.met)
            for use in uses(rule):
                ways.setdefault(use, set()).update([True] * bool(row.met), [False] * bool(missed))
    both = {use for use, found in ways.items() if found == {True, False}}
    named = {use for use in ways if use.match in MATCHES or not use.match}

    assert {(use.match, use.option) for use in named - both} == set(ONE_WAY_OPTIONS)


def test_every_match_that_the_tracer_knows_is_recorded_with_its_options_plain_and_negated() -> None:
    """What iptables negates beside these, `tests/lab/test_trace_each.py` asks iptables itself."""
    found = {
        use for family, case in ALL for rule, _ in rules_of(case, family) for use in uses(rule)
    }
    wanted = {
        Use(match, option, negated)
        for matches in (HEADER_MATCHES, TRACKING_MATCHES)
        for match, options in matches.items()
        for option in options
        for negated in (False, True)
    }
    wanted |= {
        Use("", option, negated) for option in OF_RULES.values() for negated in (False, True)
    }
    # iptables refuses this one.
    wanted.discard(Use("conntrack", "--ctdir", negated=True))

    assert wanted - found == set()
    assert MATCHES.keys() - {use.match for use in found} - set(NOT_RECORDED) == set()


def test_every_option_that_the_tracer_names_is_in_a_recorded_rule() -> None:
    """Whatever word of a rule decides something in the code, the kernel was asked about it."""
    found = {
        option.name
        for family, case in ALL
        for rule, _ in rules_of(case, family)
        for part in (*rule.matches, *([rule.target] if rule.target else []))
        for option in part.options
    }
    sources = (path for folder in (matching, traversal) for path in _modules(folder))
    literals = {
        node.value
        for path in sources
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    named = {word for word in literals if re.fullmatch(r"--[a-z][a-z0-9-]+", word)}

    assert len(named) > 50
    # An older spelling, and the beginnings of words.
    assert named - found == {"--hashlimit", "--packets", "--bytes"}
    assert all(any(name.startswith(word) for name in found) for word in named - found)


def _modules(package: ModuleType) -> Iterator[Path]:
    yield from Path(str(package.__file__)).parent.glob("*.py")


def test_every_target_that_is_known_is_recorded() -> None:
    rules = (rule for family, case in ALL for rule, _ in rules_of(case, family))
    found = {rule.target.name for rule in rules if rule.target is not None}
    known = {*actions._BUILDERS, *EFFECTLESS, "ACCEPT", "DROP", "RETURN", "REJECT"}

    assert known - found - set(NOT_RECORDED) - {"HL", "TTL", "ECN"} == set()
    assert {"HL", "TTL", "ECN"} <= found
