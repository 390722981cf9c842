"""A node against its cluster, where its cluster is known in part."""

from __future__ import annotations

import attrs

from nptables import Cluster, Family, ProxyConfig, Ruleset, translate
from nptables.answering.comparing import against
from nptables.answering.evidence import NodeHas
from nptables.answering.inputs import Inputs
from nptables.evidence import Evidence, Form
from nptables.model.backing import Backing
from nptables.sources import Loaded
from tests.support.clusters import endpoint, endpoint_slice, node, service

CONFIG = ProxyConfig(cluster_cidrs=("10.244.0.0/16",))


def cluster(address: str, *others: str) -> Cluster:
    """Service default/web with one endpoint, and a Service web in each of the other namespaces."""
    objects = [node("node1")]
    for number, namespace in enumerate(("default", *others)):
        found = service("web", namespace, type="ClusterIP", clusterIP=f"10.96.0.{number + 1}",
                        ports=[{"port": 80}])  # fmt: skip
        objects += [found, endpoint_slice(endpoint(address), namespace=namespace)]
    return Cluster.from_objects(objects)


def test_rules_of_services_that_the_objects_lack_stand_in_no_packets_way() -> None:
    """They are not rules of another backend, which packets would meet as well."""
    before = cluster("10.244.1.8", "other")
    made = translate(before, before.node("node1"), CONFIG, Family.IPV4)
    there = NodeHas(Evidence(Form.SAVED, (Ruleset.from_save(made.to_save()),)))
    backing = Backing(listed=True, namespaces=frozenset({"default"}))
    after = attrs.evolve(cluster("10.244.1.9"), backing=backing)
    inputs = Inputs(Loaded(cluster=after), after.node("node1"), CONFIG, Family.IPV4)

    (found,) = against(there, inputs, (Family.IPV4,)).noticed()

    effects = found.to_json()["effects"]
    # The source of packets from outside clusterCIDR is rewritten, that of Pods is kept.
    assert [effect["from"] for effect in effects] == [["outside", "node"], ["pod"]]
    for effect in effects:
        assert effect["service"] == "default/web"
        assert effect["before"]["endpoints"] == {"10.244.1.8:8080": "1"}
        assert effect["after"]["endpoints"] == {"10.244.1.9:8080": "1"}
    assert not found.unknown
