"""Plans from tables of which only parts were read bring about what plans from the whole do."""

from __future__ import annotations

import itertools

import attrs
import pytest

from nptables import Family, Ruleset, diff
from nptables.iptables import Ownership
from nptables.iptables.changes import steps
from nptables.iptables.changes.steps import steps_of
from nptables.testing import FakeKernel
from nptables.translation.owned import cleanup_ownership, ownership
from tests.kernel.nodes import rules_of

# From each of these to the next: every kind of chain, affinity, source ranges, none at all.
NAMES = (
    "nodeport-cluster-policy", "nodeport-affinity-local-policy", "loadbalancer-source-ranges",
    "no-services", "ten-endpoints", "external-ips", "nodeport-no-endpoints", "clusterip",
)  # fmt: skip
FOREIGN = "*nat\n:MINE - [0:0]\n-A MINE -j RETURN\n-A POSTROUTING -j MINE\nCOMMIT\n"


def without_service_chains(ruleset: Ruleset, owner: Ownership) -> Ruleset:
    """What is left where the chains of service ports, and those of others, were not read."""
    tables = {}
    for name, table in ruleset.tables.items():
        fixed = {*owner.chains.get(name, ()), *owner.ensured.get(name, ()), *table.policies}
        read = {chain: lines for chain, lines in table.chains.items() if chain in fixed}
        unread = frozenset(table.chains.keys() - read.keys())
        tables[name] = attrs.evolve(table, chains=read, unread=unread)
    return attrs.evolve(ruleset, tables=tables)


@pytest.mark.parametrize("piece", [None, 3])
@pytest.mark.parametrize(("old", "new"), [*itertools.pairwise(NAMES)])
def test_what_was_not_read_is_written_anew_or_deleted(
    old: str, new: str, piece: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "PIECE_IN_USE", 2)
    before, desired = rules_of(old), rules_of(new)
    kernel = FakeKernel(save=before.to_save(), nfacct=_counters(), piece=piece)
    kernel.restore(FOREIGN)
    parts = without_service_chains(kernel.read(), ownership())
    assert parts.partial

    kernel.commit(steps_of(diff(parts, desired), piece=piece))

    assert not diff(kernel.read(), desired)
    assert kernel.read().lines("nat", "MINE") == ("-A MINE -j RETURN",)


@pytest.mark.parametrize("piece", [None, 3])
@pytest.mark.parametrize("name", NAMES)
def test_all_of_ours_goes_though_nobody_read_it(name: str, piece: int | None) -> None:
    kernel = FakeKernel(save=rules_of(name).to_save(), nfacct=_counters(), piece=piece)
    kernel.restore(FOREIGN)
    owner, nothing = cleanup_ownership(), Ruleset(Family.IPV4, {})
    parts = without_service_chains(kernel.read(), owner)

    kernel.commit(steps_of(diff(parts, nothing, ownership=owner), piece=piece))

    left = [c for t in kernel.read().tables.values() for c in t.chains if c.startswith("KUBE-")]
    assert left in ([], ["KUBE-FIREWALL"])
    assert kernel.read().lines("nat", "MINE") == ("-A MINE -j RETURN",)


def test_a_chain_that_has_to_exist_and_was_not_read_is_not_made() -> None:
    """It is there, and others may have rules in it."""
    desired = rules_of("nodeport-cluster-policy")
    firewall = attrs.evolve(ownership(), ensured={"filter": frozenset({"KUBE-FIREWALL"})})
    whole = attrs.evolve(desired, tables=dict(desired.tables))
    kernel = FakeKernel(save=desired.to_save(), nfacct=_counters())
    table = kernel.read().tables["filter"]
    parts = attrs.evolve(
        kernel.read(),
        tables={
            **kernel.read().tables,
            "filter": attrs.evolve(
                table,
                chains={c: v for c, v in table.chains.items() if c != "KUBE-FIREWALL"},
                unread=frozenset({"KUBE-FIREWALL"}),
            ),
        },
    )
    assert not diff(parts, whole, ownership=firewall)


def _counters() -> tuple[str, ...]:
    return ("ct_state_invalid_dropped_pkts", "localhost_nodeports_accepted_packets")
