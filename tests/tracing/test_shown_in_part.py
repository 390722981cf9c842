"""Traces over evidence that does not show everything: fragments, listings, parts of dumps.

The inputs stand in fixtures/cases; what is right was worked out from them by hand. Service web/shop
has node port 31080, cluster IP 10.96.20.20 and the endpoints 10.244.1.5, 10.244.2.6 and
10.244.2.7, all on port 8080; node-a has 192.0.2.11.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

import pytest

from nptables import Cluster, Family, Ruleset, Trace, trace
from nptables.evidence import Evidence
from nptables.sources import evidence_in, read_evidence
from nptables.tracing import Verdict, missing_tables, packet_between
from tests.support.scenarios import FIXTURES

CASES = FIXTURES / "cases"
ADDRESSES = {
    "interfaces": {"eth0": ["192.0.2.11/24", "192.168.0.5/24", "2001:db8::11/64"], "docker0": []}
}
NODE = Cluster().node("node-a", ADDRESSES)
THIRD = Fraction(715827883, 2**31)
HIDDEN = "no rule of node-a that is not shown decides about the packet"
HIDDEN_TOO = "a rule of node-a that is not shown decides about the packet"


def comes_to(chain: str, table: str = "nat") -> str:
    return f"the packet comes to chain {chain} of {table}, to which no shown rule jumps"


def asked(
    evidence: Evidence, to: str, source: str = "outside", family: Family = Family.IPV4
) -> Trace:
    rules = evidence.of(family)
    packet = packet_between(source, to, node=NODE, family=family)
    return trace(rules, packet, NODE, unknown_tables={"node-a": missing_tables(rules)})


def case(name: str, to: str, source: str = "outside", family: Family = Family.IPV4) -> Trace:
    (path,) = (CASES / name).glob("*.txt")
    return asked(read_evidence(path), to, source, family)


def found(answer: Trace) -> list[tuple[frozenset[str], list[tuple[Verdict, str]]]]:
    """What happens under each hypothesis that is one of conditions that must all hold."""
    return [
        (frozenset(conditions), [(o.verdict, o.where) for o in distribution.outcomes])
        for distribution in answer.distributions
        for conditions in distribution.hypotheses
    ]


def verdicts(outcomes: Iterable[tuple[Verdict, str]]) -> set[Verdict]:
    return {verdict for verdict, _ in outcomes}


def test_a_grepped_fragment_is_followed_as_far_as_it_goes() -> None:
    """KUBE-NODEPORTS leads to a chain of Local endpoints, of which the node has none."""
    answer = case("grep-fragment", "192.168.0.5:32204")
    (first, outcomes), *others = found(answer)
    assert first == {
        HIDDEN,
        comes_to("KUBE-NODEPORTS"),
        "chain KUBE-MARK-DROP of nat, which is not shown, does what its name says",
    }
    assert outcomes == [(Verdict.DROPPED, "192.168.0.5:32204")]
    assert "has no local endpoints" in answer.reasons[0].text
    # Elsewhere nothing is dropped: what is not shown, or where the packet goes, is open.
    assert {v for _, o in others for v in verdicts(o)} == {Verdict.NODE, Verdict.UNKNOWN}


def test_the_other_chain_of_a_fragment_is_followed_for_its_own_packets() -> None:
    """The cluster IP goes to KUBE-SERVICES, and to the only endpoint."""
    answer = case("grep-fragment", "10.108.2.154:80")
    where = {w for _, outcomes in found(answer) for _, w in outcomes}
    assert where == {"10.44.0.56:80", "10.108.2.154:80"}
    assert all(
        comes_to("KUBE-SERVICES") in conditions
        for conditions, outcomes in found(answer)
        if (Verdict.ENDPOINT, "10.44.0.56:80") in outcomes
    )


def test_a_whole_table_by_iptables_list_rules_leaves_the_others_open() -> None:
    answer = asked(read_evidence(CASES / "paste-S" / "nat-S.txt"), "192.0.2.11:31080")
    first = answer.distributions[0]
    assert [o.where for o in first.outcomes] == [
        "10.244.1.5:8080", "10.244.2.6:8080", "10.244.2.7:8080",
    ]  # fmt: skip
    assert first.outcomes[0].share == THIRD
    assert all(o.source_rewritten for o in first.outcomes)
    assert "table filter of node-a" in first.hypothesis
    assert "tables mangle, raw and security of node-a" in first.hypothesis
    assert not answer.arrives


def test_a_listing_of_all_tables_needs_no_hypothesis() -> None:
    """`iptables -nvL` of five tables says what a dump says."""
    answer = case("listing-whole", "192.0.2.11:31080")
    (only,) = answer.distributions
    assert only.hypothesis == ""
    assert [(o.where, o.verdict) for o in only.outcomes] == [
        ("10.244.1.5:8080", Verdict.ENDPOINT),
        ("10.244.2.6:8080", Verdict.ENDPOINT),
        ("10.244.2.7:8080", Verdict.ENDPOINT),
    ]


def test_the_policy_of_a_cut_listing_drops_unless_what_is_not_shown_decides() -> None:
    """FORWARD has policy DROP; KUBE-FORWARD, which may accept the packet, is not shown."""
    answer = case("k8s-listing", "10.244.0.7:80")
    assert found(answer) == [
        (frozenset({HIDDEN}), [(Verdict.DROPPED, "10.244.0.7:80")]),
        (frozenset({HIDDEN_TOO}), [(Verdict.UNKNOWN, "10.244.0.7:80")]),
    ]
    assert answer.reasons[0].code == "policy-drop"


def test_a_rule_that_lost_its_interface_does_not_accept_everything() -> None:
    """`ACCEPT all -- 0.0.0.0/0 0.0.0.0/0` is `-i docker0`: what the listing shows is not all."""
    answer = case("listing-interfaces", "10.244.1.5:8080")
    by_verdict = {frozenset(verdicts(o)): c for c, o in found(answer)}
    assert (
        "no rule on its way through node-a asks for an interface that is not shown"
        in (by_verdict[frozenset({Verdict.LEAVES})])
    )
    assert not answer.arrives


def test_a_name_in_a_listing_is_an_open_question() -> None:
    """`gw.example` may be the sender: then FORWARD drops what no rule before it accepts."""
    answer = case("listing-names", "10.244.1.5:9090", source="198.51.100.7")
    holds = 'the condition "source gw.example" of rule 2 of filter FORWARD holds'
    dropped = [c for c, o in found(answer) if verdicts(o) == {Verdict.DROPPED}]
    assert dropped
    assert all(holds in conditions for conditions in dropped)
    # Port 8080, which the listing calls http-alt, is accepted before that, whoever sends it.
    other = case("listing-names", "10.244.1.5:8080", source="198.51.100.7")
    assert not any("gw.example" in text for c, _ in found(other) for text in c)


def test_chains_that_were_listed_one_by_one_are_put_together() -> None:
    """One endpoint's chain is shown; the two others are not, and a third goes to each."""
    answer = case("listing-chains", "192.0.2.11:31080")
    first = answer.distributions[0]
    assert {HIDDEN, comes_to("KUBE-NODEPORTS")} <= set(first.hypotheses[0])
    shares = {o.where if o.arrives else o.text: o.share for o in first.outcomes}
    # The second of three takes half of what the first left.
    rest = 1 - THIRD
    assert shares == {
        "10.244.1.5:8080": THIRD,
        "sent to chain KUBE-SEP-LEFI44FLUAQTKQJE, which is not shown": rest / 2,
        "sent to chain KUBE-SEP-SKUJNGJRKZEK3FRT, which is not shown": rest / 2,
    }


