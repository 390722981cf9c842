"""A rule is read from its line, says what stands there, and gives the line back."""

from __future__ import annotations

import time

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nptables.errors import RuleSyntaxError
from nptables.family import Family
from nptables.iptables.rule import Match, Option, Rule, Target
from nptables.iptables.spelling import normal_form
from tests.support.rules import FAMILIES, lines


def parse(line: str) -> Rule:
    return Rule.parse(line, Family.IPV4)


def test_a_rule_of_kube_proxy_is_taken_apart() -> None:
    rule = parse(
        "-A KUBE-SERVICES ! -s 10.0.0.0/8 -d 10.96.0.10/32 -p tcp "
        '-m comment --comment "default/web:http cluster IP" -m tcp --dport 80 -j KUBE-SVC-ABC'
    )

    assert rule == Rule(
        chain="KUBE-SERVICES",
        source=Option("-s", ("10.0.0.0/8",), negated=True),
        destination=Option("-d", ("10.96.0.10/32",)),
        protocol=Option("-p", ("tcp",)),
        matches=(
            Match("comment", (Option("--comment", ("default/web:http cluster IP",)),)),
            Match("tcp", (Option("--dport", ("80",)),)),
        ),
        target=Target("KUBE-SVC-ABC"),
    )
    assert rule.comments == ("default/web:http cluster IP",)
    assert rule.jump == "KUBE-SVC-ABC"
    assert rule.unknown == ()


def test_options_are_found_by_name() -> None:
    rule = parse("-A X -m tcp --dport 80 -j DNAT --to-destination 10.0.0.1:80")

    assert rule.target is not None
    assert rule.target.option("--to-destination") == Option("--to-destination", ("10.0.0.1:80",))
    assert rule.target.option("--random") is None
    match = rule.match("tcp")
    assert match is not None
    assert match.option("--dport") == Option("--dport", ("80",))
    assert match.option("--sport") is None
    assert rule.match("udp") is None


@pytest.mark.parametrize(
    ("line", "jump"),
    [
        ("-A X -j ACCEPT", None),
        ("-A X -j MARK --set-xmark 0x1/0x1", None),
        ("-A X", None),
        ("-A X -j Y", "Y"),
        ("-A X -g Y", "Y"),
    ],
)
def test_only_another_chain_is_a_jump(line: str, jump: str | None) -> None:
    assert jump == parse(line).jump


def test_an_option_with_two_words_takes_two() -> None:
    rule = parse("-A X -m set ! --match-set blocked src,dst -m tcp --tcp-flags SYN,RST SYN")

    assert rule.matches == (
        Match("set", (Option("--match-set", ("blocked", "src,dst"), negated=True),)),
        Match("tcp", (Option("--tcp-flags", ("SYN,RST", "SYN")),)),
    )


def test_an_option_may_have_a_word_or_none() -> None:
    rule = parse("-A X -m rateest --rateest1 a --rateest-lt --rateest-bps --rateest2 b")

    assert rule.matches[0].options[2:] == (
        Option("--rateest-bps"),
        Option("--rateest2", ("b",)),
    )


def test_a_value_may_look_like_an_option() -> None:
    rule = parse("-A X -m comment --comment -j -j ACCEPT")

    assert rule.comments == ("-j",)
    assert rule.target == Target("ACCEPT")


def test_synonyms_have_the_printed_name() -> None:
    line = "-A X --source 10.0.0.1 --fragments --match tcp --destination-port 80 --goto Y"

    rule = parse(line)

    assert rule.source == Option("-s", ("10.0.0.1",))
    assert rule.fragment == Option("-f")
    assert rule.matches == (Match("tcp", (Option("--dport", ("80",)),)),)
    assert rule.target == Target("Y", goto=True)
    assert line == rule.to_line()


