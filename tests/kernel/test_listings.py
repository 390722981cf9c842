"""What `iptables -L` prints of everything kube-proxy was recorded to do, read back to the rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest

from nptables import Family, Ruleset
from nptables.iptables.rule import Rule
from nptables.kernel.node.nfacct import COUNTERS
from nptables.sources import evidence_in
from tests.support.netns import FAMILIES, LOCK_WAIT
from tests.support.requirements import requires
from tests.support.scenarios import NAMED, named_scenario

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support import netns as support
    from tests.support.netns import Namespace

pytestmark = pytest.mark.kernel


def listing(netns: Namespace, family: support.Family, options: str, tables: list[str]) -> str:
    """All tables, one behind the other, each behind the command that prints it."""
    program = netns.program(family)
    parts = []
    for table in tables:
        shown = netns.run([program, "-w", LOCK_WAIT, "-t", table, options]).stdout
        parts.append(f"node-a# {program} -t {table} {options}\n{shown}")
    return "\n".join(parts)


def lines_of(ruleset: Ruleset) -> Mapping[tuple[str, str], tuple[str, ...]]:
    """The rules of every chain, by table and chain."""
    return {
        (table.name, chain): lines
        for table in ruleset.tables.values()
        for chain, lines in table.chains.items()
    }


def without_interfaces(line: str, family: Family) -> str:
    """The line without what a listing without -v does not show."""
    rule = Rule.parse(line, family)
    return attrs.evolve(rule, in_interface=None, out_interface=None).render()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_listing_of_each_scenario_is_read_as_its_dump(
    family: support.Family, netns: Namespace
) -> None:
    """With -v line for line, without it all but the interfaces, and that is said."""
    requires("nfacct", "nfacct objects")
    for counter in COUNTERS:
        netns.run(["nfacct", "add", counter])
    for name in NAMED:
        netns.restore(named_scenario(name).dumps[family], family)
        saved = Ruleset.from_save(netns.save(family), family=Family[family])
        tables = list(saved.tables)

        long = evidence_in(listing(netns, family, "-nvL", tables))
        short = evidence_in(listing(netns, family, "-nL", tables))

        (ruleset,) = long.of(Family[family])
        assert lines_of(saved) == lines_of(ruleset), name
        assert netns.backend == ruleset.backend
        assert (frozenset(), frozenset()) == (ruleset.unshown.open, ruleset.unshown.interfaces)
        assert {"raw", "security", "mangle"} >= ruleset.unshown.tables

        (ruleset,) = short.of(Family[family])
        expected = {
            place: tuple(without_interfaces(line, Family[family]) for line in lines)
            for place, lines in lines_of(saved).items()
        }
        assert expected == lines_of(ruleset), name
        assert ruleset.tables.keys() == ruleset.unshown.interfaces
        assert frozenset() == ruleset.unshown.open
