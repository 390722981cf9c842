"""Rules that are only written differently: packets notice nothing."""

from __future__ import annotations

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
    """Whether nobody notices anything, surely."""
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
