"""Nothing is proposed about what other programs keep in the tables."""

from __future__ import annotations

import pytest

from nptables import Family, Ruleset, diff
from nptables.translation.owned import cleanup_ownership, ownership
from tests.kernel.nodes import rules_of
from tests.support.dumps import Dump, dumps


def owned_before(dump: Dump) -> set[str]:
    """Chains in a dump that are kube-proxy's by their names."""
    owner = cleanup_ownership()
    ruleset = Ruleset.from_save(dump.text, family=dump.family)
    return {
        chain
        for table in ruleset.tables.values()
        for chain in table.chains
        if owner.owns_chain(table.name, chain)
    }


@pytest.mark.parametrize("dump", dumps(), ids=str)
def test_a_plan_on_top_of_other_programs_only_adds(dump: Dump) -> None:
    current = Ruleset.from_save(dump.text, family=dump.family)
    desired = rules_of("nodeport-cluster-policy", dump.family)
    ours = owned_before(dump)

    plan = diff(current, desired)

    for name, table in plan.tables.items():
        assert set(table.delete) <= ours
        assert set(table.rewrite) <= ours
        for line in table.remove:
            assert line in desired.ownership.jumps[name]
        assert set(table.create) <= set(desired.tables[name].chains)
        assert {i.line for i in table.insert} <= set(desired.ownership.jumps[name])


def test_the_kubelets_rules_in_its_firewall_chain_stay_beside_ours() -> None:
    kubelet = next(dump for dump in dumps() if dump.name == "kubelet.nft.ipv4")
    current = Ruleset.from_save(kubelet.text)
    desired = rules_of("nodeport-cluster-policy")
    assert current.lines("filter", "KUBE-FIREWALL") != desired.lines("filter", "KUBE-FIREWALL")
    (ours,) = desired.lines("filter", "KUBE-FIREWALL")
    without = Ruleset.from_save(kubelet.text.replace(f"{ours}\n", ""))

    assert "KUBE-FIREWALL" not in diff(current, desired).tables["filter"].changes
    change = diff(without, desired).tables["filter"].changes["KUBE-FIREWALL"]
    assert (change.kind, change.added, change.removed) == ("edit", (ours,), ())


@pytest.mark.parametrize("dump", dumps(), ids=str)
def test_cleaning_up_beside_other_programs_touches_nothing_of_theirs(dump: Dump) -> None:
    current = Ruleset.from_save(dump.text, family=dump.family)
    ours = owned_before(dump)

    plan = diff(current, Ruleset(dump.family, {}), ownership=cleanup_ownership())

    for table in plan.tables.values():
        assert {*table.delete, *table.rewrite} <= ours
        assert all("KUBE-" in line and "-j KUBE-FIREWALL" not in line for line in table.remove)


@pytest.mark.parametrize(
    ("table", "chain", "ours"),
    [
        ("nat", "KUBE-SERVICES", True),
        ("nat", "KUBE-SVC-ABCDEFGHIJKLMN23", True),
        ("nat", "KUBE-SVC-ABCDEFGHIJKLMN2", False),
        ("nat", "KUBE-SVC-ABCDEFGHIJKLMN01", False),
        ("nat", "KUBE-SVC-ABCDEFGHIJKLMN234", False),
        ("filter", "KUBE-SVC-ABCDEFGHIJKLMN23", False),
        ("nat", "KUBE-ROUTER-SERVICES", False),
        ("filter", "KUBE-POD-FW-ABCDEFGHIJKLMN23", False),
        ("filter", "KUBE-NWPLCY-ABCDEFGHIJKLMN23", False),
        ("mangle", "KUBE-IPTABLES-HINT", False),
        ("mangle", "KUBE-KUBELET-CANARY", False),
        ("nat", "KUBE-PROXY-CANARY", False),
        ("filter", "KUBE-FIREWALL", False),
    ],
)
def test_exactly_our_names_are_ours(table: str, chain: str, ours: bool) -> None:  # noqa: FBT001
    assert ownership().owns_chain(table, chain) is ours


def test_cleanup_owns_the_canaries_and_not_the_kubelets_chains() -> None:
    owner = cleanup_ownership()

    for table in ("nat", "filter", "mangle"):
        assert owner.owns_chain(table, "KUBE-PROXY-CANARY")
        assert not owner.owns_chain(table, "KUBE-KUBELET-CANARY")
        assert not owner.owns_chain(table, "KUBE-FIREWALL")
    assert not any("KUBE-FIREWALL" in line for lines in owner.jumps.values() for line in lines)


def test_a_canary_is_left_alone_by_a_comparison() -> None:
    dump = (
        rules_of("nodeport-cluster-policy")
        .to_save()
        .replace("*nat\n", "*nat\n:KUBE-PROXY-CANARY - [0:0]\n")
    )

    assert diff(Ruleset.from_save(dump), rules_of("nodeport-cluster-policy")).empty
    assert Family.IPV4 is Ruleset.from_save(dump).family
