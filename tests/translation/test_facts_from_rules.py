"""What recorded dumps show of the facts and the configuration that they were made with."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from nptables import Cluster, Family, ProxyConfig, Ruleset, diff, translate
from nptables.model import Node
from nptables.model.node import NodeFacts
from nptables.translation import Translation
from nptables.translation.facts_from_rules import ShownFacts, changed_facts, shown_facts, suspicions
from tests.support.scenarios import NAMED, Scenario, named_scenario, random_scenarios


def rules_of(
    scenario: Scenario, family: Family, config: dict[str, Any], current: Ruleset
) -> tuple[Translation, Node]:
    """The rules of the scenario's objects, with a configuration and the facts that are shown."""
    cluster = Cluster.from_objects(scenario.objects, lenient=True)
    node = shown_facts(current).added_to(cluster.node(scenario.node))
    return translate(cluster, node, ProxyConfig.from_kube_proxy(config), family), node


def with_fields(config: dict[str, Any], fields: set[str]) -> dict[str, Any]:
    """Of a configuration the fields that are named, and nothing else that is not the default."""
    bare = {key: config[key] for key in ("apiVersion", "kind", "mode")}
    for field in fields:
        section, _, key = field.rpartition(".")
        if section:
            bare.setdefault(section, {})[key] = config[section][key]
        else:
            bare[field] = config[field]
        if section == "detectLocal":
            bare["detectLocalMode"] = config["detectLocalMode"]
    return bare


def check(scenario: Scenario, family: Family) -> None:
    current = Ruleset.from_save(scenario.dumps[family.name], family=family)
    own, node = rules_of(scenario, family, scenario.config, current)
    assert not diff(current, own)
    assert suspicions(current, own, node) == []

    # One field may hide another, so each field that is named is given, until nothing differs.
    named: set[str] = set()
    while True:
        config = with_fields(scenario.config, named)
        rules, node = rules_of(scenario, family, config, current)
        found = {suspicion.field for suspicion in suspicions(current, rules, node)}
        assert bool(found) is bool(diff(current, rules))
        if not found:
            break
        assert not found & named
        named |= found


@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize("name", NAMED)
def test_a_dump_shows_the_facts_it_was_made_with_and_names_the_fields_that_differ(
    name: str, family: Family
) -> None:
    check(named_scenario(name), family)


@pytest.mark.parametrize("family", Family)
def test_it_does_so_whatever_is_mixed(family: Family) -> None:
    for scenario in random_scenarios().values():
        check(scenario, family)


# The values stand in kube-proxy.yaml of each scenario; the clusterCIDR of most is 10.233.64.0/18.
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("masquerade-bit-5", "iptables.masqueradeBit: 5"),
        ("masquerade-all", "iptables.masqueradeAll: true"),
        ("clusterip", "clusterCIDR: 10.233.64.0/18"),
        ("detect-local-node-cidr", "detectLocalMode: NodeCIDR (or clusterCIDR: 10.233.64.0/24)"),
        ("detect-local-bridge", "detectLocal.bridgeInterface: cni0"),
        ("detect-local-interface-prefix", "detectLocal.interfaceNamePrefix: veth"),
        ("localhost-nodeports-off", "iptables.localhostNodePorts: false"),
        ("nodeport-addresses-cidr", "nodePortAddresses: networks with 192.168.0.2"),
        ("nodeport-addresses-no-match", "nodePortAddresses: networks with no address of the node"),
        ("bind-address-overrides-node-ip", "bindAddress: an address in 172.16.0.0/12"),
        ("external-ips-gate-off", "featureGates.AllowServiceExternalIPs: false"),
    ],
)
def test_a_suspicion_says_what_the_rules_were_made_with(name: str, said: str) -> None:
    scenario = named_scenario(name)
    current = Ruleset.from_save(scenario.dumps["IPV4"])
    rules, node = rules_of(scenario, Family.IPV4, with_fields(scenario.config, set()), current)

    assert said in map(str, suspicions(current, rules, node))


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("detect-local-none", {"clusterCIDR": "10.9.0.0/16"}, "clusterCIDR: none"),
        ("clusterip", {"clusterCIDR": "10.9.0.0/16"}, "clusterCIDR: 10.233.64.0/18"),
        ("clusterip", {"iptables": {"masqueradeAll": True}}, "iptables.masqueradeAll: false"),
        (
            "nodeport-cluster-policy",
            {"iptables": {"localhostNodePorts": False}},
            "iptables.localhostNodePorts: true",
        ),
        ("nodeport-cluster-policy", {"nodePortAddresses": ["primary"]}, "nodePortAddresses: none"),
        ("nodeport-cluster-policy", {"conntrack": {"tcpBeLiberal": True}}, "tcpBeLiberal: false"),
        (
            "external-ips",
            {"featureGates": {"AllowServiceExternalIPs": False}},
            "featureGates.AllowServiceExternalIPs: true",
        ),
    ],
)
def test_a_configuration_that_was_given_may_be_the_wrong_one(
    name: str, given: dict[str, Any], said: str
) -> None:
    scenario = named_scenario(name)
    current = Ruleset.from_save(scenario.dumps["IPV4"])
    config = {**with_fields(scenario.config, set()), **given}
    rules, node = rules_of(scenario, Family.IPV4, config, current)

    assert [text for text in map(str, suspicions(current, rules, node)) if said in text]


