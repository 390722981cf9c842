"""A packet meets the tables of both backends; what only their order decides is left open."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest

from nptables import Family, InvalidInput, Packet, Ruleset, trace
from nptables.cli import main
from nptables.iptables import read_dumps
from nptables.tracing import Verdict, missing_tables
from tests.tracing.test_hooks import CLIENT, NODE, POD, host, ruleset

if TYPE_CHECKING:
    from nptables import Trace

CASE = Path("fixtures/cases/two-backends")
OTHER_POD = "10.244.1.6"


def both(legacy: list[str], nft: list[str], packet: Packet | None = None, **policies: str) -> Trace:
    """Follow a packet through both; the policies are those of nft."""
    rulesets = (
        attrs.evolve(ruleset(*legacy), backend="legacy"),
        attrs.evolve(ruleset(*nft, policies=policies), backend="nft"),
    )
    return trace(rulesets, packet or Packet(POD, 80, source=CLIENT), host())


def outcomes(answer: Trace) -> list[tuple[str, list[tuple[Verdict, str]]]]:
    return [
        (d.hypothesis, [(o.verdict, str(o.destination)) for o in d.outcomes])
        for d in answer.distributions
    ]


ACCEPT = "filter -A FORWARD -j ACCEPT"
DROP = "filter -A FORWARD -j DROP"


@pytest.mark.parametrize(("legacy", "nft"), [([ACCEPT], [DROP]), ([DROP], [ACCEPT])])
def test_what_one_accepts_the_other_may_drop(legacy: list[str], nft: list[str]) -> None:
    """In whichever order, so that nothing is left open; the rule is named with its backend."""
    answer = both(legacy, nft)

    ((outcome,),) = [d.outcomes for d in answer.distributions]
    assert Verdict.DROPPED is outcome.verdict
    assert outcome.rule is not None
    assert ("legacy" if DROP in legacy else "nft") == outcome.rule.backend


def test_a_policy_drops_what_a_rule_of_the_other_accepts() -> None:
    """ACCEPT is the end of one table only."""
    answer = both([ACCEPT], ["filter -A FORWARD -s 10.0.0.0/8 -j ACCEPT"], FORWARD="DROP")

    assert outcomes(answer) == [("", [(Verdict.DROPPED, POD)])]


def test_who_drops_depends_on_the_order_where_both_do() -> None:
    """That the packet is dropped does not."""
    answer = both([DROP], ["filter -A FORWARD -j REJECT"])

    assert outcomes(answer) == [
        (
            "at filter FORWARD the nft rules come first (their chain was hooked in last)",
            [(Verdict.REFUSED, POD)],
        ),
        (
            "at filter FORWARD the legacy rules come first (their chain was hooked in last)",
            [(Verdict.DROPPED, POD)],
        ),
    ]


def test_where_both_translate_the_first_decides() -> None:
    """Nobody can tell from dumps which is first."""
    to_node = Packet(NODE, 80, source=CLIENT)
    answer = both(
        [f"nat -A PREROUTING -p tcp -m tcp --dport 80 -j DNAT --to-destination {POD}"],
        [f"nat -A PREROUTING -p tcp -m tcp --dport 80 -j DNAT --to-destination {OTHER_POD}"],
        to_node,
    )

    first = "rules come first (their chain was hooked in last)"
    assert [
        (f"at nat PREROUTING the nft {first}", [(Verdict.ENDPOINT, OTHER_POD)]),
        (f"at nat PREROUTING the legacy {first}", [(Verdict.ENDPOINT, POD)]),
    ] == outcomes(answer)


def test_conditions_that_both_ask_for_leave_no_order_open() -> None:
    """Each asks its own question; together they come to the same, whoever asks first."""
    answer = both(
        ["filter -A FORWARD -m set --match-set a src -j DROP"],
        ["filter -A FORWARD -m set --match-set b src -j ACCEPT"],
    )

    assert [[o.verdict for o in d.outcomes] for d in answer.distributions] == [
        [Verdict.POD],
        [Verdict.DROPPED],
    ]
    assert not any("come first" in d.hypothesis for d in answer.distributions)


def test_the_same_rule_in_both_has_a_limit_in_each() -> None:
    """The two count apart, so that one may be over its limit and the other not."""
    limited = "filter -A FORWARD -m limit --limit 1/sec -j DROP"
    answer = both([limited], [limited])

    asked = {c for d in answer.distributions for way in d.hypotheses for c in way}
    assert {"legacy", "nft"} == {
        word for text in asked for word in ("legacy", "nft") if f"of {word} filter" in text
    }


def unprintable(table: str, *lines: str) -> Ruleset:
    """The tables of nft, one of which holds a rule that iptables has no words for."""
    said = Ruleset.from_save(f"# Table `{table}' is incompatible, use 'nft' tool.\n")
    return attrs.evolve(ruleset(*lines), comments=said.comments, backend="nft")


def test_a_table_that_cannot_be_printed_leaves_open_what_it_does() -> None:
    """That of the other backend is known, and what it drops is gone."""
    packet = Packet(POD, 80, source=CLIENT)
    nft = unprintable("filter")
    for legacy, expected in ((ACCEPT, [Verdict.POD, Verdict.UNKNOWN]), (DROP, [Verdict.DROPPED])):
        rulesets = (attrs.evolve(ruleset(legacy), backend="legacy"), nft)
        answer = trace(rulesets, packet, host())
        assert expected == [o.verdict for d in answer.distributions for o in d.outcomes]


def test_a_table_that_was_read_in_part_is_unknown_all_the_same() -> None:
    """What is missing may stand before what was read."""
    answer = trace(unprintable("filter", ACCEPT), Packet(POD, 80, source=CLIENT), host())

    which = "table filter of host, which iptables cannot print,"
    assert outcomes(answer) == [
        (f"{which} lets the packet pass as it is", [(Verdict.POD, POD)]),
        (f"{which} stops the packet", [(Verdict.UNKNOWN, POD)]),
    ]


def test_a_rule_of_one_backend_translates_unless_the_unknown_one_has() -> None:
    """In nat the first decides, and it is unknown which one that is."""
    dnat = f"nat -A PREROUTING -p tcp -m tcp --dport 80 -j DNAT --to-destination {POD}"
    rulesets = (attrs.evolve(ruleset(dnat), backend="legacy"), unprintable("nat"))
    answer = trace(rulesets, Packet(NODE, 80, source=CLIENT), host())

    which = "nft table nat of host, which iptables cannot print,"
    assert outcomes(answer) == [
        (f"{which} lets the packet pass as it is", [(Verdict.ENDPOINT, POD)]),
        (f"{which} translates the packet", [(Verdict.UNKNOWN, NODE)]),
    ]


def test_a_table_is_missing_where_no_dump_of_a_node_has_it() -> None:
    """A backend has only the tables that were used."""
    nat, both_tables = ruleset("nat -A OUTPUT -j RETURN"), ruleset("nat -A OUTPUT -j RETURN", DROP)

    assert missing_tables(nat) == {"filter"}
    assert missing_tables((nat, nat)) == {"filter"}
    assert missing_tables((nat, both_tables)) == set()
    assert missing_tables(Ruleset.from_save("")) == {"nat", "filter"}


def test_more_than_two_rulesets_or_two_families_are_no_node() -> None:
    """Whoever gives them is told."""
    four, six = Ruleset.from_save(""), read_dumps("", Family.IPV6)[0]
    for rulesets in ((four, four, four), (four, six), ()):
        with pytest.raises(InvalidInput, match="not the rules of one node"):
            trace(rulesets, Packet(POD, 80, source=CLIENT), host())


def test_json_names_the_backend_only_where_there_are_two() -> None:
    """One backend reads as it always did."""

    def names(answer: Trace) -> set[str | None]:
        (distribution,) = answer.to_json()["distributions"]
        return {step.get("backend") for o in distribution["outcomes"] for step in o["path"]}

    mark = "mangle -A PREROUTING -j MARK --set-xmark 0x1"
    assert {"legacy", "nft"} == names(both([mark], [mark]))
    assert {None} == names(trace(ruleset(mark), Packet(POD, 80, source=CLIENT), host()))


def case(
    name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, *more: str
) -> tuple[int, str]:
    """Ask for node port 31080 of node-a, whose interfaces are known."""
    facts = tmp_path / "facts.yaml"
    facts.write_text(
        'interfaces: {lo: ["127.0.0.1/8"], eth0: ["192.0.2.11/24"], cni0: ["10.244.1.1/24"]}\n'
    )
    given = ("--node", "node-a", "--facts", str(facts), "--save", str(CASE / name))
    ends = ("--from", "outside", "--to", "nodeport:31080")
    code = main(["trace", str(CASE / "cluster.yaml"), *given, *ends, *more])
    return code, capsys.readouterr().out


def test_both_dumps_in_one_file_are_followed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The legacy rules translate, and the nft policy drops."""
    code, out = case("both.txt", capsys, tmp_path, "--path")

    assert code == 1
    assert out.startswith(
        "does not arrive: DROP: no rule of nft filter FORWARD on node-a accepts the packet, and "
        "the chain's policy is DROP (Docker sets it: "
    )
    assert "\n  legacy nat\n" in out
    assert "come first" not in out