def test_a_listing_that_was_cut_off_says_nothing_for_sure() -> None:
    """`cut -c1-100` cuts off comments, ports and what a rule does."""
    answer = case("listing-cut", "192.0.2.11:31080")
    assert len(answer.distributions) > 1
    assert not any(o.arrives for d in answer.distributions for o in d.outcomes)


def test_a_refusal_in_a_fragment_holds_where_the_packet_comes_to_it() -> None:
    """`has no endpoints` in KUBE-SERVICES of filter, and nothing of nat."""
    answer = case("fragment-refused", "10.96.20.20:80")
    refused = [c for c, o in found(answer) if verdicts(o) == {Verdict.REFUSED}]
    assert refused
    assert all({HIDDEN, comes_to("KUBE-SERVICES", "filter")} <= c for c in refused)
    assert (frozenset({HIDDEN_TOO}), {Verdict.UNKNOWN}) in [
        (c, verdicts(o)) for c, o in found(answer)
    ]


def test_a_quotation_in_a_chat_is_followed() -> None:
    """Quote marks, a fence, a prompt, line numbers and curly quotes are no part of rules."""
    answer = case("fragment-quoted", "192.0.2.11:31080")
    first, outcomes = found(answer)[0]
    assert first == {HIDDEN, comes_to("KUBE-NODEPORTS")}
    assert outcomes == [(Verdict.ENDPOINT, "10.244.1.5:8080")]


