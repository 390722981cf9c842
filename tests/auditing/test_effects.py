"""How many Services are looked at for what packets notice, and whether that were all."""

from __future__ import annotations

import pytest

from nptables import Cluster, Family, ProxyConfig, translate
from nptables.auditing.effects import Ground, effects_between
from tests.support.clusters import endpoint, endpoint_slice, node, service

NAMES = [f"web-{number}" for number in range(14)]


@pytest.mark.parametrize(
    ("services", "changed", "all_looked_at"),
    [
        # Two are looked at first, then twelve, then all.
        (1, 0, True), (2, 0, True), (3, 0, False), (3, 2, True),
        (12, 5, True), (13, 5, False), (13, 12, True), (3, None, True), (0, None, True),
    ],
)  # fmt: skip
def test_it_is_said_whether_there_may_be_others(
    services: int, changed: int | None, *, all_looked_at: bool
) -> None:
    def cluster(address: str) -> Cluster:
        objects = [node("node1")]
        for number, name in enumerate(NAMES):
            at = address if number == changed else "10.244.1.1"
            objects += [
                service(name, type="ClusterIP", clusterIP=f"10.96.0.{number + 1}",
                        ports=[{"port": 80}]),
                endpoint_slice(endpoint(at), of=name),
            ]  # fmt: skip
        return Cluster.from_objects(objects)

    before, after = cluster("10.244.1.8"), cluster("10.244.1.9")
    config = ProxyConfig(cluster_cidrs=("10.244.0.0/16",))
    rules = [translate(c, c.node("node1"), config, Family.IPV4) for c in (before, after)]
    asked = [f"default/{name}" for name in NAMES[:services]]

    noticed = effects_between(*rules, asked, Ground(after.node("node1"), after, config))

    assert noticed.services == (() if changed is None else (f"default/{NAMES[changed]}",))
    assert noticed.all_looked_at is all_looked_at
