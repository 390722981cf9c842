"""How connections spread over endpoints."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.lab.laboratory.addresses import FAMILIES, NODE1, NODE2, PODS, cluster_ip
from tests.lab.laboratory.manifests import PORT, service
from tests.lab.laboratory.probing import PATIENT, Probe

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from tests.lab.laboratory.lab import Laboratory

pytestmark = pytest.mark.lab

CONNECTIONS = 10_000
# Where the chi-square distribution leaves 0.001 to the right, by degrees of freedom; from the
# tables in any textbook.
CRITICAL = {2: 13.816, 9: 27.877}
ENDPOINTS = {3: (NODE1.pods[0], *NODE2.pods[:2]), 10: PODS}


@pytest.mark.parametrize("number", ENDPOINTS)
def test_connections_spread_evenly_over_the_endpoints(lab: Laboratory, number: int) -> None:
    lab.apply(service(ENDPOINTS[number], type="NodePort"))
    names = [endpoint.name for endpoint in ENDPOINTS[number]]

    statistic = chi_square(connect(lab), names)
    if statistic >= CRITICAL[number - 1]:
        # One in a thousand fair draws does this; two in a row, one in a million.
        statistic = chi_square(connect(lab), names)

    assert statistic < CRITICAL[number - 1]


def connect(lab: Laboratory) -> Mapping[str, int]:
    """Count which endpoints answer 10,000 TCP connections, by two ways and in both families."""
    ways = [
        probe
        for family in FAMILIES
        for probe in (
            Probe("client", NODE1.address.of(family), 30001),
            Probe("pod2a", cluster_ip(1).of(family), PORT),
        )
    ]
    answers = lab.prober.probe_all(ways * (CONNECTIONS // len(ways)), patience=PATIENT)
    assert {answer.outcome for answer in answers} == {"answered"}
    assert len(answers) == CONNECTIONS
    return Counter(answer.endpoint for answer in answers)


def chi_square(counts: Mapping[str, int], names: Collection[str]) -> float:
    """Return Pearson's statistic against an equal share for each name."""
    assert counts.keys() <= set(names), counts
    share = sum(counts.values()) / len(names)
    return sum((counts.get(name, 0) - share) ** 2 / share for name in names)


def test_the_measure_tells_even_from_uneven() -> None:
    # By hand: (10^2 + 10^2 + 0) / 100 = 2, and (3333-3033)^2 / 3333.3 twice and nearly 0 = 54.
    assert chi_square({"a": 110, "b": 90, "c": 100}, "abc") == pytest.approx(2)
    assert chi_square({"a": 3633, "b": 3033, "c": 3334}, "abc") > CRITICAL[2]
    assert chi_square({"a": 5000, "b": 5000}, "abc") > CRITICAL[2]
