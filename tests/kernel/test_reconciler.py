"""Any sequence of changes, on the real kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from nptables import Cluster, Family
from nptables.incremental import Changes, IncrementalTranslator
from nptables.kernel.reconciler import Reconciler
from tests.kernel.nodes import Node
from tests.support.clusters import endpoint, endpoint_slice, node, service
from tests.support.following import FOREIGN, FollowingMachine, configuration
from tests.support.requirements import _reason_against

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nptables import Ruleset
    from nptables.iptables.changes import Step
    from nptables.kernel import RestoreBackend
    from nptables.translation import Translation
    from tests.support.following import Failing
    from tests.support.netns import Namespace


class Interruptible:
    """A real backend whose commits can be made to fail in the middle."""

    def __init__(self, backend: RestoreBackend, failing: Failing) -> None:
        self.name, self.family, self.piece = backend.name, backend.family, backend.piece
        self._backend = backend
        self._failing = failing

    def read(self) -> Ruleset:
        return self._backend.read()

    def commit(self, steps: Sequence[Step]) -> None:
        for step in steps:
            self._failing(step)
            self._backend.commit([step])


def test_random_changes_leave_exactly_the_rules_of_a_translation_from_scratch(
    netns: Namespace,
) -> None:
    real = Node(netns)
    counting = _reason_against("nfacct objects") is None
    if counting:
        real.count_packets()

    class OnTheKernel(FollowingMachine):
        most_endpoints = 0
        can_count_packets = counting

        def make_backend(self, family: Family) -> Interruptible:
            netns.restore(FOREIGN, family.name)
            return Interruptible(real.backend(family), self.failing)

        def check_kernel(self, wanted: Translation) -> None:
            super().check_kernel(wanted)
            self.check_foreign()

    run_state_machine_as_test(
        OnTheKernel, settings=settings(max_examples=20, stateful_step_count=20, deadline=None)
    )


@pytest.mark.parametrize("family", list(Family), ids=lambda family: family.value)
def test_an_affinity_list_outlives_updates_of_its_service(netns: Namespace, family: Family) -> None:
    real = Node(netns)
    ip = "10.96.0.2" if family is Family.IPV4 else "fd00:10:96::2"
    addresses = [
        f"10.244.1.{n}" if family is Family.IPV4 else f"fd00:10:244:1::{n}" for n in (1, 2)
    ]

    def slice_of(*listed: str) -> dict[str, object]:
        return endpoint_slice(*map(endpoint, listed), of="web", addressType=family.value)

    web = service(
        "web",
        clusterIP=ip,
        clusterIPs=[ip],
        ipFamilies=[family.value],
        sessionAffinity="ClientIP",
    )
    cluster = Cluster.from_objects([node(), web, slice_of(addresses[0])])
    own, config = cluster.node("node1"), configuration({})
    reconciler = Reconciler(real.backend(family), IncrementalTranslator(own, config, family))
    reconciler.pending.add(Changes.everything(cluster, own, config))
    reconciler.sync()
    chains = reconciler.translator.translation().tables["nat"].chains
    (chain,) = (c for c in chains if c.startswith("KUBE-SEP-"))
    source = "192.0.2.7" if family is Family.IPV4 else "2001:db8::7"
    # The kernel takes an address into a list by hand: +ADDRESS.
    remember = f"echo +{source} > /proc/net/xt_recent/{chain}"
    netns.run(["sh", "-c", remember])

    for listed in (addresses, addresses[:1], addresses[::-1]):
        reconciler.pending.add(Changes(slices=Cluster.from_objects([slice_of(*listed)]).slices))
        reconciler.sync()

    remembered = netns.run(["cat", f"/proc/net/xt_recent/{chain}"]).stdout
    assert remembered.startswith("src=")
    assert len(remembered.splitlines()) == 1


def test_the_counters_of_chains_that_do_not_change_stay(netns: Namespace) -> None:
    real = Node(netns)
    objects = [
        node(),
        service("web", clusterIP="10.96.0.2", ports=[{"port": 80, "nodePort": 30002}]),
        service("api", clusterIP="10.96.0.3", ports=[{"port": 80, "nodePort": 30003}]),
        endpoint_slice(endpoint("10.244.1.1"), of="web"),
        endpoint_slice(endpoint("10.244.1.2"), of="api"),
    ]
    cluster = Cluster.from_objects(objects)
    own, config = cluster.node("node1"), configuration({})
    reconciler = Reconciler(
        real.backend(Family.IPV4), IncrementalTranslator(own, config, Family.IPV4)
    )
    reconciler.pending.add(Changes.everything(cluster, own, config))
    reconciler.sync()
    counted = netns.run([netns.program("IPV4", "save"), "-c", "-t", "nat"]).stdout
    counted = counted.replace("[0:0] -A KUBE-", "[7:420] -A KUBE-")
    netns.run([netns.program("IPV4", "restore"), "-c", "-w", "60"], input=counted)

    changed = Cluster.from_objects([endpoint_slice(endpoint("10.244.1.9"), of="web")])
    reconciler.pending.add(Changes(slices=dict(changed.slices)))
    result = reconciler.sync()

    assert not result.read
    after = netns.run([netns.program("IPV4", "save"), "-c", "-t", "nat"]).stdout
    rewritten = set(result.update.write)
    rules = [line for line in after.splitlines() if " -A KUBE-" in line]
    kept = [line for line in rules if line.split(" ")[2] not in rewritten]
    assert len(rules) > len(kept) > 0
    assert all(line.startswith("[7:420] ") for line in kept)
