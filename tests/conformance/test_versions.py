"""The rules of every kube-proxy from 1.27 on, against recordings of the real ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nptables import Family
from nptables.incremental import IncrementalTranslator
from tests.support.netns import FAMILIES
from tests.support.savetext import SHARED_CHAINS, differences
from tests.support.versions import RECORDED, recordings

if TYPE_CHECKING:
    pass

COMPARED = [
    (version, name)
    for version in RECORDED
    for name, recording in recordings(version).items()
    if not (recording.error or recording.refused)
]
# One of each feature and version also by way of the translator that follows changes.
STEPWISE = COMPARED[::3]


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
