"""What is checked in evidence that was taken on another machine."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from nptables import Cluster, Family, ProxyConfig, Ruleset, diff, translate
from nptables.checks import check_node
from nptables.checks.observed import observed
from nptables.evidence import Bridge, Evidence, Form, Process, RecentList, Unread
from nptables.model import NodeFacts
from nptables.translation.flows import Flow
from tests.tracing.test_reasons import NODES, ON_BOTH, endpoint_slice, service

CONFIG = ProxyConfig(cluster_cidrs=("10.244.0.0/16",))
CLUSTER = Cluster.from_objects([*NODES, service(), endpoint_slice(*ON_BOTH)])
DESIRED = translate(CLUSTER, CLUSTER.node("node2"), CONFIG, Family.IPV4)
RULES = attrs.evolve(Ruleset.from_save(DESIRED.to_save()), backend="nft")
LIST = next(name for name in RULES.tables["nat"].chains if name.startswith("KUBE-SEP-"))
DROPPING = attrs.evolve(
    Ruleset.from_save("*filter\n:FORWARD DROP [0:0]\nCOMMIT\n"), backend="legacy"
)
MINE = {"chain": {"family": "inet", "table": "mine", "name": "f", "hook": "forward"}}
NFTABLES = {"chain": {"family": "ip", "table": "kube-proxy", "name": "services"}}


def found(*, here: bool = False, rules: Any = (RULES,), **evidence: Any) -> dict[str, str]:
    """The findings for a node that has what it should have, and something besides."""
    held = Evidence(Form.SNAPSHOT, rules, **evidence)
    state = observed("node2", diff(rules[0], DESIRED), held, here=here)
    return {f.what.code: f.message for f in check_node(state, CONFIG, DESIRED.context)}


@pytest.mark.parametrize(
    ("evidence", "code", "message"),
    [
        ({"sysctls": {"net/ipv4/ip_forward": "0"}}, "NPT505", "net.ipv4.ip_forward is 0"),
        (
            {"native": (MINE,)},
            "NPT503",
            "nft table inet mine has chains of its own at forward, which are not followed",
        ),
        (
            {"native": (NFTABLES,)},
            "NPT517",
            (
                "Services on node2 are probably handled by kube-proxy in mode nftables (nft "
                "table ip kube-proxy), not by the rules of mode iptables (`nft list table ip "
                "kube-proxy` on node2 tells)"
            ),
        ),
        (
            {"facts": NodeFacts(interfaces={"kube-ipvs0": ("10.96.0.1/32",)})},
            "NPT504",
            "interface kube-ipvs0 of mode ipvs is there",
        ),
        (
            {"unread": (Unread("legacy", Family.IPV4, ("filter",)),)},
            "NPT503",
            "the legacy tables hold rules too: filter",
        ),
        (
            {"bridges": (Bridge("cni0", ("10.244.0.0/16",), ("veth1",)),)},
            "NPT515",
            "hairpin mode is off on veth1 of the bridge cni0",
        ),
        (
            {"recent": (RecentList(LIST, 100),), "recent_limit": 100},
            "NPT516",
            f"the lists {LIST} hold 100 addresses and can hold no more",
        ),
    ],
)
def test_each_thing_that_was_seen_gives_its_finding(
    evidence: dict[str, Any], code: str, message: str
) -> None:
    assert found() == {}
    assert found(**evidence) == {code: message}


def test_the_tables_of_the_other_backend_are_checked_as_well() -> None:
    assert found(rules=(RULES, DROPPING)) == {
        "NPT501": "the IPv4 policy of filter FORWARD is DROP in the legacy tables",
        "NPT503": "the legacy tables hold rules too: filter FORWARD",
    }


def test_a_running_kube_proxy_is_in_the_way_only_on_this_node() -> None:
    running = (Process("kube-proxy", 12),)

    assert found(processes=running) == {}
    assert found(processes=running, here=True) == {"NPT512": "kube-proxy (pid 12)"}


def test_rules_of_a_node_where_another_handles_services_are_not_compared() -> None:
    """The leftovers of mode iptables lack half of what they should have."""
    halved = RULES.to_save().replace("-A PREROUTING", "#-A PREROUTING")
    left = Ruleset.from_save(halved)

    assert set(found(rules=(left,))) == {"NPT509"}
    assert set(found(rules=(left,), native=(NFTABLES,))) == {"NPT517"}


def test_where_rules_lead_elsewhere_than_the_cluster_is_a_finding() -> None:
    state = observed(
        "node2", diff(RULES, DESIRED), Evidence(Form.SNAPSHOT, (RULES,)), behind="it is behind"
    )

    (only,) = check_node(state, CONFIG, DESIRED.context)
    assert (only.what.code, only.message) == ("NPT518", "it is behind")


@pytest.mark.parametrize(
    "evidence",
    [
        {"recent": (RecentList(LIST, 99),), "recent_limit": 100},
        {"recent": (RecentList("SSH", 100),), "recent_limit": 100},
        {"recent": (RecentList(LIST, 100),)},
        {"unread": (Unread("legacy", Family.IPV6, ("filter",)),)},
        {"flows": (Flow(("fd00::1", 53), ("fd00::2", 53)),)},
    ],
    ids=["room-for-one", "not-ours", "limit-unknown", "other-family", "flow-of-the-other-family"],
)
def test_what_is_not_of_this_family_or_not_ours_is_no_finding(evidence: dict[str, Any]) -> None:
    assert found(**evidence) == {}
