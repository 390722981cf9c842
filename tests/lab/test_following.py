"""Connections go on while a node follows change after change."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING, Any

import pytest

from nptables import Cluster, Family, ProxyConfig, diff
from nptables.incremental import Changes, IncrementalTranslator
from nptables.kernel import RestoreBackend
from nptables.kernel.reconciler import Reconciler
from tests.lab.laboratory.addresses import FAMILIES, NODE1, NODE2, POD_NETWORK, cluster_ip
from tests.lab.laboratory.manifests import PORT, nodes, service
from tests.lab.laboratory.probing import PATIENT, Probe
from tests.lab.laboratory.programming import API, Inside

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.lab.laboratory.lab import Laboratory
    from tests.lab.laboratory.manifests import Object

pytestmark = pytest.mark.lab

# 2,000 take minutes, so that many are for whoever asks for them.
CHANGES = int(os.environ.get("NPTABLES_LAB_CHANGES", "100"))
CONFIG = {**API, "clusterCIDR": ",".join(POD_NETWORK)}
PODS = (*NODE1.pods, *NODE2.pods)
STEADY, STICKY, ROLLING = 1, 2, 3
COMING_AND_GOING = range(10, 26)


def node_port_service(endpoints: Sequence[Any], number: int, **spec: Any) -> list[Object]:
    return service(
        endpoints,
        name=f"service-{number}",
        number=number,
        protocols=["TCP"],
        type="NodePort",
        **spec,
    )


def ways_to(number: int) -> list[Probe]:
    return [
        probe
        for family in FAMILIES
        for probe in (
            Probe("client", NODE1.address.of(family), 30000 + number),
            Probe("pod1c", cluster_ip(number).of(family), PORT),
        )
    ]


class Followed:
    """A node whose rules follow objects in both families."""

    def __init__(self, lab: Laboratory, objects: Sequence[Object]) -> None:
        cluster = Cluster.from_objects([*nodes(), *objects])
        node, config = cluster.node("node1"), ProxyConfig.from_kube_proxy(CONFIG)
        namespace = lab.namespaces["node1"]
        self.backends = [
            RestoreBackend(lab.backend, family, 60, run=Inside(namespace)) for family in Family
        ]
        self.reconcilers = [
            Reconciler(backend, IncrementalTranslator(node, config, backend.family))
            for backend in self.backends
        ]
        self.bring(Changes.everything(cluster, node, config))
        assert all(reconciler.certain for reconciler in self.reconcilers)

    def put(self, objects: Sequence[Object]) -> None:
        cluster = Cluster.from_objects(objects)
        self.bring(Changes(dict(cluster.services), dict(cluster.slices)))

    def remove(self, objects: Sequence[Object]) -> None:
        cluster = Cluster.from_objects(objects)
        self.bring(Changes(dict.fromkeys(cluster.services), dict.fromkeys(cluster.slices)))

    def bring(self, changes: Changes) -> None:
        for reconciler in self.reconcilers:
            reconciler.pending.add(changes)
            reconciler.sync()

    def differences(self) -> list[str]:
        """What the kernel would need to be as from scratch."""
        plans = [
            diff(backend.read(), reconciler.translator.translation())
            for backend, reconciler in zip(self.backends, self.reconcilers, strict=True)
        ]
        return [plan.to_restore() for plan in plans if plan]


def endpoints_of(lab: Laboratory, number: int) -> list[str]:
    answers = lab.prober.probe_all(ways_to(number), patience=PATIENT)
    assert {answer.outcome for answer in answers} == {"answered"}
    return [answer.endpoint for answer in answers]


def test_changes_disturb_no_connection_to_services_that_do_not_change(lab: Laboratory) -> None:
    chance = random.Random(6)  # the same changes on every run
    steady = node_port_service(PODS[:3], STEADY)
    sticky = node_port_service(PODS, STICKY, sessionAffinity="ClientIP")
    followed = Followed(lab, [*steady, *sticky, *node_port_service(PODS[:2], ROLLING)])
    held = endpoints_of(lab, STICKY)
    there: set[int] = set()

    ways = [*ways_to(STEADY), *ways_to(ROLLING)]
    with lab.prober.load(ways, established=8) as reports:
        for change in range(CHANGES):
            number = chance.choice(COMING_AND_GOING)
            some = chance.sample(PODS, chance.randint(0, 5))
            policy = chance.choice(["Cluster", "Local"])
            changed = node_port_service(some, number, externalTrafficPolicy=policy)
            if change % 10 == 9:
                # One endpoint is replaced by another, and one stays.
                place = change // 10 % (len(PODS) - 1)
                followed.put(node_port_service(PODS[place : place + 2], ROLLING))
            elif number in there and chance.random() < 0.3:
                followed.remove(changed)
                there.discard(number)
            else:
                followed.put(changed)
                there.add(number)
            if change % 50 == 49:
                assert endpoints_of(lab, STICKY) == held

    (report,) = reports
    print(f"{CHANGES} changes, {report.counts}, failures: {dict(report.failures)}")  # noqa: T201
    assert not report.failures
    assert report.counts["opened"] > CHANGES
    assert report.counts["kept open"] == 8
    assert endpoints_of(lab, STICKY) == held
    assert followed.differences() == []
