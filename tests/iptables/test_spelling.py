"""The normal form is what iptables-save prints, and never takes two rules for one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nptables.family import Family
from nptables.iptables.rule import Rule
from nptables.iptables.spelling import normal_form
from tests.support.rules import FAMILIES, lines, option_orders
from tests.support.scenarios import CONFORMANCE, NAMED
from tests.support.spellings import Spelling, spellings

SPELLINGS = spellings()


@pytest.mark.parametrize("spelling", SPELLINGS, ids=str)
def test_every_spelling_in_the_table_has_its_printed_form(spelling: Spelling) -> None:
    assert spelling.printed == normal_form(spelling.line, spelling.family)


@pytest.mark.parametrize("spelling", SPELLINGS, ids=str)
def test_the_printed_form_is_normal(spelling: Spelling) -> None:
    assert spelling.printed == normal_form(spelling.printed, spelling.family)


@pytest.mark.parametrize(
    ("line", "normal"),
    [
        ("-A X -s 10.0.0.1/8 -j ACCEPT", "-A X -s 10.0.0.0/8 -j ACCEPT"),
        ("-A X -d 0.0.0.0/0 -j ACCEPT", "-A X -j ACCEPT"),
        ("-A X -m mark --mark 0x1/0xffffffff -j Y-", "-A X -m mark --mark 0x1 -j Y-"),
        (
            "-A X -m statistic --mode random --probability 0.33333333330 -j A-B",
            "-A X -m statistic --mode random --probability 0.33333333349 -j A-B",
        ),
        (
            "-A X -m statistic --mode random --probability 0.3 -m statistic --mode nth --every 2",
            (
                "-A X -m statistic --mode random --probability 0.29999999981 "
                "-m statistic --mode nth --every 2 --packet 0"
            ),
        ),
        ('-A X -m comment --comment "plain" -j A-B', "-A X -m comment --comment plain -j A-B"),
        (
            "-A X -j DNAT --to-destination 10.0.0.1:80-80",
            "-A X -j DNAT --to-destination 10.0.0.1:80",
        ),
    ],
)
def test_a_line_that_is_nearly_normal_at_a_glance_is_not(line: str, normal: str) -> None:
    assert normal == normal_form(line, Family.IPV4)


@pytest.mark.parametrize("scenario", NAMED)
def test_every_recorded_rule_of_kube_proxy_is_normal(scenario: str) -> None:
    for family, name in ((Family.IPV4, "iptables-save"), (Family.IPV6, "ip6tables-save")):
        text = (CONFORMANCE / "named" / scenario / name).read_text()
        lines = [line for line in text.splitlines() if line.startswith("-A ")]

        assert lines == [normal_form(line, family) for line in lines]
        assert lines == [Rule.parse(line, family).render() for line in lines]


def test_rules_that_are_printed_differently_have_different_normal_forms() -> None:
    printed = {(s.family, s.table, s.printed) for s in SPELLINGS}

    normal = {(family, table, normal_form(line, family)) for family, table, line in printed}

    assert len(normal) == len(printed)


@pytest.mark.parametrize(
    "line",
    [
        "-A INPUT -m unheard --of 1 -s 10.0.0.1",
        "-A INPUT -s 10.0.0.1 --sou 10.0.0.2",
        "-A INPUT -s www.example.com",
        "-A INPUT -s 10.0.0.1,10.0.0.2 -j ACCEPT",
        "-A INPUT -s 010.0.0.1",
        "-A INPUT -s 10.0.0.1/33",
        "-A INPUT -s fd00::1",
        "-A INPUT -p tcp -m tcp --dport 080",
        "-A INPUT -m conntrack --ctorigdst 10.0.0.1/255.0.0.255",
        "-A INPUT -m conntrack --ctproto 260",
        "-A INPUT -m hashlimit --hashlimit-upto 60/minute --hashlimit-name x",
        "-A INPUT -m length --length 70000",
        "-A INPUT -m length ! --length 9:8",
        "-A INPUT -j DSCP",
        "-A INPUT -p tcp -m tcp --dport 90:80",
        "-A INPUT -p tcp -m tcp --dport 70000",
        "-A INPUT -p tcp -m tcp --dport nosuchservice",
        "-A INPUT -p tcp -m tcp ! --dport 0:65535",
        "-A INPUT -p tcp -m tcp --dport 80 --dport 81",
        "-A INPUT -p tcp -m tcp --syn --tcp-flags ALL SYN",
        "-A INPUT -p tcp -m tcp --tcp-flags NONE NONE",
        "-A INPUT -p tcp -m tcp --tcp-flags SYN,XXX SYN",
        "-A INPUT -p tcp -m multiport --dport 80",
        "-A INPUT --dport 80 -p tcp",
        "-A INPUT -p udp --syn",
        "-A INPUT -p ipip",
        "-A INPUT -p 94",
        "-A INPUT -p nosuchprotocol",
        "-A INPUT ! -p all",
        "-A INPUT ! -i +",
        "-A INPUT -m mark --mark 0x100000000",
        "-A INPUT -m mark --mark -1",
        "-A INPUT -m statistic --mode random --probability 1.5",
        "-A INPUT -m statistic --mode random --probability 1e-3",
        "-A INPUT -m statistic --mode nth --probability 0.5",
        "-A INPUT -m statistic --mode odd",
        "-A INPUT -m statistic --every 3",
        "-A INPUT -m recent --set --rsource --rdest",
        "-A INPUT -m conntrack --ctstate NOVEL",
        "-A INPUT -m limit --limit 0/sec",
        "-A INPUT -m limit --limit 3/fortnight",
        "-A INPUT -m limit ! --limit 3/sec",
        "-A INPUT -m limit --limit 20000/sec",
        "-A INPUT -m limit ! --limit-burst 5 --limit 3/sec",
        "-A INPUT -m hashlimit --hashlimit-upto 5mb/s --hashlimit-name x",
        "-A INPUT -m hashlimit --hashlimit-upto 5/s --hashlimit-name x --hashlimit-rate-match",
        "-A INPUT -m hashlimit ! --hashlimit-upto 5/s --hashlimit-above 5/s --hashlimit-name x",
        "-A INPUT -m connlimit ! --connlimit-upto 5 --connlimit-above 6",
        "-A INPUT -m connlimit --connlimit-upto 5 --connlimit-saddr --connlimit-daddr",
        "-A INPUT -m set --set a src --match-set b src",
        "-A INPUT -m policy --pol ipsec --dir in",
        "-A INPUT -m dscp --dscp 46 --dscp-class EF",
        "-A INPUT -m dscp --dscp 64",
        "-A INPUT -m mac --mac-source aa:bb",
        "-A INPUT -m pkttype --pkt-type host",
        "-A INPUT -m length --length 9:1",
        "-A INPUT -j MARK --or-mark 1 --set-mark 2",
        "-A INPUT -j MARK",
        "-A INPUT -j CONNMARK --save-mark --restore-mark",
        "-A INPUT -j CONNMARK --save-mark --mask 1 --nfmask 2",
        "-A INPUT -j CONNMARK --set-mark 1 --left-shift-mark 2",
        "-A INPUT -j CONNMARK --left-shift-mark 2",
        "-A INPUT -j LOG --log-level loud",
        "-A INPUT -j NFLOG --nflog-range 5",
        "-A INPUT -j NFQUEUE --queue-num 1 --queue-balance 1:2",
        "-A INPUT -j REJECT --reject-with icmp-port",
        "-A INPUT -j DNAT --to-destination [10.0.0.1]:80",
        "-A INPUT -j DNAT --to-destination :80",
        "-A INPUT -j DNAT --to-destination 10.0.0.1:90-80",
        "-A INPUT -j DNAT --to-destination 10.0.0.1:10-20/15",
        '-A INPUT -m comment --comment "never closed',
        "-I INPUT -s 10.0.0.1",
        "[1:2] -A INPUT -s 10.0.0.1",
        "",
    ],
)
def test_what_is_not_known_for_sure_is_left_alone(line: str) -> None:
    assert line == normal_form(line, Family.IPV4)


@pytest.mark.parametrize(
    "line",
    [
        "-A INPUT -p icmp --icmp-type 8",
        "-A INPUT -p tcp -j DNAT --to-destination [fd00::1]80",
        "-A INPUT -p tcp -j DNAT --to-destination [fd00::1:80",
        "-A INPUT -s 10.0.0.1",
    ],
)
def test_what_is_for_the_other_family_is_left_alone(line: str) -> None:
    assert line == normal_form(line, Family.IPV6)


@given(lines(), FAMILIES)
def test_the_normal_form_of_a_normal_form_is_itself(line: str, family: Family) -> None:
    normal = normal_form(line, family)

    assert normal == normal_form(normal, family)


@given(lines(), FAMILIES)
def test_the_normal_form_says_what_the_line_said_about_chain_and_target(
    line: str, family: Family
) -> None:
    before = Rule.parse(line, family)
    after = Rule.parse(normal_form(line, family), family)

    assert (before.chain, before.comments, before.jump) == (
        after.chain,
        after.comments,
        after.jump,
    )


@given(option_orders())
def test_the_order_of_addresses_interfaces_and_protocol_makes_no_difference(
    variants: tuple[str, str],
) -> None:
    one, other = variants

    assert normal_form(one, Family.IPV4) == normal_form(other, Family.IPV4)


@given(st.text(max_size=80), FAMILIES)
def test_no_text_makes_it_fail(text: str, family: Family) -> None:
    normal = normal_form(text, family)

    assert normal == normal_form(normal, family)
