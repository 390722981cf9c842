"""What `nft list` prints as evidence: whole, in part, pasted, old and new, text and JSON."""

from __future__ import annotations

import json
import re

import pytest

from nptables import Cluster, Family, Ruleset, diff, trace
from nptables.evidence import Evidence, Form
from nptables.evidence.handlers import handlers
from nptables.evidence.handling import Handler
from nptables.iptables.unshown import UNREAD_MATCH
from nptables.sources import evidence_in
from nptables.tracing import Verdict, missing_tables, packet_between
from tests.support.scenarios import FIXTURES, named_scenario

VERSIONS = ("0.9.8", "1.0.6", "1.1.3")
NAMED = ("nodeport-affinity-10s", "ten-endpoints", "loadbalancer-source-ranges")
NODE = (FIXTURES / "nft" / "node.1.0.6.nft").read_text()


def printed(name: str, version: str, form: str = "nft") -> str:
    return (FIXTURES / "nft" / f"{name}.{version}.{form}").read_text()


def outcomes(evidence: Evidence, name: str, destination: str) -> list[set[tuple[str, str]]]:
    """Where a packet from outside may end, in each case that there is."""
    scenario = named_scenario(name)
    node = scenario.cluster.node(scenario.node, facts=scenario.facts)
    rules = evidence.of(Family.IPV4)
    packet = packet_between("outside", destination, node=node, family=Family.IPV4)
    answer = trace(rules, packet, node, unknown_tables={node.name: missing_tables(rules)})
    return [{(o.verdict.value, o.where) for o in d.outcomes} for d in answer.distributions]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("form", ["nft", "json"])
@pytest.mark.parametrize("name", NAMED)
def test_what_a_version_prints_is_no_drift(name: str, form: str, version: str) -> None:
    """What is not shown is taken to be as it should be, and notes say so."""
    found = evidence_in(printed(name, version, form))
    for family in Family:
        (rules,) = found.of(family)
        assert not diff(rules, named_scenario(name).rules(family.name))
    assert "comments of rules: nft does not print them" in map(str, found.gaps)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_rule_that_is_another_is_drift_all_the_same(version: str) -> None:
    text = printed("ten-endpoints", version).replace(
        "dnat to 10.233.64.5:80", "dnat to 10.9.9.9:80"
    )
    (rules,) = evidence_in(text).of(Family.IPV4)
    assert diff(rules, named_scenario("ten-endpoints").rules("IPV4"))


def test_shares_that_old_versions_do_not_print_are_open() -> None:
    """Nine of ten endpoints have a share that 0.9.8 prints nothing of, and 1.0.6 does."""
    old, new = (
        evidence_in(printed("ten-endpoints", version)).of(Family.IPV4)[0]
        for version in ("0.9.8", "1.0.6")
    )
    chain = next(c for c in new.tables["nat"].chains if c.startswith("KUBE-SVC-"))
    assert sum("-m unread " in line for line in old.lines("nat", chain)) == 9
    assert sum("--mode random" in line for line in new.lines("nat", chain)) == 9


def test_recent_without_its_values_is_a_case_for_each_endpoint() -> None:
    """Each endpoint for the clients seen there; for others, one of both."""
    both = {("endpoint", "10.233.64.5:80"), ("endpoint", "10.233.65.7:80")}
    found = evidence_in(printed("nodeport-affinity-10s", "1.1.3"))
    cases = outcomes(found, "nodeport-affinity-10s", "nodeport:30080")
    assert sorted([both, *({end} for end in both)], key=sorted) == sorted(cases, key=sorted)


def test_json_says_nothing_of_a_translation_and_nothing_is_claimed() -> None:
    found = evidence_in(printed("loadbalancer-source-ranges", "1.0.6", "json"))
    for case in outcomes(found, "loadbalancer-source-ranges", "nodeport:30080"):
        assert case & {("unknown", "192.168.0.2:30080"), ("node", "192.168.0.2:30080")}


def test_a_paste_is_read_as_the_text_itself() -> None:
    (plain,) = evidence_in(NODE).of(Family.IPV4)
    quoted = "\n".join(f"> {line}" for line in NODE.splitlines())
    for text in (
        f"root@node-a:~# sudo nft list ruleset\n{NODE}",
        f"Here it is:\n> ```\n> $ nft -a list ruleset\n{quoted}\n> ```\n",
        NODE.expandtabs(8),
        NODE.replace("\n", "\r\n"),
        NODE.replace("table ip nat {", "# Warning: table ip nat is managed by iptables-nft, do not "
                     "touch!\ntable ip nat { # handle 3"),
    ):  # fmt: skip
        (rules,) = evidence_in(text).of(Family.IPV4)
        assert (plain.tables, frozenset()) == (rules.tables, rules.unshown.open)


def test_one_table_leaves_the_others_open() -> None:
    text = NODE[NODE.index("table ip nat") : NODE.index("table ip filter")]
    found = evidence_in(f"# nft list table ip nat\n{text}")
    (rules,) = found.of(Family.IPV4)
    assert (["nat"], frozenset()) == (list(rules.tables), rules.unshown.open)
    assert {"filter", "raw", "mangle", "security"} == rules.unshown.tables