def test_a_dump_that_ends_in_filter_has_a_whole_nat() -> None:
    """nat translates for sure as far as filter and the other tables let the packet pass."""
    answer = case("dump-cut", "192.0.2.11:31080")
    assert [(c, sorted({w for _, w in o})) for c, o in found(answer)] == [
        (
            frozenset({HIDDEN}),
            ["10.244.1.5:8080", "10.244.2.6:8080", "10.244.2.7:8080"],
        ),
        (frozenset({HIDDEN_TOO}), ["192.0.2.11:31080"]),
    ]


def test_a_listing_of_an_old_ip6tables_is_followed() -> None:
    """All packets go to the only endpoint, as far as the other tables let them."""
    answer = case("listing-old6", "[2001:db8::11]:31080", family=Family.IPV6)
    first = answer.distributions[0]
    assert [(o.where, o.source_rewritten) for o in first.outcomes] == [
        ("[fd00:10:244:1::5]:8080", True)
    ]
    assert "table filter of node-a" in first.hypothesis


def test_the_families_of_a_fragment_are_followed_each_for_itself() -> None:
    answer = case("fragment-both", "192.0.2.11:31080")
    assert found(answer)[0][1] == [(Verdict.ENDPOINT, "10.244.1.5:8080")]
    answer = case("fragment-both", "[fd00::7]:80", family=Family.IPV6)
    assert {Verdict.REFUSED} in [verdicts(o) for _, o in found(answer)]


@pytest.mark.parametrize("to", ["192.0.2.11:31080", "10.96.20.20:80", "10.244.1.5:8080"])
def test_what_a_fragment_shows_is_never_the_whole_answer(to: str) -> None:
    """Whatever comes out, that something else decides is one of the cases."""
    lines = [
        line
        for line in (CASES / "paste-S" / "nat-S.txt").read_text().splitlines()
        if "shop" in line and line.startswith("-A")
    ]
    for count in range(1, len(lines) + 1):
        answer = asked(evidence_in("\n".join(lines[:count])), to)
        assert (frozenset({HIDDEN_TOO}), {Verdict.UNKNOWN}) in [
            (c, verdicts(o)) for c, o in found(answer)
        ]


def test_a_table_that_is_not_known_stands_at_the_top_of_its_hook() -> None:
    """No chain leads to it."""
    rules = Ruleset.from_save("*nat\n:PREROUTING ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\nCOMMIT\n")
    packet = packet_between("outside", "203.0.113.9:80", node=NODE)
    answer = trace(rules, packet, NODE, unknown_tables={"node-a": missing_tables(rules)})
    steps = [step for outcome in answer.outcomes for step in outcome.path if not step.line]

    assert {("filter", 0)} == {(step.table, step.depth) for step in steps}
