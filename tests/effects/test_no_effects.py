"""Rules that are only written differently: packets notice nothing."""

from __future__ import annotations

import re

import pytest

from nptables import Family, ProxyConfig, Ruleset, compare_effects
from nptables.effects import Effects, NodeState
from nptables.translation.explanation.versions import changes_by_habit
from tests.support.scenarios import NAMED, Scenario, named_scenario
from tests.support.versions import recordings

_BOTH = (Family.IPV4, Family.IPV6)


def state(scenario: Scenario, text: str, family: Family) -> NodeState:
    """A dump of the node of a scenario."""
    node = scenario.cluster.node(scenario.node, facts=scenario.facts)
    return NodeState(Ruleset.from_save(text, family=family), node, scenario.cluster)


def between(scenario: Scenario, before: str, after: str, family: Family) -> Effects:
    """What packets notice of two dumps of the node of a scenario."""
    return compare_effects(state(scenario, before, family), state(scenario, after, family))


def noticed(scenario: Scenario, version: str, family: Family) -> bool:
    """Whether docs/versions.md says that packets notice what the version does otherwise here."""
    node = scenario.cluster.node(scenario.node, facts=scenario.facts)
    old = ProxyConfig.from_kube_proxy(scenario.config, version=version)
    changes = changes_by_habit(scenario.cluster, node, old, scenario.proxy_config, family)
    return any(not change.habit.means.startswith("Nothing") for change in changes)


def silent(found: Effects) -> bool:
    """Whether it is certain that no packet is treated differently."""
    return not found.effects and not found.unknown


@pytest.mark.parametrize("version", ["1.27", "1.28", "1.29", "1.30"])
def test_what_packets_do_not_notice_of_an_old_version_is_no_effect(version: str) -> None:
    """The recorded rules of an old kube-proxy beside those of 1.36, of every named scenario."""
    compared = 0
    for name, old in recordings(version).items():
        if name not in NAMED or old.error or old.refused:
            continue
        new = named_scenario(name)
        for family in _BOTH:
            if noticed(new, version, family):
                continue
            found = between(new, old.scenario.dumps[family.name], new.dumps[family.name], family)
            assert silent(found), f"{name} {family.value}: {found}"
            compared += 1
    assert compared > 100


@pytest.mark.parametrize("name", NAMED)
def test_a_dump_beside_its_own_rendering_has_no_effect(name: str) -> None:
    """What kube-proxy programmed, and what is rendered for the same cluster."""
    scenario = named_scenario(name)
    for family in _BOTH:
        dump = scenario.dumps[family.name]
        assert silent(between(scenario, dump, scenario.translated(family.name), family))


def test_the_two_backends_have_no_effect_beside_each_other() -> None:
    """nft prints chains in another order than legacy, and both have the same rules."""
    scenario = named_scenario("nodeport-multi-port-protocols")
    dump = scenario.dumps["IPV4"]
    lines = dump.split("\n")
    start, end = lines.index("*nat"), lines.index("COMMIT", lines.index("*nat"))
    nat = lines[start : end + 1]
    declared = sorted((n for n in nat if n.startswith(":")), reverse=True)
    rules = sorted((n for n in nat if n.startswith("-A ")), key=lambda n: n.split()[1])[::-1]
    chains: dict[str, list[str]] = {}
    for rule in reversed(rules):
        chains.setdefault(rule.split()[1], [])
    for rule in (n for n in nat if n.startswith("-A ")):
        chains[rule.split()[1]].append(rule)
    turned = ["*nat", *declared, *(r for name in chains for r in chains[name]), "COMMIT"]
    other = "\n".join([*lines[:start], *turned, *lines[end + 1 :]])
    assert other != dump

    found = between(scenario, dump, other, Family.IPV4)

    assert silent(found)
    assert found.cosmetic == 0


def test_the_order_of_services_in_shared_chains_means_nothing() -> None:
    """All rules of KUBE-SERVICES but the last, and all of KUBE-NODEPORTS, the other way round."""
    scenario = named_scenario("nodeport-multi-port-protocols")
    dump = scenario.dumps["IPV4"]
    lines = dump.split("\n")
    nat = range(lines.index("*nat"), lines.index("COMMIT", lines.index("*nat")))
    for chain in ("KUBE-SERVICES", "KUBE-NODEPORTS"):
        places = [
            n for n in nat
            if lines[n].startswith(f"-A {chain} ") and "must be the last rule" not in lines[n]
        ]  # fmt: skip
        turned = [lines[n] for n in reversed(places)]
        for place, line in zip(places, turned, strict=True):
            lines[place] = line
    other = "\n".join(lines)
    assert other != dump

    found = between(scenario, dump, other, Family.IPV4)

    assert silent(found)
    assert found.same > 0


def test_a_large_cluster_without_comments_has_no_effect_beside_itself_with_them() -> None:
    """What kube-proxy leaves out above 1,000 endpoints are comments, and only those."""
    scenario = named_scenario("large-cluster-no-comments")
    dump = scenario.dumps["IPV4"]
    other = re.sub(
        r"(-A KUBE-(?:SVC|SEP)-\S+ (?:-s \S+ )?)(-m|-j)",
        r'\1-m comment --comment "default/web -> somewhere" \2',
        dump,
    )
    assert other.count("--comment") > dump.count("--comment") + 1000

    found = between(scenario, dump, other, Family.IPV4)

    assert silent(found)
    assert found.cosmetic > 0


def test_other_names_of_chains_and_another_mark_have_no_effect() -> None:
    """As an old kube-proxy calls them, or one with another masqueradeBit."""
    scenario = named_scenario("nodeport-affinity-local-policy")
    dump = scenario.dumps["IPV4"]
    for old, new in (("KUBE-SV", "KUBE-XL"), ("0x4000", "0x20"), ("KUBE-SEP-", "KUBE-END-")):
        assert old in dump

        found = between(scenario, dump, dump.replace(old, new), Family.IPV4)

        assert silent(found), old
        assert found.cosmetic > 0
