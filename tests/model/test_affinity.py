"""How long a client stays with its endpoint, where the Service says so wrongly.

An API server refuses what is not within 1 and 86400 seconds (ValidateServiceSessionAffinityConfig);
without a time it is 10800 (DefaultClientIPServiceAffinitySeconds).
"""

from __future__ import annotations

import pytest

from nptables import Cluster, InvalidInput
from tests.support.clusters import service


def cluster(seconds: int | None, *, lenient: bool) -> Cluster:
    raw = service(
        sessionAffinity="ClientIP",
        **(
            {}
            if seconds is None
            else {"sessionAffinityConfig": {"clientIP": {"timeoutSeconds": seconds}}}
        ),
    )
    return Cluster.from_objects([raw], lenient=lenient)


def affinity(seconds: int | None) -> int:
    (found,) = cluster(seconds, lenient=True).services.values()
    return found.session_affinity_seconds


@pytest.mark.parametrize(
    ("given", "taken"),
    [(1, 1), (86400, 86400), (None, 10800), (0, 10800), (-1, 10800), (86401, 10800)],
)
def test_a_stored_time_out_of_range_is_the_usual_one(given: int | None, taken: int) -> None:
    assert affinity(given) == taken


@pytest.mark.parametrize("seconds", [0, -1, 86401])
def test_a_time_out_of_range_in_a_manifest_is_refused(seconds: int) -> None:
    with pytest.raises(InvalidInput, match="from 1 to 86400 seconds"):
        cluster(seconds, lenient=False)
