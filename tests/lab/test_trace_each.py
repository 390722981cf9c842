"""Every match and target that the tracer knows, plain and negated, in the kernel of the machine.

The recordings are what `tests/tracing/test_each_match.py` holds the tracer to; here both are held
to the kernel, and the tracer to the rules as each backend prints them.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import attrs
import pytest

from nptables import Ruleset
from nptables.family import Family
from tests.lab.walks.each.recording import Recording, difference, played
from tests.lab.walks.each.uses import Use, rules_of, turned_round, uses
from tests.lab.walks.network import fill_sets, net
from tests.lab.walks.wire import Wire
from tests.support.netns import BACKENDS, remove_orphans
from tests.support.requirements import requires

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nptables.iptables.rule import Rule
    from tests.lab.walks.each.case import Case
    from tests.lab.walks.network import Net

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module", params=BACKENDS)
def node(request: pytest.FixtureRequest) -> Iterator[Net]:
    requires("root", "netns", request.param, "nft", "ipset", "ip", "conntrack")
    remove_orphans()
    with net(request.param) as made:
        yield made


def _sure(case: Case) -> tuple[list[tuple[str, list[int]]], list[list[list[str | int]]]]:
    """What the kernel does every time: not where it draws a port, an address or a lot."""
    seen = [[[s[0], *s[3:]] for s in found] for found in case.seen]
    ranges = "-" in case.name.rpartition(" ")[2] and "NAT" in case.name
    return [(row.words, row.met) for row in case.rows], [] if ranges else seen


@pytest.mark.long
@pytest.mark.parametrize("family", Family)
def test_the_kernel_and_the_tracer_do_what_is_recorded(node: Net, family: Family) -> None:
    recording = Recording(family)
    sets, facts = fill_sets(node, family), node.facts()
    wrong = []
    with closing(Wire(node)) as wire:
        for case in recording.cases:
            found = played(node, wire, case)
            if not case.open and _sure(found) != _sure(case):
                wrong.append(f"{case.name}: {_sure(found)}, recorded {_sure(case)}")
            printed = Ruleset.from_save(node.save(family), family=family)
            wrong += [f"{case.name}: {text}" for text in difference(found, printed, facts, sets)]

    assert wrong == []


@pytest.mark.parametrize("family", Family)
def test_whatever_iptables_negates_is_recorded_plain_and_negated(node: Net, family: Family) -> None:
    """No list says which options those are: iptables is given each of them the other way round."""
    fill_sets(node, family)
    recorded: dict[Use, tuple[str, Rule]] = {}
    for case in Recording(family).cases:
        for rule, row in rules_of(case, family):
            for use in uses(rule):
                recorded.setdefault(use, (row.table, attrs.evolve(rule, target=None)))
    lacking = []
    for use, (table, rule) in recorded.items():
        if use._replace(negated=not use.negated) in recorded:
            continue
        other = _printed(node, family, table, turned_round(rule, use))
        if other not in ([], _printed(node, family, table, rule)):
            lacking.append((use, other))

    assert len(recorded) > 100
    assert lacking == []


def _printed(network: Net, family: Family, table: str, rule: Rule) -> list[str]:
    """The rule as iptables prints it, or nothing where it is refused."""
    try:
        network.restore(family, f"*{table}\n{rule.render()}\nCOMMIT\n")
    except AssertionError:
        return []
    return [*Ruleset.from_save(network.save(family), family=family).lines(table, rule.chain)]
