"""What holds for the rules of every version, whatever the cluster."""

from __future__ import annotations

import random
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nptables import Cluster, Family, Packet, ProxyConfig, Ruleset, diff, trace, translate
from nptables.incremental import Changes, IncrementalTranslator
from nptables.model.kubeproxy import VERSIONS, Version
from nptables.translation.explanation.identity import chain_owners
from nptables.translation.explanation.versions import changes_by_habit
from tests.support.clusters import (
    Object,
    clusters,
    endpoint,
    endpoint_slice,
    node,
    service,
)
from tests.tracing.test_conformance import check_shares, packets

families = st.sampled_from(list(Family))
versions = st.sampled_from(VERSIONS)
HEADLESS = "service.kubernetes.io/headless"
CLAIMED = "service.kubernetes.io/service-proxy-name"


@st.composite
def odd_clusters(draw: st.DrawFn) -> list[Object]:
    """Clusters with what old kube-proxies read otherwise."""
    objects = draw(clusters)
    for thing in objects:
        metadata = thing["metadata"]
        if thing["kind"] == "Service":
            notes = draw(st.sampled_from([{}, {"service.kubernetes.io/topology-mode": "Auto"}]))
            metadata["annotations"] = notes
            thing["spec"]["externalTrafficPolicy"] = draw(st.sampled_from(["Cluster", "Local"]))
            thing["spec"]["externalIPs"] += draw(
                st.sampled_from([[], ["198.051.100.001"], ["10.9.8.08"]])
            )
        if thing["kind"] == "EndpointSlice":
            for each in thing["endpoints"]:
                address = each["addresses"][0]
                odd = address.upper() if ":" in address else address.replace(".", ".0", 1)
                each["addresses"] = [draw(st.sampled_from([address, address, odd]))]
        if thing["kind"] != "Node":
            label = draw(st.sampled_from([None, None, None, HEADLESS, CLAIMED]))
            if label is not None:
                metadata.setdefault("labels", {})[label] = ""
    return objects


def config(version: Version, **fields: Any) -> ProxyConfig:
    document = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clusterCIDR": "10.244.0.0/16",
        **fields,
    }
    return ProxyConfig.from_kube_proxy(document, version=version)


node_ports = st.sampled_from([[], ["192.168.0.0/16"], ["1.2.3.4/0"], ["0.0.0.0/0", "::/0"]])


@given(odd_clusters(), versions, families, node_ports, st.randoms(use_true_random=False))
def test_translation_is_pure_and_every_jump_has_a_target(
    objects: list[Object],
    version: Version,
    family: Family,
    networks: list[str],
    shuffling: random.Random,
) -> None:
    cluster = Cluster.from_objects(objects, lenient=True)
    before = attrs.evolve(cluster)
    proxy = config(version, nodePortAddresses=networks)

    rules = translate(cluster, cluster.node("node1"), proxy, family)

    assert cluster == before
    shuffling.shuffle(objects)
    other = Cluster.from_objects(objects, lenient=True)
    assert translate(other, other.node("node1"), proxy, family).to_save() == rules.to_save()
    # The parser knows the targets of the kernel; any other is a chain.
    kernel = {"ACCEPT", "DROP", "REJECT", "RETURN", "MARK", "MASQUERADE", "DNAT"}
    for table in rules.tables.values():
        for lines in table.chains.values():
            for line in lines:
                jump = line.rpartition(" -j ")[2].split()[0] if " -j " in line else "ACCEPT"
                assert jump in kernel | set(table.chains)
                assert rules.origin(table.name, line) is not None
    assert Ruleset.from_save(rules.to_save(), family=family).tables == rules.tables
    assert all(str(reason) for decision in rules.decisions for reason in decision.reasons)


