"""What the library prints is what the kernel holds after it was fed to iptables-restore."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.netns import FAMILIES
from tests.support.requirements import requires
from tests.support.savetext import differences
from tests.support.scenarios import NAMED, Scenario, named_scenario

if TYPE_CHECKING:
    from tests.support.netns import Family, Namespace

pytestmark = pytest.mark.kernel

NFACCT_COUNTERS = ("ct_state_invalid_dropped_pkts", "localhost_nps_accepted_pkts")


def prepare(netns: Namespace, scenario: Scenario) -> None:
    """Make what the rules of a scenario name and kube-proxy expects to find."""
    if scenario.facts["nfacct"]:
        requires("nfacct", "nfacct objects")
        for counter in NFACCT_COUNTERS:
            netns.run(["nfacct", "add", counter])


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", NAMED)
def test_the_kernel_gives_the_save_text_back(name: str, family: Family, netns: Namespace) -> None:
    scenario = named_scenario(name)
    prepare(netns, scenario)
    text = scenario.translated(family)

    netns.restore(text, family)

    difference = differences(text, netns.save(family))
    assert not difference, f"\n{difference}"
