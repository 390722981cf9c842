"""Findings about a node's tables and settings."""

from __future__ import annotations

from typing import Any

import attrs

from nptables import Cluster, Family, ProxyConfig, Ruleset, diff, translate
from nptables.checks import NodeState, check_node
from tests.tracing.test_reasons import NODES, ON_BOTH, endpoint_slice, service

CONFIG = ProxyConfig(cluster_cidrs=("10.244.0.0/16",))


def codes(change: Any = lambda text: text, **state: Any) -> dict[str, str]:
    """The findings for a node whose dump is what it shall be, but for a change."""
    cluster = Cluster.from_objects([*NODES, service(), endpoint_slice(*ON_BOTH)])
    desired = translate(cluster, cluster.node("node2"), CONFIG, Family.IPV4)
    plan = diff(Ruleset.from_save(change(desired.to_save())), desired)
    found = check_node(NodeState("node2", plan, **state), CONFIG, desired.context)
    return {finding.what.code: finding.message for finding in found}


def test_a_node_as_it_shall_be_has_no_finding() -> None:
    settings = {
        "net/ipv4/ip_forward": "1",
        "net/ipv4/conf/all/route_localnet": "1",
        "net/ipv4/conf/all/rp_filter": "0",
        "net/ipv4/conf/cni0/rp_filter": "2",
        "net/netfilter/nf_conntrack_tcp_be_liberal": "1",
    }

    assert codes(settings=settings) == {}


def test_a_forward_policy_that_drops_is_found() -> None:
    assert "NPT501" in codes(lambda text: text.replace(":FORWARD ACCEPT", ":FORWARD DROP"))


def test_a_foreign_rule_before_ours_is_found_and_one_behind_is_not() -> None:
    rule = "-A FORWARD -s 10.0.0.0/8 -j DROP"

    def before(text: str) -> str:
        return text.replace("-A FORWARD", f"{rule}\n-A FORWARD", 1)

    def behind(text: str) -> str:
        last = text.rindex("-A FORWARD")
        end = text.index("\n", last) + 1
        return f"{text[:end]}{rule}\n{text[end:]}"

    assert codes(before)["NPT502"] == f"filter: {rule}"
    assert codes(behind) == {}


def test_missing_jumps_stale_chains_and_drift_are_found() -> None:
    def flushed(text: str) -> str:
        return "".join(
            line for line in text.splitlines(keepends=True) if not line.startswith("-A PREROUTING")
        )

    def stale(text: str) -> str:
        name = ":KUBE-SVC-AAAAAAAAAAAAAAAA - [0:0]\n"
        return text.replace(":KUBE-SERVICES", f"{name}:KUBE-SERVICES", 1)

    assert "-A PREROUTING" in codes(flushed)["NPT509"]
    assert codes(stale)["NPT510"] == "IPv4 nat holds KUBE-SVC-AAAAAAAAAAAAAAAA"
    assert "NPT511" in codes(lambda text: text.replace("10.244.1.5:8080", "10.244.1.6:8080"))


def test_settings_that_stop_packets_are_found() -> None:
    settings = {
        "net/ipv4/ip_forward": "0",
        "net/ipv4/conf/all/route_localnet": "0",
        "net/ipv4/conf/all/rp_filter": "0",
        "net/ipv4/conf/default/rp_filter": "1",
        "net/ipv4/conf/cni0/rp_filter": "1",
        "net/netfilter/nf_conntrack_tcp_be_liberal": "0",
    }

    found = codes(settings=settings)

    assert sorted(found) == ["NPT505", "NPT506", "NPT507", "NPT508"]
    assert found["NPT507"] == "rp_filter is 1 (strict) on cni0"


def test_a_loose_filter_on_all_makes_the_strict_one_of_an_interface_loose() -> None:
    # The larger value holds: 2 (loose) over 1 (strict).
    settings = {"net/ipv4/conf/all/rp_filter": "2", "net/ipv4/conf/cni0/rp_filter": "1"}

    assert codes(settings=settings) == {}


def test_what_the_other_backend_drops_is_found() -> None:
    """A packet passes its tables as well, before or after ours."""
    text = "*filter\n:FORWARD DROP [0:0]\n:X - [0:0]\n-A FORWARD -s 10.0.0.0/8 -j DROP\nCOMMIT\n"
    beside = attrs.evolve(Ruleset.from_save(text), backend="nft")

    found = codes(beside=beside)

    assert found == {
        "NPT501": "the IPv4 policy of filter FORWARD is DROP in the nft tables",
        "NPT502": "filter: -A FORWARD -s 10.0.0.0/8 -j DROP in the nft tables",
    }


def test_others_beside_us_are_found() -> None:
    found = codes(
        other_rules=("the nft tables hold rules too",),
        leftovers=("interface kube-ipvs0 of mode ipvs is there",),
        kube_proxy="kube-proxy runs as process 7",
    )

    assert sorted(found) == ["NPT503", "NPT504", "NPT512"]