def without(ruleset: Ruleset, words: str) -> Ruleset:
    """The ruleset without the lines that hold these words."""
    tables = {
        name: attrs.evolve(
            table,
            chains={
                chain: tuple(line for line in lines if words not in line)
                for chain, lines in table.chains.items()
            },
        )
        for name, table in ruleset.tables.items()
    }
    return Ruleset(ruleset.family, tables)


@pytest.mark.parametrize(
    "lost",
    [
        "-A KUBE-",  # every chain flushed
        "-A KUBE-SERVICES",
        "external IP",  # the node has not heard of the Service's external IP
        "10.233.64.5",
        "-j KUBE-SERVICES",
    ],
)
def test_lost_rules_are_no_other_configuration(lost: str) -> None:
    scenario = named_scenario("external-ips")
    whole = Ruleset.from_save(scenario.dumps["IPV4"])
    current = without(whole, lost)
    if lost == "external IP":
        current = without(current, "cluster IP")
    rules, node = rules_of(scenario, Family.IPV4, scenario.config, whole)

    assert diff(current, rules)
    assert suspicions(current, rules, node) == []


def test_a_node_without_our_rules_shows_nothing() -> None:
    empty = Ruleset.from_save("*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n")
    scenario = named_scenario("external-ips")
    rules, node = rules_of(scenario, Family.IPV4, scenario.config, empty)

    assert shown_facts(empty) == ShownFacts(None, None, None, ())
    assert suspicions(empty, rules, node) == []


def test_masquerading_without_random_fully_shows() -> None:
    dump = named_scenario("clusterip").dumps["IPV4"]

    assert shown_facts(Ruleset.from_save(dump)).random_fully is True
    assert shown_facts(Ruleset.from_save(dump.replace(" --random-fully", ""))) == ShownFacts(
        nfacct=False, tcp_be_liberal=False, random_fully=False
    )


def test_addresses_that_node_ports_answer_on_are_the_nodes_where_nobody_says_otherwise() -> None:
    dump = (
        named_scenario("nodeport-addresses-cidr")
        .dumps["IPV4"]
        .replace("192.168.0.2/", "192.168.0.77/")
    )
    shown = shown_facts(Ruleset.from_save(dump))
    node = Cluster().node("node1")
    told = Cluster().node("node1", {"interfaces": {"eth0": ["192.168.0.2/24"]}})

    assert shown.addresses == ("192.168.0.77",)
    assert shown.added_to(node).interface_addresses(Family.IPV4) == ("127.0.0.1", "192.168.0.77")
    assert shown.added_to(told).interface_addresses(Family.IPV4) == ("192.168.0.2",)


def test_facts_that_changed_are_those_of_the_second_as_a_file_has_them() -> None:
    before = NodeFacts.from_mapping({"nfacct": True, "randomFully": True, "tcpBeLiberal": False})
    after = NodeFacts.from_mapping({"nfacct": False, "randomFully": False, "tcpBeLiberal": False})

    assert changed_facts(before, after, ProxyConfig()) == ["nfacct: false", "randomFully: false"]
    assert changed_facts(before, before, ProxyConfig()) == []
    # kube-proxy counts packets from 1.31 on: before, nfacct means nothing to it.
    doc = {"apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration"}
    for version, counted in (("1.30", []), ("1.31", ["nfacct: false"])):
        config = ProxyConfig.from_kube_proxy(doc, version=version)
        assert changed_facts(before, after, config) == [*counted, "randomFully: false"]