@pytest.mark.parametrize("lines", [40, 60])
def test_what_is_cut_off_may_have_more_rules(lines: int) -> None:
    found = evidence_in("\n".join(NODE.splitlines()[:lines]))
    (rules,) = found.of(Family.IPV4)
    assert Form.FRAGMENT is found.form
    assert rules.unshown.open


def test_chains_without_their_table_are_placed_by_their_names() -> None:
    lines = NODE.splitlines()
    first = next(i for i, line in enumerate(lines) if "chain KUBE-MARK-MASQ" in line)
    (rules,) = evidence_in("\n".join(lines[first : first + 3])).of(Family.IPV4)
    assert rules.lines("nat", "KUBE-MARK-MASQ") == (
        "-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000",
    )


def test_a_chain_begins_where_the_end_of_a_set_is_lost() -> None:
    text = (
        "table ip filter {\n\tset s {\n\t\ttype ipv4_addr\n"
        "\tchain FORWARD {\n\t\tip saddr 192.0.2.1 counter packets 0 bytes 0 drop\n\t}\n}\n"
    )
    (rules,) = evidence_in(text).of(Family.IPV4)

    assert rules.lines("filter", "FORWARD") == ("-A FORWARD -s 192.0.2.1/32 -j DROP",)


def test_kube_proxys_own_table_tells_who_handles_services() -> None:
    text = (FIXTURES / "cases" / "paste-S" / "nftrules.txt").read_text()
    for paste in (text, text + NODE):
        found = handlers(evidence_in(paste))
        assert [each.who for each in found.others] == [Handler.NFTABLES]
    document = json.loads(printed("node", "1.1.3", "json"))
    document["nftables"].append({"table": {"family": "ip", "name": "kube-proxy", "handle": 9}})
    assert Handler.NFTABLES in [
        each.who for each in handlers(evidence_in(json.dumps(document))).others
    ]


def test_a_node_without_tables_is_one() -> None:
    (rules,) = evidence_in(json.dumps({"nftables": [{"metainfo": {}}]})).of(Family.IPV4)
    assert Ruleset(Family.IPV4, {}) == rules


def test_a_text_whose_modules_were_missing_is_open_as_a_whole() -> None:
    """Without the modules of iptables nft drops what they would print: targets show it."""
    targets = r" +(?:meta mark set \w+ (?:x?or )?\w+|masquerade.*|dnat to .*)"
    matches = r"fib daddr .*local|meta random & \d+ < \d+ |xt match \w+ "
    text = re.sub(f"{targets}|{matches}", "", NODE)
    (rules,) = evidence_in(text).of(Family.IPV4)
    assert rules.unshown.open


@pytest.mark.parametrize(("count", "is_open"), [(6, False), (7, True)])
def test_many_rules_that_may_ask_for_more_are_one_question(count: int, *, is_open: bool) -> None:
    """The blank before a counter that is one too many: each may ask for what is not printed."""
    rules = "".join(
        f"\t\tip saddr 192.0.2.{n}  counter packets 0 bytes 0 drop\n" for n in range(count)
    )
    text = (
        "table ip filter {\n\tchain FORWARD {\n"
        f"\t\ttype filter hook forward priority filter; policy accept;\n{rules}\t}}\n}}\n"
    )
    (found,) = evidence_in(text).of(Family.IPV4)

    assert is_open is ("filter" in found.unshown.open)
    lines = found.lines("filter", "FORWARD")
    assert [UNREAD_MATCH in line for line in lines] == [not is_open] * count


@pytest.mark.parametrize(
    ("chain", "comments"),
    [
        ("KUBE-SEP-ABCDEFGHIJKLMNOP", 2), ("KUBE-FORWARD", 1), ("cali-FORWARD", 2),
        ("CNI-0123456789", 1), ("FLANNEL-FWD", 1), ("CILIUM_FORWARD", 1), ("ANTREA-FORWARD", 1),
        ("OVN-KUBE-NODEPORT", 1), ("DOCKER-USER", 0), ("ufw-user-forward", 0),
    ],
)  # fmt: skip
def test_as_many_comments_as_the_writer_of_a_chain_puts_into_a_rule_leave_nothing_open(
    chain: str, comments: int
) -> None:
    """Of a comment old versions of nft print nothing but the blank behind it."""
    rules = "".join(
        f"\t\tip saddr 192.0.2.{blanks}{' ' * blanks} counter packets 0 bytes 0 drop\n"
        for blanks in (comments, comments + 1)
    )
    text = f"table ip filter {{\n\tchain {chain} {{\n{rules}\t}}\n}}\n"
    (found,) = evidence_in(text).of(Family.IPV4)

    lines = found.lines("filter", chain)
    assert [UNREAD_MATCH in line for line in lines] == [False, True]


def test_a_verdict_that_depends_on_what_is_not_printed_is_none() -> None:
    text = NODE.replace("fib daddr type local", "xt match addrtype")
    (rules,) = evidence_in(text).of(Family.IPV4)
    node = Cluster().node("x", {"interfaces": {"eth0": ["192.0.2.11/24"]}})
    packet = packet_between("outside", "192.0.2.11:31080", node=node, family=Family.IPV4)
    answer = trace((rules,), packet, node)
    assert len(answer.distributions) > 1
    assert Verdict.UNKNOWN not in {o.verdict for d in answer.distributions for o in d.outcomes}
