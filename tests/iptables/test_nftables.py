"""What nft prints of single rules, back to the lines of iptables-save."""

from __future__ import annotations

import gzip
import json
from functools import cache

import pytest

from nptables import Family
from nptables.iptables.nftables.documents import read_document, rule_text
from nptables.iptables.nftables.rules import (
    NO_TARGET,
    NOTHING_PRINTED,
    empty_statements,
    read_rule,
)
from tests.support.nft import fault
from tests.support.scenarios import FIXTURES

VERSIONS = ("0.9.8", "1.0.6", "1.1.3")
# Up to this one nft prints nothing for what it has no words for.
OLD = "0.9.8"


@cache
def rows() -> list[dict[str, str]]:
    """Every rule of the fixtures as iptables-save prints it, and as each version of nft does."""
    text = gzip.decompress((FIXTURES / "nft" / "words.jsonl.gz").read_bytes()).decode()
    return [json.loads(line) for line in text.splitlines()]


def doubts(row: dict[str, str], version: str) -> list[str]:
    """What nft of a version does not print of a rule, as the reader of a whole text finds it."""
    comments = row["save"].count("-m comment ")
    hidden = version == OLD and empty_statements(row[version], 0) > comments
    return [NOTHING_PRINTED] * hidden + [NO_TARGET]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_rule_is_read_as_iptables_prints_it_or_left_open(version: str) -> None:
    """2,600 rules: what is claimed of one is so, and whatever is not is marked as not shown."""
    faults = {}
    for row in rows():
        family = Family[row["family"]]
        exact = version != OLD
        rule = read_rule(row[version], "C", family, doubts=doubts(row, version), exact=exact)
        if wrong := fault(f"-A C {row['save']}".rstrip(), rule.line, family):
            faults[row["save"]] = (row[version], rule.line, wrong)
    assert faults == {}


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ("meta l4proto tcp tcp dport 80 counter accept", "-p tcp -m tcp --dport 80 -j ACCEPT"),
        ("ip protocol tcp tcp dport 80 accept", "-p tcp -m tcp --dport 80 -j ACCEPT"),
        ("tcp dport http counter accept", "-p tcp -m tcp --dport 80 -j ACCEPT"),
        ("tcp dport < 1024 drop", "-p tcp -m tcp --dport 0:1023 -j DROP"),
        ("tcp sport <= 1024 drop", "-p tcp -m tcp --sport 0:1024 -j DROP"),
        ("udp dport > 1024 drop", "-p udp -m udp --dport 1025:65535 -j DROP"),
        ("tcp dport >= 1024 drop", "-p tcp -m tcp --dport 1024:65535 -j DROP"),
        ("tcp dport != 80 drop", "-p tcp -m tcp ! --dport 80 -j DROP"),
        ("tcp option 8 exists counter drop", "-p tcp -m tcp --tcp-option 8 -j DROP"),
        # Pairs that iptables-nft-save and nft 1.0.6 and 1.1.3 print, each with a target.
        ('iifname != "cni0" counter drop', "! -i cni0 -j DROP"),
        ("ip saddr & 255.0.255.255 == 10.0.1.5 drop", "-s 10.0.1.5/255.0.255.255 -j DROP"),
        ("ip daddr & 255.0.255.255 != 10.0.1.5 drop", "! -d 10.0.1.5/255.0.255.255 -j DROP"),
        (
            "ip saddr != 192.0.2.2-192.0.2.3 drop",
            "-m iprange ! --src-range 192.0.2.2-192.0.2.3 -j DROP",
        ),
        (
            "meta l4proto tcp tcp dport != { 80, 440-450 } drop",
            "-p tcp -m multiport ! --dports 80,440:450 -j DROP",
        ),
        ("udp sport { 80, 443 } drop", "-p udp -m multiport --sports 80,443 -j DROP"),
        (
            "tcp dport { 80 . 443 } drop",
            '-m unread --words "tcp dport { 80 . 443 }" -j DROP',
        ),
        (
            "tcp flags & (fin | syn) == syn drop",
            "-p tcp -m tcp --tcp-flags FIN,SYN SYN -j DROP",
        ),
        ("tcp flags syn,ack drop", "-p tcp -m tcp ! --tcp-flags SYN,ACK NONE -j DROP"),
        ("ct mark 0x1 drop", "-m connmark --mark 0x1 -j DROP"),
        ("ct mark and 0x3 != 0x1 drop", "-m connmark ! --mark 0x1/0x3 -j DROP"),
        ("mark != 0x1 drop", "-m mark ! --mark 0x1 -j DROP"),
        ("fib daddr type local drop", "-m addrtype --dst-type LOCAL -j DROP"),
        (
            "fib daddr . iif type != local drop",
            "-m addrtype ! --dst-type LOCAL --limit-iface-in -j DROP",
        ),
        ("ct state ! invalid drop", "-m conntrack ! --ctstate INVALID -j DROP"),
        ("ct original protocol != 6 drop", "-m conntrack ! --ctproto 6 -j DROP"),
        ("ct reply saddr 10.244.1.6 drop", "-m conntrack --ctreplsrc 10.244.1.6 -j DROP"),
        (
            "meta l4proto udp ct reply proto-src != 1-5100 drop",
            "-p udp -m conntrack ! --ctreplsrcport 1:5100 -j DROP",
        ),
        ("ct direction reply drop", "-m conntrack --ctdir REPLY -j DROP"),
        ("ct expiration 1s-20s drop", '-m unread --words "ct expiration 1s-20s" -j DROP'),
        ("ct expiration 1-20 drop", "-m conntrack --ctexpire 1:20 -j DROP"),
        ("ct expiration != 5 drop", "-m conntrack ! --ctexpire 5 -j DROP"),
        ('ct helper != "ftp" drop', "-m helper ! --helper ftp -j DROP"),
        (
            "numgen inc mod 3 != 1 drop",
            "-m statistic --mode nth ! --every 3 --packet 1 -j DROP",
        ),
        (
            "limit rate 1/hour burst 1 packets drop",
            "-m limit --limit 1/hour --limit-burst 1 -j DROP",
        ),
        ("icmp type != timestamp-request drop", "-p icmp -m icmp ! --icmp-type 13 -j DROP"),
        (
            "icmp type destination-unreachable icmp code 1 drop",
            "-p icmp -m icmp --icmp-type 3/1 -j DROP",
        ),
        ("pkttype != broadcast drop", "-m pkttype ! --pkt-type broadcast -j DROP"),
        ("meta length 1-50 drop", "-m length --length 1:50 -j DROP"),
        ("meta length != 60 drop", "-m length ! --length 60 -j DROP"),
        ("ip ttl 64 drop", "-m ttl --ttl-eq 64 -j DROP"),
        ("ip ttl != 64 drop", "-m ttl ! --ttl-eq 64 -j DROP"),
        ("ip ttl lt 64 drop", "-m ttl --ttl-lt 64 -j DROP"),
        ("ip ttl > 64 drop", "-m ttl --ttl-gt 64 -j DROP"),
        ("skuid != 33 drop", "-m owner ! --uid-owner 33 -j DROP"),
        ("meta l4proto 6 counter drop # handle 12", "-p tcp -j DROP"),
        ("iifname eth* counter drop", "-i eth+ -j DROP"),
        # 715827883 of 2147483648 is 0.333333333487, printed with 11 digits.
        (
            "meta random & 2147483647 < 715827883 counter jump X",
            "-m statistic --mode random --probability 0.33333333349 -j X",
        ),
        ("mark and 0x4000 == 0x4000 counter return", "-m mark --mark 0x4000/0x4000 -j RETURN"),
        ("meta mark & 16384 != 0 counter drop", "-m mark ! --mark 0x0/0x4000 -j DROP"),
        ("counter meta mark set mark or 0x4000", "-j MARK --set-xmark 0x4000/0x4000"),
        ("counter meta mark set meta mark | 0x00004000", "-j MARK --set-xmark 0x4000/0x4000"),
        ("counter meta mark set mark and 0xffffbfff", "-j MARK --set-xmark 0x0/0x4000"),
        ("counter meta mark set meta mark & 0xfffffffe xor 0x1", "-j MARK --set-xmark 0x1/0x1"),
        ("counter masquerade to :1024-2048 random", "-j MASQUERADE --to-ports 1024-2048 --random"),
        ("counter dnat ip to 10.0.0.1:80", "-j DNAT --to-destination 10.0.0.1:80"),
        ("counter reject", "-j REJECT --reject-with icmp-port-unreachable"),
        ("reject with icmp net-unreachable", "-j REJECT --reject-with icmp-net-unreachable"),
        ('counter comment "a b" drop', '-m comment --comment "a b" -j DROP'),
        ("limit rate 5/minute burst 5 packets counter drop", "-m limit --limit 5/min -j DROP"),
        ("ct state { new, related } counter drop", "-m conntrack --ctstate NEW,RELATED -j DROP"),
        ("ct original ip daddr 10.0.0.1 drop", "-m conntrack --ctorigdst 10.0.0.1 -j DROP"),
        (
            "# recent: CHECK seconds: 60 name: x side: source mask: 255.255.255.255 counter drop",
            "-m recent --rcheck --seconds 60 --name x --mask 255.255.255.255 --rsource -j DROP",
        ),
        # Words of nft alone, and those that are printed for different things.
        ("ip saddr @blocked counter drop", '-m unread --words "ip saddr @blocked" -j DROP'),
        ("ct status dnat counter drop", '-m unread --words "ct status dnat" -j DROP'),
        ('xt match "recent" counter drop', r'-m unread --words "xt match \"recent\"" -j DROP'),
        ("# xt_recent counter drop", '-m unread --words "# xt_recent" -j DROP'),
        # What answer it gives is not printed, and need not be the usual one.
        (
            'counter xt target "REJECT"',
            r'-m holds --words "xt target \"REJECT\"" -j REJECT',
        ),
        ('counter xt target "DNAT"', r'-j unread --words "xt target \"DNAT\""'),
        (
            "ip daddr vmap { 10.0.0.1 : drop }",
            '-j unread --words "ip daddr vmap { 10.0.0.1 : drop }"',
        ),
    ],
)  # fmt: skip
def test_words_of_nft_are_options_of_iptables_or_marked_as_unread(
    printed: str, expected: str
) -> None:
    assert f"-A C {expected}" == read_rule(printed, "C", Family.IPV4).line


