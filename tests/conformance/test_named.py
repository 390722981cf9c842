from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.netns import FAMILIES
from tests.support.savetext import SHARED_CHAINS, differences
from tests.support.scenarios import NAMED, named_scenario

if TYPE_CHECKING:
    from tests.support.netns import Family


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", NAMED)
def test_each_feature_gives_the_rules_that_kube_proxy_programmed(name: str, family: Family) -> None:
    scenario = named_scenario(name)

    difference = differences(
        scenario.dumps[family], scenario.translated(family), shared=SHARED_CHAINS
    )

    assert not difference, f"\n{difference}"


def test_the_recordings_are_all_there() -> None:
    assert len(NAMED) == 73
