"""What nft's own rules mean for readers of the iptables tables."""

from __future__ import annotations

from typing import Any

from nptables.evidence.native import kube_proxy_tables, native_rules, native_tables
from nptables.family import Family


def chain(family: str, table: str, name: str, hook: str = "") -> dict[str, Any]:
    hooked = {"hook": hook, "prio": 0, "type": "filter", "policy": "accept"} if hook else {}
    return {"chain": {"family": family, "table": table, "name": name, "handle": 1, **hooked}}


def rule(family: str, table: str, name: str, *expressions: Any) -> dict[str, Any]:
    found = {"family": family, "table": table, "chain": name, "handle": 7}
    return {"rule": {**found, "expr": list(expressions)}}


COUNTED = {"counter": {"packets": 0, "bytes": 0}}
OF_A_SET = {"match": {"op": "==", "left": {"payload": {}}, "right": "@banned"}}


def test_tables_with_chains_of_their_own_at_a_hook_are_named_by_family() -> None:
    objects = [
        {"metainfo": {"version": "1.0.6"}},
        chain("inet", "firewalld", "filter_INPUT", "input"),
        chain("inet", "firewalld", "filter_FORWARD", "forward"),
        chain("inet", "firewalld", "allow"),
        chain("ip6", "only6", "out", "output"),
        chain("ip", "nat", "PREROUTING", "prerouting"),
    ]

    firewalld = (
        "nft table inet firewalld has chains of its own at forward, input, which are not followed"
    )
    only6 = "nft table ip6 only6 has chains of its own at output, which are not followed"
    assert native_tables(objects, Family.IPV4) == [firewalld]
    assert native_tables(objects, Family.IPV6) == [firewalld, only6]


def test_a_rule_that_iptables_cannot_have_made_is_named_with_the_command_that_shows_it() -> None:
    objects = [
        rule("ip", "filter", "INPUT", OF_A_SET, COUNTED, {"drop": None}),
        rule("ip", "filter", "INPUT", {"drop": None}),
        rule("ip", "filter", "INPUT", COUNTED, {"drop": None}),
        rule("ip", "firewall", "in", {"drop": None}),
        rule("ip6", "filter", "INPUT", {"drop": None}),
    ]

    shown = "`nft -a list chain ip filter INPUT`"
    said = "filter INPUT holds a native nft rule (handle 7) that iptables prints wrongly: see it"
    assert native_rules(objects, Family.IPV4) == [f"{said} with {shown}"] * 2
    assert len(native_rules(objects, Family.IPV6)) == 1


def test_kube_proxys_table_of_mode_nftables_is_known_by_its_name() -> None:
    objects = [
        chain("ip6", "kube-proxy", "services"),
        chain("ip", "kube-proxy", "services"),
        chain("ip", "kube-proxy", "endpoint"),
        chain("ip", "nat", "kube-proxy"),
    ]

    assert kube_proxy_tables(objects) == ["ip", "ip6"]


def test_names_cannot_smuggle_in_a_line() -> None:
    (said,) = native_tables([chain("ip", "x\nerror: y", "in", "input")], Family.IPV4)

    assert "\n" not in said
