"""Changes wait until the kernel has them, and are taken all at once."""

from __future__ import annotations

import attrs

from nptables import Cluster, ProxyConfig
from nptables.incremental import Changes, PendingChanges
from nptables.model import EndpointSlice, Service
from tests.support.clusters import endpoint, endpoint_slice, service


def a_service(number: int = 80) -> Service:
    (found,) = Cluster.from_objects(
        [service("web", ports=[{"port": number, "nodePort": 30080}])]
    ).services.values()
    return found


def a_slice(*addresses: str) -> EndpointSlice:
    (found,) = Cluster.from_objects([endpoint_slice(*map(endpoint, addresses))]).slices.values()
    return found


def test_many_changes_to_one_object_are_one() -> None:
    pending = PendingChanges()

    pending.service(a_service(80))
    pending.service_gone(("default", "web"))
    pending.service(a_service(81))

    assert len(pending) == 1
    assert pending.take().services == {("default", "web"): a_service(81)}


def test_what_was_taken_is_kept_until_it_is_accepted() -> None:
    pending = PendingChanges()
    pending.service(a_service())

    taken = pending.take()
    assert len(pending) == 1
    assert pending.take() == taken

    pending.accepted()
    assert len(pending) == 0
    assert not pending.take()


def test_a_refused_snapshot_comes_again_with_what_changed_since() -> None:
    pending = PendingChanges()
    pending.service(a_service(80))
    pending.endpoint_slice(a_slice("10.0.0.1"))
    pending.take()

    pending.service(a_service(81))
    pending.endpoint_slice_gone(("default", "web-1"))

    assert pending.take() == Changes(
        {("default", "web"): a_service(81)}, {("default", "web-1"): None}
    )


def test_a_snapshot_does_not_change_with_later_changes() -> None:
    pending = PendingChanges()
    pending.service(a_service())
    taken = pending.take()

    pending.service_gone(("default", "web"))

    assert taken.services == {("default", "web"): a_service()}


def test_node_and_configuration_are_changes_too() -> None:
    pending = PendingChanges()
    node, config = Cluster().node("node1"), ProxyConfig()

    pending.node(node)
    pending.config(config)

    assert len(pending) == 2
    taken = pending.take()
    assert (taken.node, taken.config) == (node, config)
    assert len(taken) == 2


def test_several_changes_can_be_added_at_once_and_leave_the_rest_alone() -> None:
    pending = PendingChanges()
    pending.config(ProxyConfig())

    pending.add(Changes({("default", "web"): a_service()}))

    assert pending.take() == Changes({("default", "web"): a_service()}, config=ProxyConfig())


def test_the_changes_between_two_clusters_are_the_objects_that_differ() -> None:
    same = a_service()
    old = Cluster({same.key: same}, {("default", "web-1"): a_slice("10.0.0.1")})
    other = attrs.evolve(same, metadata=attrs.evolve(same.metadata, name="other"))
    new = Cluster(
        {same.key: a_service(), other.key: other}, {("default", "web-2"): a_slice("10.0.0.1")}
    )

    assert Changes.between(old, new) == Changes(
        {other.key: other},
        {("default", "web-1"): None, ("default", "web-2"): a_slice("10.0.0.1")},
    )
    assert not Changes.between(new, new)


def test_of_several_changes_added_at_once_the_last_node_and_configuration_count() -> None:
    pending = PendingChanges()
    first, second = (Cluster().node(name) for name in ("node1", "node2"))
    config = ProxyConfig()

    pending.add(Changes(node=first, config=config))
    pending.add(Changes({("default", "web"): None}))
    assert (pending.take().node, pending.take().config) == (first, config)
    pending.add(Changes(node=second))
    assert (pending.take().node, pending.take().config) == (second, config)