def test_an_option_belongs_to_the_last_extension_that_has_it() -> None:
    rule = parse("-A X -m mark -m comment --mark 1 -m connmark --mark 2 --comment late")

    assert rule.matches == (
        Match("mark", (Option("--mark", ("1",)),)),
        Match("comment", (Option("--comment", ("late",)),)),
        Match("connmark", (Option("--mark", ("2",)),)),
    )


@pytest.mark.parametrize(
    ("line", "family", "match"),
    [
        ("-A X -p 6 --dport 80", Family.IPV4, "tcp"),
        ("-A X -p icmp --icmp-type 8", Family.IPV4, "icmp"),
        ("-A X -p icmpv6 --icmpv6-type 128", Family.IPV6, "icmp6"),
        ("-A X -p udp -m comment --comment x --sport 53", Family.IPV4, "udp"),
    ],
)
def test_a_protocol_brings_its_match_along(line: str, family: Family, match: str) -> None:
    rule = Rule.parse(line, family)

    assert rule.matches[-1].name == match
    assert rule.unknown == ()
    assert line == rule.to_line()


@pytest.mark.parametrize(
    "line",
    [
        "-A X --dport 80 -p tcp",
        "-A X -p tcp -m multiport --dport 80",
        "-A X -p tcp -m unheard --dport 80",
        "-A X -p icmpv6 --icmpv6-type 128",
        "-A X -p tcp --icmp-type 8",
        "-A X -p nothing --dport 8",
    ],
)
def test_a_protocol_brings_nothing_along_where_that_is_not_certain(line: str) -> None:
    rule = parse(line)

    assert [m.name for m in rule.matches if m.name not in ("multiport", "unheard")] == []
    assert rule.unknown != ()


def test_a_negation_behind_the_name_is_a_negation() -> None:
    rule = parse("-A X -s ! 10.0.0.1 -p tcp -m tcp --dport ! 80")

    assert rule.source == Option("-s", ("10.0.0.1",), negated=True)
    assert rule.matches[0].options == (Option("--dport", ("80",), negated=True),)


def test_what_iptables_does_not_have_is_kept_word_for_word() -> None:
    line = (
        '-A X --stray 1 word -m unheard ! --of "a b" "-c" d --and -m tcp --new-option 5 -j ACCEPT'
    )

    rule = parse(line)

    assert rule.extra == (Option("--stray", ("1", "word")),)
    assert rule.matches == (
        Match("unheard", (Option("--of", ("a b", "-c", "d"), negated=True), Option("--and"))),
        Match("tcp", (Option("--new-option", ("5",)),)),
    )
    assert rule.unknown == ("unheard", "--new-option", "--stray")
    assert line == rule.to_line()


def test_an_unknown_option_of_a_target_is_named() -> None:
    assert parse("-A X -j DNAT --to-moon 1").unknown == ("--to-moon",)
    assert parse("-A X -j KUBE-X --option 1").unknown == ("--option",)


def test_a_quoted_option_is_no_option_that_is_known() -> None:
    assert parse('-A X "-j" ACCEPT').unknown == ("-j",)


def test_the_two_spaces_of_nfacct_are_given_back() -> None:
    line = "-A X -m nfacct --nfacct-name  ct_state_invalid_dropped_pkts -j DROP"

    assert line == parse(line).render()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "begins with -A"),
        ("-I INPUT 1 -j ACCEPT", "begins with -A"),
        ("[0:0] -A INPUT -j ACCEPT", "begins with -A"),
        ('"-A" INPUT', "begins with -A"),
        ("-A", "-A without its value"),
        ("-A X -s", "-s without its value"),
        ("-A X -m", "-m without its value"),
        ("-A X -j", "-j without its value"),
        ("-A X -m tcp --dport", "--dport without its value"),
        ("-A X -m set --match-set name", "--match-set without its value"),
        ("-A X !", "nothing to negate"),
        ("-A X ! ! -s 10.0.0.1", "nothing to negate"),
        ("-A X ! -s ! 10.0.0.1", "two ! for one option"),
        ("-A X ! -m tcp", "a ! before -m"),
        ("-A X ! -j ACCEPT", "a ! before -j"),
        ("-A X -s 10.0.0.1 --src 10.0.0.2", "--src given twice"),
        ("-A X -f -f", "-f given twice"),
        ("-A X -j ACCEPT -g Y", "more than one target"),
        ('-A X -m comment --comment "open', "never closed"),
        ("-A X\n-A Y", "line break"),
    ],
)
def test_a_line_that_says_nothing_is_refused_with_a_reason(line: str, message: str) -> None:
    with pytest.raises(RuleSyntaxError, match=message) as caught:
        parse(line)

    assert line == caught.value.line


