"""The rules of every kube-proxy from 1.27 on, against recordings of the real ones."""

from __future__ import annotations

import pytest

from nptables import Family, InvalidInput
from nptables.incremental import IncrementalTranslator
from tests.support.netns import FAMILIES
from tests.support.savetext import SHARED_CHAINS, differences
from tests.support.versions import RECORDED, recordings

COMPARED = [
    (version, name)
    for version in RECORDED
    for name, recording in recordings(version).items()
    if not (recording.error or recording.refused)
]
# A third of them also by way of the translator that follows changes.
STEPWISE = COMPARED[::3]
REFUSED = [
    (version, name)
    for version in RECORDED
    for name, recording in recordings(version).items()
    if recording.error
]
BROKEN = [
    (version, name)
    for version in RECORDED
    for name, recording in recordings(version).items()
    if recording.refused
]


@pytest.mark.parametrize(("version", "name"), COMPARED)
def test_each_version_gives_the_rules_that_it_programmed(version: str, name: str) -> None:
    scenario = recordings(version)[name].scenario

    for family in FAMILIES:
        difference = differences(
            scenario.dumps[family], scenario.translated(family), shared=SHARED_CHAINS
        )

        assert not difference, f"\n{difference}"


@pytest.mark.parametrize(("version", "name"), STEPWISE)
def test_following_changes_gives_the_same_rules_for_each_version(version: str, name: str) -> None:
    scenario = recordings(version)[name].scenario
    node = scenario.cluster.node(scenario.node, facts=scenario.facts)

    for family in Family:
        follower = IncrementalTranslator.of(scenario.cluster, node, scenario.proxy_config, family)

        assert scenario.translated(family.name) == follower.translation().to_save()


@pytest.mark.parametrize(("version", "name"), REFUSED)
def test_what_a_version_refuses_is_an_error_that_says_since_when_it_works(
    version: str, name: str
) -> None:
    with pytest.raises(InvalidInput, match=r"primary needs kube-proxy 1\.31 or later"):
        _ = recordings(version)[name].scenario.proxy_config


@pytest.mark.parametrize(("version", "name"), BROKEN)
def test_what_makes_kube_proxy_itself_fail_is_left_out_and_said(version: str, name: str) -> None:
    """The kernel takes all of it but for the endpoint whose address it refused."""
    scenario = recordings(version)[name].scenario

    warnings = [
        notice
        for family in FAMILIES
        for notice in scenario.rules(family).warnings
        if notice.code == "breaks-restore"
    ]

    assert warnings
    said = f"kube-proxy {version} itself would fail to program any rule"
    assert all(said in str(notice) for notice in warnings)
    text = scenario.translated("IPV4") + scenario.translated("IPV6")
    assert "::ffff:10." not in text
    assert "010." not in text
