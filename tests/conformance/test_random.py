from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.netns import FAMILIES
from tests.support.savetext import SHARED_CHAINS, differences
from tests.support.scenarios import random_scenarios

if TYPE_CHECKING:
    from tests.support.netns import Family


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", random_scenarios())
def test_mixed_features_give_the_rules_that_kube_proxy_programmed(
    name: str, family: Family
) -> None:
    scenario = random_scenarios()[name]

    difference = differences(
        scenario.dumps[family], scenario.translated(family), shared=SHARED_CHAINS
    )

    assert not difference, f"\n{difference}"


def test_the_recordings_are_all_there() -> None:
    assert len(random_scenarios()) == 191