def test_a_changed_rule_is_written_anew() -> None:
    rule = parse("-A X --source 10.0.0.1/32 -j ACCEPT")

    changed = attrs.evolve(rule, target=Target("DROP"))

    assert changed.to_line() == "-A X -s 10.0.0.1/32 -j DROP"
    assert rule.to_line() == "-A X --source 10.0.0.1/32 -j ACCEPT"


def test_spelling_does_not_count_in_a_comparison() -> None:
    assert parse("-A X --src 10.0.0.1 --jump ACCEPT") == parse("-A X -j ACCEPT -s 10.0.0.1")


@given(lines(), FAMILIES)
def test_every_line_is_given_back(line: str, family: Family) -> None:
    assert line == Rule.parse(line, family).to_line()


@given(lines(), FAMILIES)
def test_what_is_rendered_says_the_same(line: str, family: Family) -> None:
    rule = Rule.parse(line, family)
    rendered = rule.render()

    assert rendered == Rule.parse(rendered, family).render()


@given(st.one_of(st.text(), st.text().map("-A X {}".format)), FAMILIES)
def test_any_text_is_given_back_or_refused(text: str, family: Family) -> None:
    try:
        rule = Rule.parse(text, family)
    except RuleSyntaxError:
        return
    assert text == rule.to_line()


WORDS = st.sampled_from(
    ["-A", "X", "!", "-s", "-m", "tcp", "--dport", "80", "-j", "DNAT", '"', '"a b"', "--foo", "-p"]
)


@given(st.lists(WORDS).map(lambda words: " ".join(["-A X", *words])), FAMILIES)
def test_any_words_are_given_back_or_refused(text: str, family: Family) -> None:
    try:
        rule = Rule.parse(text, family)
    except RuleSyntaxError:
        return
    assert text == rule.to_line()


@pytest.mark.parametrize(
    "line",
    [
        "-A X" + " -m a --b c" * 40_000,
        "-A X -p tcp" + " -m multiport --dport 1" * 20_000,
        "-A X -p tcp" + " --dport 1" * 40_000,
        "-A X -m comment --comment " + '"' + "a" * 500_000 + '"',
        "-A X -m comment --comment " + '"' + "a b" * 150_000 + " -j ACCEPT",
        "-A X" + " -j" * 100_000,
        "-A X " + "A-" * 250_000,
    ],
    ids=lambda line: line[:30],
)
def test_half_a_megabyte_is_read_in_a_moment(line: str) -> None:
    started = time.process_time()
    try:
        normal_form(line, Family.IPV4)
        assert line == parse(line).to_line()
    except RuleSyntaxError:
        pass

    assert time.process_time() - started < 5


def test_an_option_whose_value_may_be_left_out_takes_one_word_or_none() -> None:
    """`--rateest-bps1 [value]` in iptables-extensions(8)."""
    rule = parse("-A X -m rateest --rateest-pps --rateest-lt --rateest-pps2 7 -j Y")

    (match,) = rule.matches
    assert [(option.name, option.values) for option in match.options] == [
        ("--rateest-pps", ()), ("--rateest-lt", ()), ("--rateest-pps2", ("7",)),
    ]  # fmt: skip
    (of_two,) = parse("-A X -m rateest --rateest-pps2 7 8 -j Y").matches
    assert of_two.options[0].values == ("7",)
