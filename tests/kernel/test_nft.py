"""What the nft of this machine prints of everything kube-proxy was recorded to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nptables import Family, Ruleset, diff
from nptables.iptables.unshown import UNREAD_TARGET
from nptables.kernel.node.nfacct import COUNTERS
from nptables.sources import evidence_in
from tests.support.netns import FAMILIES
from tests.support.nft import fault
from tests.support.requirements import requires
from tests.support.scenarios import NAMED, named_scenario

if TYPE_CHECKING:
    from tests.support.netns import Namespace

pytestmark = pytest.mark.kernel


@pytest.mark.long
@pytest.mark.parametrize("options", [[], ["-j"], ["-a", "-n", "-s"]])
def test_what_nft_prints_of_each_scenario_is_read_as_its_dump(
    options: list[str], netns: Namespace
) -> None:
    """Every rule says what the dump says or is open, and nothing of it is drift."""
    if netns.backend != "nft":
        return
    requires("nfacct", "nfacct objects")
    for counter in COUNTERS:
        netns.run(["nfacct", "add", counter])
    for name in NAMED[::9] if options else NAMED:
        for family in FAMILIES:
            netns.restore(named_scenario(name).dumps[family], family)
        found = evidence_in(netns.run(["nft", *options, "list", "ruleset"]).stdout)
        for family in FAMILIES:
            saved = Ruleset.from_save(netns.save(family), family=Family[family])
            (ruleset,) = found.of(Family[family])
            assert ruleset.backend == "nft"
            assert (frozenset(), frozenset()) == (ruleset.unshown.open, ruleset.unshown.tables)
            for table in saved.tables.values():
                read = ruleset.tables[table.name]
                assert table.chains.keys() == read.chains.keys()
                assert table.policies == read.policies
                for chain, lines in table.chains.items():
                    faults = [
                        fault(line, mine, Family[family])
                        for line, mine in zip(lines, read.chains[chain], strict=True)
                    ]
                    assert [""] * len(lines) == faults, (name, chain)
            desired = named_scenario(name).rules(family)
            assert bool(diff(saved, desired)) == bool(diff(ruleset, desired)), name


def test_a_rule_of_nfts_own_beside_those_of_iptables_is_open(netns: Namespace) -> None:
    if netns.backend != "nft":
        return
    netns.restore("*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -i lo -j ACCEPT\nCOMMIT\n", "IPV4")
    netns.run(["nft", "add set ip filter s { type ipv4_addr; elements = { 10.0.0.1 } }"])
    netns.run(["nft", "add rule ip filter INPUT ip saddr @s drop"])
    netns.run(["nft", "add rule ip filter INPUT ip protocol vmap { tcp : drop }"])
    netns.run(["nft", "add table inet other"])
    netns.run(["nft", "add chain inet other i { type filter hook input priority 0; }"])

    found = evidence_in(netns.run(["nft", "list", "ruleset"]).stdout)

    (ruleset,) = found.of(Family.IPV4)
    first, second, third = ruleset.lines("filter", "INPUT")
    assert first == "-A INPUT -i lo -j ACCEPT"
    assert second == '-A INPUT -m unread --words "ip saddr @s" -j DROP'
    assert f"-j {UNREAD_TARGET} " in third
    assert found.native is not None
    assert {"family": "inet", "name": "other"} in [entry.get("table") for entry in found.native]
