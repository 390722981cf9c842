"""What packets meet where an apply stops half-way: nothing worse than before it or after it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from nptables.errors import KernelRefused
from tests.lab.laboratory import manifests
from tests.lab.laboratory.addresses import (
    CLIENT,
    FAMILIES,
    NODE1,
    OTHER_CLIENTS,
    POD_NETWORK,
    cluster_ip,
    external_ip,
)
from tests.lab.laboratory.manifests import PORT, balanced, service
from tests.lab.laboratory.probing import Probe
from tests.lab.laboratory.programming import FailingFrom, apply_one_family

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.lab.laboratory.addresses import Family
    from tests.lab.laboratory.lab import Laboratory
    from tests.lab.laboratory.manifests import Object
    from tests.lab.laboratory.probing import Answer

pytestmark = pytest.mark.lab

CONFIG = {"clusterCIDR": ",".join(POD_NETWORK)}
EXTERNAL, BALANCER = external_ip(1), external_ip(2)
POD1A, POD1B, POD1C, *_ = NODE1.pods
ONLY_THE_CLIENT = [f"{CLIENT.address.ipv4}/32", f"{CLIENT.address.ipv6}/128"]
# A change never takes more commits than this.
MOST_COMMITS = 12


def web(*endpoints: Any, **spec: Any) -> list[Object]:
    objects = service(endpoints, type="LoadBalancer", externalIPs=list(EXTERNAL), **spec)
    objects[0]["status"] = balanced(BALANCER)
    # Another Service stays as it is, so that the shared chains are not all new.
    return [*objects, *service([POD1C], name="other", number=2)]


CHANGES = {
    "none to some endpoints": (web(), web(POD1A)),
    "some to no endpoints": (web(POD1A), web()),
    "gains source ranges": (web(POD1A), web(POD1A, loadBalancerSourceRanges=ONLY_THE_CLIENT)),
    "loses source ranges": (web(POD1A, loadBalancerSourceRanges=ONLY_THE_CLIENT), web(POD1A)),
    "loses its endpoint and gains another": (web(POD1A), web(POD1B)),
    "becomes local with its only endpoint elsewhere": (
        web(POD1A),
        web(POD1A, externalTrafficPolicy="Local"),
    ),
}


def probes(family: Family) -> list[Probe]:
    """Return requests by every way to the Service, each by TCP and by UDP."""
    other = OTHER_CLIENTS[0].of(family)
    by_tcp = [
        Probe("client", NODE1.address.of(family), 30001),
        Probe("client", NODE1.address.of(family), 30001, source_address=other),
        Probe("client", EXTERNAL.of(family), PORT),
        Probe("client", BALANCER.of(family), PORT),
        Probe("client", BALANCER.of(family), PORT, source_address=other),
        Probe("client", cluster_ip(1).of(family), PORT),
        Probe("node1", cluster_ip(1).of(family), PORT),
        Probe("pod1c", cluster_ip(1).of(family), PORT),
        Probe("pod1c", BALANCER.of(family), PORT),
        Probe("client", cluster_ip(2).of(family), PORT),
    ]
    return [replace(probe, protocol=protocol) for probe in by_tcp for protocol in ("tcp", "udp")]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("change", CHANGES)
def test_where_a_commit_fails_packets_fare_as_before_or_as_after(
    lab: Laboratory, change: str, family: Family
) -> None:
    old, new = ([*manifests.nodes(), *objects] for objects in CHANGES[change])
    node = lab.namespaces["node1"]

    def applied(objects: Sequence[Object]) -> list[Answer]:
        apply_one_family(node, "node1", objects, CONFIG, family)
        return answers(lab, family)

    after, before = applied(new), applied(old)
    assert before != after
    tried = 0
    for number in range(1, MOST_COMMITS + 1):
        run = FailingFrom(node, number)
        try:
            apply_one_family(node, "node1", new, CONFIG, family, run=run)
        except KernelRefused:
            assert run.failed
        if not run.failed:
            break
        tried += 1
        meanwhile = answers(lab, family)
        wrong = [
            f"commit {number}: {probe}\n  before: {b}\n  meanwhile: {m}\n  after: {a}"
            for probe, b, m, a in zip(probes(family), before, meanwhile, after, strict=True)
            if m not in (b, a)
        ]
        assert not wrong, "\n".join(wrong)
        apply_one_family(node, "node1", old, CONFIG, family)
    assert 1 <= tried < MOST_COMMITS
    assert answers(lab, family) == after


def answers(lab: Laboratory, family: Family) -> list[Answer]:
    found = lab.prober.probe_all(probes(family), patience=0.2)
    return [replace(answer, source_port=0) for answer in found]
