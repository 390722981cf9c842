"""Versions of kube-proxy: how they are written, and what a configuration says to each."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nptables import Cluster, InvalidInput, ProxyConfig
from nptables.model.addresses import (
    parse_ip,
    parse_ip_octal,
    parse_network_octal,
    parse_network_sloppy,
)
from nptables.model.kubeproxy import NEWEST, VERSIONS, Version, in_force
from tests.support.clusters import clusters


def read(version: str | None = None, **fields: Any) -> ProxyConfig:
    return ProxyConfig.from_kube_proxy(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            **fields,
        },
        version=version,
    )


@pytest.mark.parametrize(
    "text",
    ["1.30", "v1.30", "1.30.4", "v1.30.4", "v1.30.4-eks-a18cd3a", "v1.30.4+k3s1", " v1.30.0-rc.1 "],
)
def test_a_patch_or_a_vendor_makes_no_other_version(text: str) -> None:
    assert Version.parse(text) == Version(1, 30)


@pytest.mark.parametrize(
    "text", ["", "1", "30", "1.x", "version 1.30", "1.30 or so", "\u0661.\u0663"]
)
def test_what_is_no_version_is_none(text: str) -> None:
    assert Version.parse(text) is None


def test_without_a_version_it_is_the_newest_and_nothing_is_said() -> None:
    assert (read().version, read().remarks) == (NEWEST, ())
    assert read() == ProxyConfig()


@pytest.mark.parametrize(
    ("asked", "taken", "said"),
    [("1.26", "1.27", "older than"), ("v1.99.0", str(NEWEST), "newer than")],
)
def test_a_version_that_is_not_known_stands_for_the_nearest(
    asked: str, taken: str, said: str
) -> None:
    config = read(asked)

    assert str(config.version) == taken
    assert len(config.remarks) == 1
    assert said in config.remarks[0]


def test_what_is_no_version_is_an_error() -> None:
    with pytest.raises(InvalidInput, match='"latest" is not a version'):
        read("latest")


def test_versions_are_in_the_order_of_numbers() -> None:
    assert Version(1, 9) < Version(1, 27)
    assert list(VERSIONS) == sorted(VERSIONS)


GATE = {"featureGates": {"ServiceTrafficDistribution": False}}


@pytest.mark.parametrize(
    ("version", "fields", "field"),
    [
        ("1.35", {"featureGates": {"AllowServiceExternalIPs": False}}, "AllowServiceExternalIPs"),
        ("1.28", {"conntrack": {"tcpBeLiberal": True}}, "conntrack.tcpBeLiberal"),
        ("1.28", {"conntrack": {"udpTimeout": "30s"}}, "conntrack.udpTimeout"),
        ("1.29", GATE, "ServiceTrafficDistribution"),
        ("1.28", {"featureGates": {"LoadBalancerIPMode": True}}, "LoadBalancerIPMode"),
    ],
)
def test_a_setting_that_came_later_has_no_effect_and_gives_a_warning(
    version: str, fields: dict[str, Any], field: str
) -> None:
    config = read(version, **fields)

    assert config == read(version)
    assert len(config.remarks) == 1
    assert field in config.remarks[0]
    assert f"kube-proxy {version} does not know it" in config.remarks[0]


# From the pages of the gates in the documentation of Kubernetes: `toVersion` of the stable stage.
@pytest.mark.parametrize(
    ("gate", "last", "next_"),
    [
        ("ServiceInternalTrafficPolicy", "1.27", "1.28"),
        ("ProxyTerminatingEndpoints", "1.29", "1.30"),
        ("LoadBalancerIPMode", "1.34", "1.35"),
    ],
)
def test_a_gate_that_is_gone_has_no_effect_and_gives_a_warning(
    gate: str, last: str, next_: str
) -> None:
    fields = {"featureGates": {gate: True}}

    assert read(last, **fields).remarks == ()
    assert read(next_, **fields) == read(next_)
    (remark,) = read(next_, **fields).remarks
    assert f"kube-proxy {next_} does not know it, {last} is the last that does" in remark


def test_a_setting_that_says_what_is_anyway_so_gives_no_warning() -> None:
    # Everybody's configuration has it: kubeadm writes it.
    assert read("1.28", conntrack={"tcpBeLiberal": False}).remarks == ()


@pytest.mark.parametrize(
    ("version", "fields", "said"),
    [
        ("1.30", {"nodePortAddresses": ["primary"]}, "primary needs kube-proxy 1.31 or later"),
        ("1.33", GATE, "like every version from 1.33"),
        ("1.28", {"featureGates": {"ProxyTerminatingEndpoints": False}}, "from 1.28"),
        ("1.36", {"featureGates": {"LoadBalancerIPMode": False}}, "from 1.32"),
        ("1.33", {"featureGates": {"TopologyAwareHints": False}}, "from 1.33"),
        ("1.35", {"featureGates": {"PreferSameTrafficDistribution": False}}, "from 1.35"),
        ("1.28", {"featureGates": {"EndpointSliceProxying": False}}, "from 1.22"),
        ("1.28", {"featureGates": {"ServiceInternalTrafficPolicy": False}}, "from 1.26"),
    ],
)
def test_what_a_version_refuses_is_an_error_that_says_since_when(
    version: str, fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidInput) as raised:
        read(version, **fields)

    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("gate", "habit", "first", "on"),
    [
        ("PreferSameTrafficDistribution", "node-hints", "1.33", "1.34"),
        ("ServiceTrafficDistribution", "hints-without-annotation", "1.30", "1.31"),
        ("LoadBalancerIPMode", "ip-mode", "1.29", "1.30"),
    ],
)
def test_a_gate_decides_while_it_can_be_set(gate: str, habit: str, first: str, on: str) -> None:
    assert habit not in read(first).habits
    assert habit in read(first, featureGates={gate: True}).habits
    assert habit in read(on).habits
    assert habit not in read(on, featureGates={gate: False}).habits


# From pkg/features/kube_features.go: since when each is alpha, beta and released.
@pytest.mark.parametrize(
    ("habit", "alpha", "beta", "released"),
    [
        ("node-hints", "1.33", "1.34", "1.35"),
        ("hints-without-annotation", "1.30", "1.31", "1.33"),
        ("ip-mode", "1.29", "1.30", "1.32"),
        ("zone-hints", None, "1.27", "1.33"),
        ("terminating-fallback", None, "1.27", "1.28"),
    ],
)
def test_all_alpha_and_all_beta_set_the_gates_of_their_stage_alone(
    habit: str, alpha: str | None, beta: str, released: str
) -> None:
    if alpha is not None:
        assert habit in read(alpha, featureGates={"AllAlpha": True}).habits
        assert habit not in read(alpha, featureGates={"AllBeta": True}).habits
    assert habit not in read(beta, featureGates={"AllBeta": False}).habits
    assert habit in read(beta, featureGates={"AllAlpha": False}).habits
    assert habit in read(released, featureGates={"AllAlpha": False, "AllBeta": False}).habits


@pytest.mark.parametrize("step", [1, -1])
def test_a_gate_that_is_named_is_not_set_by_all_beta(step: int) -> None:
    """The order in the file does not matter: component-base ends with what is named."""
    both = [("LoadBalancerIPMode", True), ("AllBeta", False)]

    config = read("1.31", featureGates=dict(both[::step]))

    assert "ip-mode" in config.habits
    assert "hints-without-annotation" not in config.habits


def test_all_beta_leaves_the_deprecated_gate_of_external_ips_on() -> None:
    assert read("1.36", featureGates={"AllBeta": False, "AllAlpha": False}) == read("1.36")


def test_a_configuration_made_by_hand_has_the_habits_of_its_version() -> None:
    assert ProxyConfig(version=Version(1, 29)).habits == in_force(Version(1, 29))


# What iptables-save of 1.8.9 shows of each: recorded in sloppy-external-ip, sloppy-source-range
# and mapped-external-ip; 8 is no octal digit.
@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("198.051.100.020", "198.41.100.16"),
        ("198.51.100.20", "198.51.100.20"),
        ("198.51.100.0400", None),
        ("198.08.100.20", None),
        ("::ffff:198.51.100.20", "198.51.100.20"),
        ("::ffff:198.051.100.20", None),
        ("2001:DB8::1", "2001:db8::1"),
    ],
)
def test_iptables_reads_leading_zeros_as_octal(text: str, found: str | None) -> None:
    assert parse_ip_octal(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("198.051.100.0/24", "198.41.100.0/24"),
        ("10.0.0.9/8", "10.0.0.0/8"),
        ("10.0.0.0/010", "10.0.0.0/8"),
        ("10.0.0.0/08", None),
        ("::ffff:10.0.0.0/104", None),
        ("2001:db8::1/32", "2001:db8::/32"),
    ],
)
def test_iptables_reads_networks_in_the_same_way(text: str, found: str | None) -> None:
    assert parse_network_octal(text) == found


@given(st.ip_addresses().map(str))
def test_a_usual_address_is_the_same_to_iptables(text: str) -> None:
    # inet_ntop, which canonical text comes from, is the judge of what is usual.
    usual = parse_ip(text)
    if usual is not None:
        assert parse_ip_octal(usual) == usual


@given(clusters, st.sampled_from(VERSIONS))
def test_to_look_twice_at_a_cluster_changes_nothing(
    objects: list[dict[str, Any]], version: Version
) -> None:
    habits = in_force(version)
    seen = Cluster.from_objects(objects, lenient=True).seen_by(habits)

    again = Cluster(seen.services, seen.slices, seen.nodes, seen.problems).seen_by(habits)

    assert again == seen


@pytest.mark.parametrize(
    ("text", "network"),
    [
        # Go prints a mapped network with IPv4's last 32 bits where its mask leaves the mapping.
        ("::ffff:10.1.2.3/104", "10.0.0.0/8"),
        ("::ffff:10.1.2.3/96", "0.0.0.0/0"),
        ("::ffff:10.1.2.3/95", "::fffe:0:0/95"),
    ],
)
def test_a_mapped_network_is_one_of_ipv4_from_96_bits_on(text: str, network: str) -> None:
    assert parse_network_sloppy(text) == network
