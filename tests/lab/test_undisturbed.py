"""Connections go on while the rules change."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.lab.laboratory.addresses import (
    FAMILIES,
    NODE1,
    NODE2,
    POD_NETWORK,
    cluster_ip,
)
from tests.lab.laboratory.manifests import PORT, service
from tests.lab.laboratory.probing import Probe

if TYPE_CHECKING:
    from tests.lab.laboratory.lab import Laboratory
    from tests.lab.laboratory.manifests import Object

pytestmark = [pytest.mark.lab, pytest.mark.long]

APPLIES = int(os.environ.get("NPTABLES_LAB_CHANGES", "100"))
CONFIG = {"clusterCIDR": ",".join(POD_NETWORK)}
POD1A, POD1B, *_ = NODE1.pods
POD2A, POD2B, *_ = NODE2.pods


def others(first: int) -> list[Object]:
    """Return Services that come and go."""
    return [
        made
        for number in range(first, first + 6)
        for made in service(
            [POD1B, POD2B],
            name=f"other-{number}",
            number=number,
            protocols=["TCP"],
            type="NodePort",
        )
    ]


# In both the Service keeps two endpoints, and one of three is another.
ONE = [*service([POD1A, POD1B, POD2A], type="NodePort"), *others(10)]
OTHER = [*service([POD1A, POD2B, POD2A], type="NodePort"), *others(13)]


def test_applies_disturb_no_new_and_no_established_connection(lab: Laboratory) -> None:
    lab.apply(ONE, CONFIG, nodes=["node1"])
    ways = [
        probe
        for family in FAMILIES
        for probe in (
            Probe("client", NODE1.address.of(family), 30001),
            Probe("pod1c", cluster_ip(1).of(family), PORT),
            Probe("node1", cluster_ip(1).of(family), PORT),
        )
    ]

    with lab.prober.load(ways, established=12) as reports:
        for number in range(APPLIES):
            said = lab.apply(ONE if number % 2 else OTHER, CONFIG, nodes=["node1"])["node1"]
            assert said.count("chains changed") == len(FAMILIES)

    (report,) = reports
    assert not report.failures
    assert report.counts["kept open"] == 12
    # So many that something was under way at every moment.
    assert report.counts["opened"] > 10 * APPLIES
    assert report.counts["pings"] > 10 * APPLIES
