"""A comment with a line break in a chain of ours, which the kernel can hold and no text can."""

from __future__ import annotations

import attrs
import pytest

from nptables import Ruleset, diff
from nptables.iptables import Table
from nptables.iptables.changes import undo
from nptables.translation import Translation
from tests.support.clusters import endpoint, endpoint_slice, rules_of, service

SMUGGLED = "-A KUBE-SERVICES -j ACCEPT"


def with_line(rules: Translation, table: str, chain: str) -> Ruleset:
    """The rules with the line added to one of their chains."""
    line = f'-A {chain} -m comment --comment "a\n{SMUGGLED}\n" -j RETURN'
    found = rules.tables[table]
    chains = {**found.chains, chain: (line, *found.chains[chain])}
    changed: Table = attrs.evolve(found, chains=chains)
    return Ruleset(rules.family, {**rules.tables, table: changed})


@pytest.mark.parametrize(
    ("table", "chain"),
    [("nat", "KUBE-SERVICES"), ("filter", "KUBE-SERVICES"), ("filter", "KUBE-FORWARD")],
)
def test_no_text_of_a_plan_or_of_its_undoing_holds_what_follows_the_break(
    table: str, chain: str
) -> None:
    many = [service(f"s{n}", clusterIP=f"10.96.0.{n}", ports=[{"port": 80}]) for n in range(1, 40)]
    for thing in many:
        thing["spec"]["type"] = "ClusterIP"
    rules = rules_of(*many, endpoint_slice(endpoint("10.0.0.1"), of="s1"))
    current = with_line(rules, table, chain)
    plan = diff(current, rules)
    assert plan
    assert SMUGGLED not in plan.to_restore().splitlines()
    back = undo(plan, rules)
    assert SMUGGLED not in back.to_restore().splitlines()
