"""A UDP client that goes on sending from one socket is not left where its first packet went."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.lab.laboratory.addresses import FAMILIES, NODE1, NODE2, POD_NETWORK, cluster_ip
from tests.lab.laboratory.manifests import PORT, service
from tests.lab.laboratory.probing import Probe

if TYPE_CHECKING:
    from tests.lab.laboratory.lab import Laboratory

pytestmark = pytest.mark.lab

CONFIG = {"clusterCIDR": ",".join(POD_NETWORK)}
POD1A, POD2A = NODE1.pods[0], NODE2.pods[0]
# Each way is one socket for the kernel: the same addresses and ports every time.
WAYS = [
    Probe(source, destination.of(family), port, "udp", source_port=40000)
    for family in FAMILIES
    for source, destination, port in (
        ("client", NODE1.address, 30001),
        ("pod1c", cluster_ip(1), PORT),
        ("node1", cluster_ip(1), PORT),
    )
]


def ask(lab: Laboratory) -> list[str]:
    """Return what each way leads to: the name of an endpoint, or what comes of it instead."""
    return [answer.endpoint or answer.outcome for answer in lab.probe_all(WAYS)]


def everywhere(outcome: str) -> list[str]:
    return [outcome] * len(WAYS)


def test_it_leaves_an_endpoint_that_goes_away(lab: Laboratory) -> None:
    lab.apply(service([POD1A], type="NodePort"), CONFIG)
    assert ask(lab) == everywhere("pod1a")

    lab.apply(service([POD2A], type="NodePort"), CONFIG)

    assert ask(lab) == everywhere("pod2a")


def test_it_stays_where_its_endpoint_stays(lab: Laboratory) -> None:
    lab.apply(service([POD1A], type="NodePort"), CONFIG)
    assert ask(lab) == everywhere("pod1a")

    # Of two endpoints a new flow would choose either.
    for _ in range(5):
        lab.apply(service([POD1A, POD2A], type="NodePort"), CONFIG)
        lab.apply(service([POD1A, NODE2.pods[1]], type="NodePort"), CONFIG)
        assert ask(lab) == everywhere("pod1a")


def test_it_is_refused_when_the_last_endpoint_goes_and_served_when_one_comes(
    lab: Laboratory,
) -> None:
    lab.apply(service([POD1A], type="NodePort"), CONFIG)
    assert ask(lab) == everywhere("pod1a")

    lab.apply(service([], type="NodePort"), CONFIG)
    assert ask(lab) == everywhere("refused")

    lab.apply(service([POD1A], type="NodePort"), CONFIG)
    assert ask(lab) == everywhere("pod1a")


def test_it_is_served_though_it_sent_before_the_service_was_there(lab: Laboratory) -> None:
    early = lab.probe_all(WAYS)
    assert all(answer.outcome != "answered" for answer in early)

    lab.apply(service([POD1A], type="NodePort"), CONFIG)

    assert ask(lab) == everywhere("pod1a")


def test_it_no_longer_reaches_a_pod_whose_service_is_deleted(lab: Laboratory) -> None:
    other = service([POD2A], name="other", number=2)
    lab.apply([*service([POD1A], type="NodePort"), *other], CONFIG)
    assert ask(lab) == everywhere("pod1a")

    lab.apply(other, CONFIG)

    assert all(answer.outcome != "answered" for answer in lab.probe_all(WAYS))
    # By TCP, which remembers nothing here, it is the same.
    by_tcp = [replace(probe, protocol="tcp", source_port=0) for probe in WAYS]
    assert all(answer.outcome != "answered" for answer in lab.probe_all(by_tcp))