def test_the_half_that_a_dump_leaves_out_may_decide(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """No answer is a fact: neither that it arrives, nor that nobody translates it."""
    code, out = case("nft.txt", capsys, tmp_path, "-o", "json")

    answer = json.loads(out)
    assert (code, answer["arrives"]) == (1, False)
    assert [[outcome["verdict"] for outcome in d["outcomes"]] for d in answer["distributions"]] == [
        ["node"],
        ["unknown"],
    ]
    assert [d["hypotheses"] for d in answer["distributions"][:1]] == [
        [["the legacy tables of node-a, which are not followed, do nothing to it"]]
    ]
    assert any("iptables-legacy-save prints them" in note for note in answer["notes"])
    _, text = case("nft.txt", capsys, tmp_path)
    assert text.startswith("not known: the legacy tables of node-a, which are not followed, may")


def test_a_packet_that_arrives_in_one_half_arrives_perhaps() -> None:
    """The other half may drop it."""
    warned = Ruleset.from_save(
        "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -j ACCEPT\nCOMMIT\n"
        "# Warning: iptables-legacy tables present, use iptables-legacy-save to see them\n"
    )
    packet = Packet(POD, 80, source=CLIENT)

    answer = trace(warned, packet, host())

    assert not answer.arrives
    assert [[o.verdict for o in d.outcomes] for d in answer.distributions] == [
        [Verdict.POD],
        [Verdict.UNKNOWN],
    ]
    legacy = attrs.evolve(ruleset(ACCEPT), backend="legacy")
    assert trace((warned, legacy), packet, host()).arrives


def test_a_dump_of_legacy_alone_is_followed_as_it_is(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Nothing in it says that there is more."""
    code, out = case("legacy.txt", capsys, tmp_path)

    assert (code, out.startswith("arrives: web/shop:http, one of 3 endpoints")) == (0, True)


def test_a_comparison_takes_the_dump_with_the_rules_for_services(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Those are as they shall be; the others are Docker's."""
    options = ("diff", str(CASE / "cluster.yaml"), "--node", "node-a", "--current")

    assert main([*options, str(CASE / "both.txt")]) == 0
    assert capsys.readouterr().out == ""
    assert main([*options, str(CASE / "nft.txt")]) == 1
    assert "leaves out the legacy tables" in capsys.readouterr().err