def test_a_statement_of_which_nothing_is_printed_leaves_a_blank() -> None:
    """Two tabs, then a blank for a comment and one for a share, as nft 0.9.8 prints them."""
    assert empty_statements("\t\t  counter packets 0 bytes 0 jump X", 16) == 2
    assert empty_statements("\t\tip saddr 10.0.0.1  counter packets 0 bytes 0 drop ", 16) == 1
    assert empty_statements('\t\tcounter packets 0 bytes 0 log prefix "a  b" ', 16) == 0


@pytest.mark.parametrize(
    ("limit", "text"),
    [
        ({"rate": 5, "per": "second", "burst": 7}, "limit rate 5/second burst 7 packets"),
        # More than that, and bytes: iptables asks for neither.
        ({"rate": 5, "per": "second", "burst": 7, "inv": True}, None),
        ({"rate": 5, "per": "second", "rate_unit": "mbytes"}, None),
    ],
)
def test_a_limit_in_a_document_is_one_of_packets(
    limit: dict[str, object], text: str | None
) -> None:
    found = rule_text([{"limit": limit}])

    assert found == text if text else "limit rate" not in found


def test_what_is_no_object_in_a_document_is_told_by_its_number() -> None:
    found = read_document({"nftables": [{"metainfo": {}}, "words", {"table": {"name": "nat"}}, 5]})

    assert found.strays == [(2, '"words"'), (4, "5")]


@pytest.mark.parametrize("printed", ["meta l4proto tcp", "ip saddr 10.0.0.1  tcp dport 80", ""])
def test_a_rule_without_counter_and_statement_may_have_lost_its_end(printed: str) -> None:
    """iptables-nft counts in every rule, and nft's own rules without a statement do nothing."""
    assert read_rule(printed, "C", Family.IPV4).unread == (NO_TARGET,)
    assert read_rule(f"{printed} counter", "C", Family.IPV4).unread == ()
