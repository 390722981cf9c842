"""Findings about a node's tables and settings."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from nptables import Cluster, Family, ProxyConfig, Ruleset, diff, translate
from nptables.checks import NodeState, check_node
from nptables.evidence import Bridge
from nptables.translation.flows import Flow
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


def test_a_foreign_rule_between_our_jumps_is_found() -> None:
    # What it drops comes to KUBE-PROXY-FIREWALL, but not to KUBE-FORWARD.
    rule = "-A FORWARD -s 10.0.0.0/8 -j DROP"

    def between(text: str) -> str:
        jump = next(line for line in text.splitlines() if line.endswith("-j KUBE-FORWARD"))
        return text.replace(jump, f"{rule}\n{jump}")

    assert codes(between)["NPT502"] == f"filter: {rule}"


@pytest.mark.parametrize("table", ["raw", "mangle"])
def test_a_rule_that_drops_is_found_in_tables_that_come_before_ours(table: str) -> None:
    rule = "-A PREROUTING -d 10.96.0.0/12 -j DROP"
    more = f"*{table}\n:PREROUTING ACCEPT [0:0]\n{rule}\nCOMMIT\n"

    assert codes(lambda text: text + more)["NPT502"] == f"{table}: {rule}"


@pytest.mark.parametrize(
    "rule",
    [
        # Chains of others may be called so.
        "-A FORWARD -j DROP-INVALID",
        '-A FORWARD -m comment --comment "was -j DROP once" -j ACCEPT',
    ],
)
def test_a_foreign_rule_that_only_speaks_of_dropping_is_not_found(rule: str) -> None:
    def before(text: str) -> str:
        chain = text.replace(":FORWARD", ":DROP-INVALID - [0:0]\n:FORWARD", 1)
        return chain.replace("-A FORWARD", f"{rule}\n-A FORWARD", 1)

    assert "NPT502" not in codes(before)


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


def test_a_rule_that_drops_everything_in_a_shared_chain_is_an_error() -> None:
    rule = '-A KUBE-FIREWALL -m comment --comment "dropping marked packets" -j DROP'

    def broken(text: str) -> str:
        return text.replace("-A KUBE-FIREWALL", f"{rule}\n-A KUBE-FIREWALL", 1)

    # The chain is the kubelet's too, so its rules are no difference and no drift.
    assert codes(broken) == {"NPT513": f"IPv4 filter KUBE-FIREWALL: it drops every packet: {rule}"}


def test_a_family_without_services_needs_no_forwarding() -> None:
    cluster = Cluster.from_objects([*NODES, service(), endpoint_slice(*ON_BOTH)])
    desired = translate(cluster, cluster.node("node2"), CONFIG, Family.IPV6)
    dump = desired.to_save().replace(":FORWARD ACCEPT", ":FORWARD DROP")
    plan = diff(Ruleset.from_save(dump, family=Family.IPV6), desired)
    state = NodeState("node2", plan, {"net/ipv6/conf/all/forwarding": "0"})

    assert check_node(state, CONFIG, desired.context) == []


def test_a_chain_that_an_older_kube_proxy_never_made_lacks_no_jump() -> None:
    def older(text: str) -> str:
        return "".join(
            line for line in text.splitlines(keepends=True) if "KUBE-PROXY-FIREWALL" not in line
        )

    assert codes(older) == {"NPT511": "IPv4 filter differs in KUBE-PROXY-FIREWALL"}


def test_nothing_is_stale_or_different_where_endpoints_were_not_read() -> None:
    unread = endpoint_slice({"addresses": ["10.244.1.256"]})
    unread["metadata"]["name"] = "web-2"
    whole = Cluster.from_objects([*NODES, service(), endpoint_slice(*ON_BOTH)])
    part = Cluster.from_objects([*NODES, service(), unread], lenient=True)
    node = whole.node("node2")
    current = translate(whole, node, CONFIG, Family.IPV4)
    flows = (Flow(("10.96.0.10", 80), ("10.244.1.5", 8080)),)
    desired = translate(part, node, CONFIG, Family.IPV4)

    plan = diff(Ruleset.from_save(current.to_save()), desired)

    assert plan
    assert check_node(NodeState("node2", plan, flows=flows), CONFIG, desired.context) == []


def udp(number: int, answers: tuple[str, int]) -> Flow:
    return Flow(("10.96.0.10", 53), answers, (f"10.244.9.{number}", 40000))


def connections(*flows: Flow) -> list[str]:
    ports = [{"name": "http", "port": 53, "nodePort": 30053, "protocol": "UDP"}]
    slices = endpoint_slice(*ON_BOTH, ports=[{"name": "http", "port": 8053, "protocol": "UDP"}])
    cluster = Cluster.from_objects([*NODES, service(ports=ports), slices])
    desired = translate(cluster, cluster.node("node2"), CONFIG, Family.IPV4)
    plan = diff(Ruleset.from_save(desired.to_save()), desired)
    found = check_node(NodeState("node2", plan, flows=flows), CONFIG, desired.context)
    return [f"{finding.what.code} {finding.message}" for finding in found]


def test_connections_to_an_endpoint_that_is_gone_are_found_together() -> None:
    alive, gone = ("10.244.1.5", 8053), ("10.244.1.4", 8053)

    assert connections(udp(1, alive)) == []
    (found,) = connections(udp(1, gone), udp(2, alive), udp(3, gone))
    assert found == (
        "NPT514 UDP from 10.244.9.1:40000, 10.244.9.3:40000 to 10.96.0.10:53 goes to "
        "10.244.1.4:8053, which is not an endpoint any more"
    )


def test_a_connection_through_a_node_port_counts_on_addresses_of_the_node() -> None:
    gone = ("10.244.1.4", 8053)
    here, elsewhere = Flow(("192.168.0.12", 30053), gone), Flow(("192.168.0.77", 30053), gone)

    assert len(connections(here)) == 1
    assert connections(elsewhere) == []


def test_a_bridge_with_endpoints_needs_hairpin_mode() -> None:
    def found(network: str, *off: str) -> dict[str, str]:
        return codes(bridges=(Bridge("cni0", (network,), off),))

    assert found("10.244.1.0/24", "veth1", "veth2") == {
        "NPT515": "hairpin mode is off on veth1, veth2 of the bridge cni0"
    }
    assert found("10.244.1.0/24") == {}
    # docker0 and the like have no endpoint behind them.
    assert found("172.17.0.0/16", "veth1") == {}


def test_the_worst_findings_come_first() -> None:
    found = codes(
        lambda text: text.replace(":FORWARD ACCEPT", ":FORWARD DROP"),
        settings={"net/ipv4/ip_forward": "0"},
        kube_proxy="kube-proxy runs as process 7",
    )

    # An error, a warning, an info; by code it would be 501, 505, 512.
    assert list(found) == ["NPT505", "NPT501", "NPT512"]