@given(odd_clusters(), odd_clusters(), versions, versions, families)
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_following_changes_of_objects_and_of_the_version_gives_what_a_start_from_scratch_gives(
    first: list[Object],
    second: list[Object],
    version: Version,
    other: Version,
    family: Family,
) -> None:
    old = Cluster.from_objects(first, lenient=True)
    new = Cluster.from_objects(second, lenient=True)
    here = old.node("node1")
    follower = IncrementalTranslator.of(old, here, config(version), family)
    assert (
        follower.translation().to_save() == translate(old, here, config(version), family).to_save()
    )

    changes = Changes.between(old, new).then(Changes(config=config(other)))
    update = follower.prepare(changes)
    kernel = follower.translation()
    follower.accept(update)

    wanted = translate(new, here, config(other), family)
    assert follower.translation().to_save() == wanted.to_save()
    assert bool(update) == (kernel.to_save() != wanted.to_save())


@given(odd_clusters(), versions, families)
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
def test_shares_of_a_trace_add_up(objects: list[Object], version: Version, family: Family) -> None:
    cluster = Cluster.from_objects(objects, lenient=True)
    here, proxy = cluster.node("node1"), config(version)
    rules = translate(cluster, here, proxy, family)
    if rules.collisions:
        return
    for packet in list(packets(rules, here))[:6]:
        check_shares(trace(rules, packet, here, cluster, config=proxy), str(packet))


@given(odd_clusters(), versions, versions, families)
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
def test_the_changes_by_habit_lead_from_one_version_to_the_other(
    objects: list[Object], version: Version, other: Version, family: Family
) -> None:
    cluster = Cluster.from_objects(objects, lenient=True)
    here = cluster.node("node1")
    rules = translate(cluster, here, config(version), family)
    wanted = translate(cluster, here, config(other), family)

    for change in changes_by_habit(cluster, here, config(version), config(other), family):
        assert change.plan.before.to_save() == rules.to_save()
        assert change.gained == (change.habit.name in config(other).habits)
        rules = change.plan.desired

    assert not diff(rules, wanted)


def test_an_upgrade_says_what_comes_with_what_it_means() -> None:
    objects = [
        node("node1", **{"topology.kubernetes.io/zone": "a"}),
        service(),
        endpoint_slice(
            endpoint("10.244.1.1", hints={"forZones": [{"name": "a"}]}),
            endpoint("10.244.2.1", "node2", hints={"forZones": [{"name": "b"}]}),
        ),
    ]
    cluster = Cluster.from_objects(objects)
    old, new = config(Version(1, 30)), config(Version(1, 31))

    (change,) = changes_by_habit(cluster, cluster.node("node1"), old, new, Family.IPV4)

    assert change.title == (
        "hints-without-annotation comes (from 1.31 on, gate ServiceTrafficDistribution)"
    )
    assert "10.244.2.1" in change.plan.to_restore() or change.plan.tables["nat"].delete


# The external IP of a ClusterIP Service with the Local policy and no endpoint on this node, as
# KUBE-EXT and KUBE-EXTERNAL-SERVICES had it before 1.29 and have it since.
@pytest.mark.parametrize(("version", "local"), [("1.28", False), ("1.29", True)])
def test_the_local_policy_of_a_cluster_ip_service_counts_from_1_29_on(
    version: str, *, local: bool
) -> None:
    objects = [
        node(),
        service(
            type="ClusterIP",
            externalIPs=["198.51.100.1"],
            externalTrafficPolicy="Local",
            ports=[{"port": 80}],
        ),
        endpoint_slice(endpoint("10.244.2.1", "node2")),
    ]
    cluster = Cluster.from_objects(objects, lenient=True)
    proxy = ProxyConfig.defaults(version)

    rules = translate(cluster, cluster.node("node1"), proxy, Family.IPV4).to_save()

    assert ("masquerade traffic for default/web external destinations" in rules) is not local
    assert ("masquerade LOCAL traffic for default/web" in rules) is local
    assert ('"default/web has no local endpoints" -m tcp --dport 80 -j DROP' in rules) is local


