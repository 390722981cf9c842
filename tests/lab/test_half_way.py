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
    NODE2,
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

    from tests.lab.laboratory.addresses import Dual, Family
    from tests.lab.laboratory.lab import Laboratory
    from tests.lab.laboratory.manifests import Object
    from tests.lab.laboratory.probing import Answer

pytestmark = pytest.mark.lab

CONFIG = {"clusterCIDR": ",".join(POD_NETWORK)}
POD1A, POD1B, POD1C, *_ = NODE1.pods
OTHER_CLIENT = OTHER_CLIENTS[0]
ONLY_THE_CLIENT = [f"{CLIENT.address.ipv4}/32", f"{CLIENT.address.ipv6}/128"]
# A change never takes more commits than this.
MOST_COMMITS = 15
WEB, SECOND, THIRD, UNCHANGED = 1, 2, 3, 9
MANY = range(20, 60)


def exposed(number: int, *endpoints: Any, **spec: Any) -> list[Object]:
    """Return a Service that can be had in every way there is, called by its number."""
    objects = service(
        endpoints,
        name=f"service-{number}",
        number=number,
        protocols=["TCP", "UDP"],
        type="LoadBalancer",
        externalIPs=list(external_ip(number)),
        **spec,
    )
    objects[0]["status"] = balanced(balancer_ip(number))
    return objects


def balancer_ip(number: int) -> Dual:
    return external_ip(50 + number)


def many() -> list[Object]:
    """Return so many Services that nft gets their chains in pieces."""
    return [
        made
        for number in MANY
        for made in service(
            [POD1A], name=f"many-{number}", number=number, protocols=["TCP"], type="NodePort"
        )
    ]


# What changes, from what, to what.
CHANGES = {
    "none to some endpoints": (exposed(WEB), exposed(WEB, POD1A)),
    "some to no endpoints": (exposed(WEB, POD1A), exposed(WEB)),
    "gains source ranges": (
        exposed(WEB, POD1A),
        exposed(WEB, POD1A, loadBalancerSourceRanges=ONLY_THE_CLIENT),
    ),
    "loses source ranges": (
        exposed(WEB, POD1A, loadBalancerSourceRanges=ONLY_THE_CLIENT),
        exposed(WEB, POD1A),
    ),
    "loses its endpoint and gains another": (exposed(WEB, POD1A), exposed(WEB, POD1B)),
    "becomes local with its only endpoint elsewhere": (
        exposed(WEB, NODE2.pods[0]),
        exposed(WEB, NODE2.pods[0], externalTrafficPolicy="Local"),
    ),
    "three change at once": (
        [*exposed(WEB), *exposed(SECOND, POD1A), *exposed(THIRD, POD1A)],
        [
            *exposed(WEB, POD1A),
            *exposed(SECOND),
            *exposed(THIRD, POD1A, loadBalancerSourceRanges=ONLY_THE_CLIENT),
        ],
    ),
    "many appear beside one": (exposed(WEB, POD1A), [*exposed(WEB, POD1A), *many()]),
}


def probes(numbers: set[int], family: Family) -> list[Probe]:
    """Return requests by every way to these Services and one that stays as it is."""
    node, other = NODE1.address.of(family), OTHER_CLIENT.of(family)
    found = [Probe("client", node, 30000 + number) for number in (MANY[0], MANY[-1], UNCHANGED)]
    for number in numbers:
        port = 30000 + number
        balancer, external = balancer_ip(number).of(family), external_ip(number).of(family)
        cluster = cluster_ip(number).of(family)
        by_tcp = [
            Probe("client", node, port),
            Probe("client", node, port, source_address=other),
            Probe("client", external, PORT),
            Probe("client", balancer, PORT),
            Probe("client", balancer, PORT, source_address=other),
            Probe("client", cluster, PORT),
            Probe("node1", cluster, PORT),
            Probe("pod1c", cluster, PORT),
            Probe("pod1c", balancer, PORT),
        ]
        found += [replace(p, protocol=protocol) for p in by_tcp for protocol in ("tcp", "udp")]
    return found


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("change", CHANGES)
def test_where_a_commit_fails_packets_fare_as_before_or_as_after(
    lab: Laboratory, change: str, family: Family
) -> None:
    unchanged = exposed(UNCHANGED, POD1C)
    old, new = ([*manifests.nodes(), *unchanged, *objects] for objects in CHANGES[change])
    node = lab.namespaces["node1"]
    asked = probes({n for n in (WEB, SECOND, THIRD) if named(n, new)}, family)

    def applied(objects: Sequence[Object]) -> list[Answer]:
        apply_one_family(node, "node1", objects, CONFIG, family)
        return answers(lab, asked)

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
        meanwhile = answers(lab, asked)
        wrong = [
            f"commit {number}: {probe}\n  before: {b}\n  meanwhile: {m}\n  after: {a}"
            for probe, b, m, a in zip(asked, before, meanwhile, after, strict=True)
            if m not in (b, a)
        ]
        assert not wrong, "\n".join(wrong)
        apply_one_family(node, "node1", old, CONFIG, family)
    assert 1 <= tried < MOST_COMMITS
    assert answers(lab, asked) == after


def named(number: int, objects: Sequence[Object]) -> bool:
    return any(made["metadata"]["name"] == f"service-{number}" for made in objects)


def answers(lab: Laboratory, asked: Sequence[Probe]) -> list[Answer]:
    found = lab.probe_all(asked)
    return [replace(answer, source_port=0) for answer in found]
