"""What holds for the rules of every cluster."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nptables import Cluster, Family, ProxyConfig, Ruleset, translate
from nptables.translation import ServicePortName, Translation
from tests.support.clusters import (
    Object,
    clusters,
    configs,
    endpoint,
    endpoint_slice,
    node,
    service,
)

families = st.sampled_from(list(Family))


def translated(objects: list[Object], config: dict[str, Any], family: Family) -> Translation:
    cluster = Cluster.from_objects(objects, lenient=True)
    document = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        **config,
    }
    return translate(cluster, cluster.node("node1"), ProxyConfig.from_kube_proxy(document), family)


def jump_target(line: str) -> str | None:
    found = re.search(r" -j (\S+)", line)
    return found[1] if found else None


@given(clusters, configs, families)
def test_every_jump_leads_to_a_chain_of_the_table_or_a_target_of_the_kernel(
    objects: list[Object], config: dict[str, Any], family: Family
) -> None:
    targets = {"ACCEPT", "DROP", "REJECT", "RETURN", "MARK", "MASQUERADE", "DNAT", None}
    for table in translated(objects, config, family).tables.values():
        for lines in table.chains.values():
            for line in lines:
                assert jump_target(line) in targets | set(table.chains)


@given(clusters, configs, families)
def test_every_chain_is_reached_from_a_built_in_chain(
    objects: list[Object], config: dict[str, Any], family: Family
) -> None:
    # With AllowServiceExternalIPs off kube-proxy keeps the KUBE-EXT chain of a Service whose
    # only way in is an external IP (recorded: external-ips-gate-off); then nothing leads there.
    config = config | {"featureGates": {}}
    for table in translated(objects, config, family).tables.values():
        reached, waiting = set(), list(table.policies)
        while waiting:
            chain = waiting.pop()
            if chain not in reached:
                reached.add(chain)
                waiting += [
                    target
                    for line in table.chains[chain]
                    if (target := jump_target(line))
                    if target in table.chains
                ]
        # A node without any address that node ports answer on has no jump to KUBE-NODEPORTS,
        # and what only node ports lead to hangs below that chain.
        below = {c for c in table.chains if c.startswith(("KUBE-EXT-", "KUBE-SV", "KUBE-SEP-"))}
        unreached = set(table.chains) - reached
        if "KUBE-NODEPORTS" in unreached:
            unreached -= below | {"KUBE-NODEPORTS"}
        assert not unreached - {"KUBE-MARK-MASQ"}


@given(clusters, configs, families)
def test_the_text_parses_back_to_the_same_ruleset(
    objects: list[Object], config: dict[str, Any], family: Family
) -> None:
    rules = translated(objects, config, family)
    parsed = Ruleset.from_save(rules.to_save(), family=family)
    assert parsed.tables == rules.tables
    assert parsed.to_save() == rules.to_save()


@given(clusters, configs, families, st.randoms(use_true_random=False))
def test_the_order_of_the_input_does_not_matter(
    objects: list[Object], config: dict[str, Any], family: Family, shuffling: random.Random
) -> None:
    shuffled = list(objects)
    shuffling.shuffle(shuffled)
    assert (
        translated(shuffled, config, family).to_save()
        == translated(objects, config, family).to_save()
    )


@given(clusters, configs)
def test_no_rule_holds_an_address_of_the_other_family(
    objects: list[Object], config: dict[str, Any]
) -> None:
    ipv4 = translated(objects, config, Family.IPV4).to_save()
    ipv6 = translated(objects, config, Family.IPV6).to_save()
    # With the colon, since 20010 is a port.
    assert not re.search(r"\b(fd00|2001|ffff):|::", ipv4)
    assert not re.search(r"\d+\.\d+\.\d+\.\d+", ipv6)


def shares(lines: tuple[str, ...]) -> dict[str, Fraction]:
    """The share of each endpoint chain, from the steps of 1/2^31 that the kernel keeps."""
    left, found = Fraction(1), dict[str, Fraction]()
    for line in lines:
        target = jump_target(line)
        if target is None or not target.startswith("KUBE-SEP-") or " -m recent " in line:
            continue
        chance = re.search(r"--probability (\S+)", line)
        taken = Fraction(round(float(chance[1]) * 2**31), 2**31) if chance else Fraction(1)
        found[target] = left * taken
        left *= 1 - taken
    assert left == 0 or not found
    return found


@given(clusters, configs, families)
def test_the_endpoints_of_a_policy_have_equal_shares(
    objects: list[Object], config: dict[str, Any], family: Family
) -> None:
    for chain, lines in translated(objects, config, family).tables["nat"].chains.items():
        if chain.startswith(("KUBE-SVC-", "KUBE-SVL-")):
            found = shares(lines)
            assert sum(found.values()) == 1
            for share in found.values():
                assert abs(share - Fraction(1, len(found))) <= Fraction(1, 10**8)


@pytest.mark.parametrize("count", [2, 3, 7, 100, 999])
def test_shares_are_equal_however_many_endpoints_there_are(count: int) -> None:
    endpoints = [
        {"addresses": [f"10.244.{n // 250}.{n % 250}"], "conditions": {"ready": True}}
        for n in range(count)
    ]
    objects: list[Object] = [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {"clusterIP": "10.96.0.10", "ports": [{"port": 80}]},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": "web-1",
                "namespace": "default",
                "labels": {"kubernetes.io/service-name": "web"},
            },
            "addressType": "IPv4",
            "ports": [{"port": 8080}],
            "endpoints": endpoints,
        },
    ]
    cluster = Cluster.from_objects(objects)
    rules = translate(cluster, cluster.node("node1"), ProxyConfig(), Family.IPV4)
    (chain,) = (c for c in rules.tables["nat"].chains if c.startswith("KUBE-SVC-"))
    found = shares(rules.lines("nat", chain))
    assert len(found) == count
    assert all(abs(share - Fraction(1, count)) <= Fraction(1, 10**8) for share in found.values())


Conditions = dict[str, list[dict[str, bool]]]


def conditions(objects: list[Object], service: Object, port: Object, family: Family) -> Conditions:
    """What the slices of a Service say of each `address:port` of one of its ports."""
    found: Conditions = defaultdict(list)
    for thing in objects:
        if thing["kind"] != "EndpointSlice" or thing["addressType"] != family.value:
            continue
        if thing["metadata"]["namespace"] != service["metadata"]["namespace"]:
            continue
        if thing["metadata"]["labels"]["kubernetes.io/service-name"] != service["metadata"]["name"]:
            continue
        for slice_port in thing["ports"]:
            if (slice_port["name"], slice_port["protocol"]) == (port["name"], port["protocol"]):
                for entry in thing["endpoints"]:
                    address = entry["addresses"][0]
                    host = f"[{address}]" if ":" in address else address
                    found[f"{host}:{slice_port['port']}"].append(entry["conditions"])
    return found


def may_be_used(said: dict[str, bool]) -> bool:
    return said.get("ready", True) or (said.get("serving", True) and said.get("terminating", False))


@given(clusters, configs, families)
def test_packets_go_to_usable_endpoints_only_and_to_some_where_there_are_any(
    objects: list[Object], config: dict[str, Any], family: Family
) -> None:
    rules = translated(objects, config, family)
    for each in (thing for thing in objects if thing["kind"] == "Service"):
        key = (each["metadata"]["namespace"], each["metadata"]["name"])
        for port in each["spec"]["ports"]:
            name = ServicePortName(*key, port["name"], port["protocol"])
            if name not in rules.ports:
                assert family.value not in each["spec"]["ipFamilies"]
                continue
            targets = {
                line.rpartition("--to-destination ")[2]
                for lines in rules.ports[name].chains.values()
                for line in lines
                if " -j DNAT " in line
            }
            said = conditions(objects, each, port, family)
            assert targets <= {
                text for text, all_of in said.items() if any(map(may_be_used, all_of))
            }
            certain = any(all(one.get("ready", True) for one in all_of) for all_of in said.values())
            if certain and each["spec"]["internalTrafficPolicy"] == "Cluster":
                assert targets


def test_rules_are_equal_whatever_they_were_made_of() -> None:
    """Neither the node nor the cluster behind rules is compared with them, or shown."""
    objects = [node("node1"), node("node2"), service(), endpoint_slice(endpoint("10.244.1.5"))]
    sources = Cluster.from_objects(objects), Cluster.from_objects([*objects, node("node3")])
    one, other = (
        translate(cluster, cluster.node(name), ProxyConfig(), Family.IPV4)
        for cluster, name in zip(sources, ("node1", "node2"), strict=True)
    )

    assert sources[0] != sources[1]
    assert one.context != other.context
    assert one == other
    assert "Cluster(" not in repr(one)
    assert "Context(" not in repr(one)