def test_what_iptables_and_kube_proxy_read_otherwise_is_compared_by_each_in_its_own_way() -> None:
    """0150 is 150 to kube-proxy, and 1*64 + 5*8 = 104 to iptables."""
    objects = [
        node(),
        service(
            type="LoadBalancer",
            loadBalancerSourceRanges=["192.0150.0.0/16"],
            status={"loadBalancer": {"ingress": [{"ip": "203.0.113.9"}]}},
        ),
        endpoint_slice(endpoint("10.244.1.1")),
    ]
    inside = node()
    inside["status"]["addresses"][0]["address"] = "192.150.0.7"
    cluster = Cluster.from_objects([inside, *objects[1:]], lenient=True)
    proxy = ProxyConfig.defaults("1.29")

    rules = translate(cluster, cluster.node("node1"), proxy, Family.IPV4).to_save()

    # kube-proxy finds its own address in 192.150.0.0/16, the kernel gets 192.104.0.0/16.
    assert " -s 192.104.0.0/16 " in rules
    assert " -s 203.0.113.9/32 " in rules


def test_of_an_endpoint_given_twice_an_old_kube_proxy_takes_the_first_or_the_last_of_its_node() -> (
    None
):
    objects = [
        service(),
        endpoint_slice(
            endpoint("10.244.1.1", "node2"),
            endpoint("10.244.1.1", "node1", conditions={"ready": False, "terminating": True}),
            endpoint("10.244.1.2", "node2", conditions={"ready": False}),
            endpoint("10.244.1.2", "node2"),
        ),
        node(),
    ]
    cluster = Cluster.from_objects(objects, lenient=True)

    def dnat(version: str) -> str:
        proxy = ProxyConfig.defaults(version)
        return translate(cluster, cluster.node("node1"), proxy, Family.IPV4).to_save()

    # 1.35: both entries that win are not ready. 1.36: the ones that are not terminating win.
    assert "--to-destination 10.244.1.2:8080" not in dnat("1.35")
    assert "--to-destination 10.244.1.1:8080" in dnat("1.36")
    assert "--to-destination 10.244.1.2:8080" in dnat("1.36")


def test_a_chain_that_an_old_kube_proxy_named_is_found_too() -> None:
    objects = [
        service(clusterIP="fd00:10:96::1", ipFamilies=["IPv6"]),
        endpoint_slice(endpoint("FD00::5"), addressType="IPv6"),
    ]
    cluster = Cluster.from_objects([node(), *objects], lenient=True)
    proxy = ProxyConfig.defaults("1.30")
    rules = translate(cluster, cluster.node("node1"), proxy, Family.IPV6)

    known = {owner.chain: owner.endpoint for owner in chain_owners(cluster)}

    (old,) = (chain for chain in rules.tables["nat"].chains if chain.startswith("KUBE-SEP-"))
    assert known[old] == "[FD00::5]:8080"
    assert "[fd00::5]:8080" in known.values()


def test_remarks_on_the_configuration_are_among_the_warnings() -> None:
    cluster = Cluster.from_objects([node()])
    proxy = config(Version(1, 28), conntrack={"tcpBeLiberal": True})

    warnings = translate(cluster, cluster.node("node1"), proxy, Family.IPV4).warnings

    assert [notice.code for notice in warnings] == ["configuration"]
    assert "conntrack.tcpBeLiberal has no effect" in str(warnings[0])


def test_a_packet_goes_on_as_the_version_of_its_node_says() -> None:
    objects = [
        node(),
        node("node2"),
        service(
            type="LoadBalancer",
            status={"loadBalancer": {"ingress": [{"ip": "203.0.113.9", "ipMode": "Proxy"}]}},
        ),
        endpoint_slice(endpoint("10.244.1.1")),
    ]
    cluster = Cluster.from_objects(objects)
    here = cluster.node("node1")
    answers = {}
    for version in ("1.28", "1.36"):
        proxy = ProxyConfig.defaults(version)
        rules = translate(cluster, here, proxy, Family.IPV4)
        answers[version] = trace(rules, Packet("203.0.113.9", 80), here, cluster, config=proxy)

    assert answers["1.28"].arrives
    assert not answers["1.36"].arrives
    assert {"ip-mode-proxy"} <= {reason.code for reason in answers["1.36"].reasons}
    assert "ip-mode-proxy" not in {reason.code for reason in answers["1.28"].reasons}
