"""The namespaces of these tests are separate, take rules, and go away."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.netns import FAMILIES, network_namespace
from tests.support.requirements import requires
from tests.support.savetext import differences
from tests.support.scenarios import named_scenario

if TYPE_CHECKING:
    from tests.support.netns import Family, Namespace

pytestmark = pytest.mark.kernel


@pytest.mark.parametrize("family", FAMILIES)
def test_a_recording_fed_to_the_kernel_comes_back(family: Family, netns: Namespace) -> None:
    recorded = named_scenario("nodeport-affinity-local-policy").dumps[family]

    netns.restore(recorded, family)

    assert not differences(recorded, netns.save(family))


def test_programs_run_inside_the_namespace(netns: Namespace) -> None:
    assert netns.run(["ip", "netns", "identify"]).stdout.strip() == netns.name


def test_a_namespace_is_removed_when_the_test_in_it_fails() -> None:
    requires("root", "netns")
    paths = []

    def fail_with_a_process_left_inside() -> None:
        with network_namespace("nft") as namespace:
            paths.append(Path("/run/netns", namespace.name))
            assert paths[0].exists()
            namespace.run(["sh", "-c", "sleep 600 >&- 2>&- & exit 3"])

    with pytest.raises(AssertionError, match="exit code 3"):
        fail_with_a_process_left_inside()

    assert not paths[0].exists()
