"""Clients of a Service with session affinity stay with their endpoint."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.lab.laboratory.addresses import (
    CLIENT,
    FAMILIES,
    NODE1,
    OTHER_CLIENTS,
    POD_NETWORK,
    PODS,
    cluster_ip,
)
from tests.lab.laboratory.manifests import PORT, service
from tests.lab.laboratory.probing import PATIENT, Probe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.lab.laboratory.addresses import Host
    from tests.lab.laboratory.lab import Laboratory
    from tests.lab.laboratory.manifests import Object

pytestmark = pytest.mark.lab

CONFIG = {"clusterCIDR": ",".join(POD_NETWORK)}
IN_A_ROW = 15
UNRELATED_APPLIES = 20
# From outside and from a pod, in both families.
WAYS = tuple(
    probe
    for family in FAMILIES
    for probe in (
        Probe("client", NODE1.address.of(family), 30001),
        Probe("pod1a", cluster_ip(1).of(family), PORT),
    )
)
# Clients that differ in their address.
CROWD = tuple(
    Probe("client", NODE1.address.of(family), 30001, source_address=address.of(family))
    for family in FAMILIES
    for address in (CLIENT.address, *OTHER_CLIENTS)
)


def sticky(endpoints: Sequence[Host] = PODS, *, seconds: int = 10800, **spec: Any) -> list[Object]:
    return service(
        endpoints,
        type="NodePort",
        sessionAffinity="ClientIP",
        sessionAffinityConfig={"clientIP": {"timeoutSeconds": seconds}},
        **spec,
    )


def ask(lab: Laboratory, probe: Probe) -> str:
    (answer,) = lab.prober.probe_all([probe], patience=PATIENT)
    assert answer.outcome == "answered"
    return answer.endpoint


@pytest.mark.parametrize("protocol", ["tcp", "udp", "sctp"])
def test_requests_in_a_row_reach_one_endpoint(lab: Laboratory, protocol: str) -> None:
    lab.apply(sticky(), CONFIG)

    for way in WAYS:
        probe = Probe(way.source, way.destination, way.port, protocol)
        assert len({ask(lab, probe) for _ in range(IN_A_ROW)}) == 1


def test_without_affinity_requests_in_a_row_reach_several_endpoints(lab: Laboratory) -> None:
    lab.apply(service(PODS, type="NodePort"), CONFIG)

    for way in WAYS:
        assert len({ask(lab, way) for _ in range(IN_A_ROW)}) > 1


def test_after_the_timeout_another_endpoint_may_answer(lab: Laboratory) -> None:
    lab.apply(sticky(seconds=1), CONFIG)
    before = [ask(lab, client) for client in CROWD]

    time.sleep(1.2)

    # Were the choice not free again, all would stay; if it is, one in 10^10 times they do.
    assert [ask(lab, client) for client in CROWD] != before


def test_an_endpoint_that_goes_away_is_left_for_one_that_stays(lab: Laboratory) -> None:
    lab.apply(sticky(), CONFIG)
    first = {way: ask(lab, way) for way in WAYS}
    gone = set(first.values())

    lab.apply(sticky([pod for pod in PODS if pod.name not in gone]), CONFIG)

    for way in WAYS:
        others = {ask(lab, way) for _ in range(IN_A_ROW)}
        assert len(others) == 1
        assert not others & gone


def test_affinity_outlives_unrelated_applies_and_a_change_of_policy(lab: Laboratory) -> None:
    # All on node1, so that both policies have the same endpoints to choose from there.
    web = sticky(NODE1.pods)
    lab.apply(web, CONFIG, nodes=["node1"])
    first = {way: ask(lab, way) for way in WAYS}

    for number in range(10, 10 + UNRELATED_APPLIES):
        other = service([NODE1.pods[number % 5]], name=f"other-{number}", number=number)
        lab.apply([*web, *other], CONFIG, nodes=["node1"])
        assert {way: ask(lab, way) for way in WAYS} == first

    for policy in ("Local", "Cluster"):
        web = sticky(NODE1.pods, externalTrafficPolicy=policy)
        lab.apply(web, CONFIG, nodes=["node1"])
        for _ in range(IN_A_ROW):
            assert {way: ask(lab, way) for way in WAYS} == first
