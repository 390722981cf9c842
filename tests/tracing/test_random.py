"""Whatever a ruleset holds, a trace ends, and its shares add up."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from nptables import Ruleset, trace
from nptables.iptables.ruleset import BUILT_IN_CHAINS
from nptables.tracing import Origin, Packet
from nptables.tracing.explanation.words import answer_line, outcome_rows, tree_lines
from tests.tracing.test_hooks import CLIENT, NODE, POD, host

CHAINS = ("A", "B", "C", "D")
ADDRESSES = (POD, NODE, CLIENT, "10.0.0.0/8", "0.0.0.0/0", "127.0.0.1")

matches = st.sampled_from(
    [
        "",
        *(f"-s {address}" for address in ADDRESSES),
        *(f"! -d {address}" for address in ADDRESSES),
        "-i eth0",
        "! -o cni+",
        "-p tcp",
        "-p tcp -m tcp --dport 80",
        "-p udp -m multiport --sports 1:5",
        "-m mark --mark 0x1/0x1",
        "-m mark ! --mark 0x3",
        "-m statistic --mode random --probability 0.50000000000",
        "-m statistic --mode random ! --probability 0.10000000009",
        "-m statistic --mode nth --every 3 --packet 1",
        "-m recent --rcheck --name r --rsource",
        "-m set --match-set one src,dst",
        "-m set ! --match-set two dst",
        "-m limit --limit 1/s",
        "-m conntrack --ctstate DNAT",
        "-m addrtype --dst-type LOCAL",
        '-m u32 --u32 "0x0&0x1=0x1"',
        '-m u32 --u32 "oops"',
        '-m comment --comment "\x1b[2J"',
        "-m bogus --thing ! x",
    ]
)
targets = st.sampled_from(
    [
        *(f"-j {chain}" for chain in (*CHAINS, "MISSING")),
        *(f"-g {chain}" for chain in CHAINS),
        "-j ACCEPT",
        "-j DROP",
        "-j RETURN",
        "-j REJECT --reject-with tcp-reset",
        "-j MARK --set-xmark 0x1/0x1",
        "-j MARK --set-xmark 0x2/0xffffffff",
        "-j CONNMARK --save-mark --nfmask 0xffffffff --ctmask 0xffffffff",
        "-j CONNMARK --restore-mark --nfmask 0x1 --ctmask 0x1",
        f"-j DNAT --to-destination {POD}:80",
        "-j DNAT --to-destination 10.9.9.1-10.9.9.4:80-90",
        f"-j SNAT --to-source {NODE}",
        "-j MASQUERADE",
        "-j REDIRECT --to-ports 99",
        "-j CT --notrack",
        "-j LOG",
        "-j NFQUEUE --queue-num 1",
        "-j WHAT --is this",
        "",
    ]
)


@st.composite
def rulesets(draw: st.DrawFn) -> Ruleset:
    text = ""
    for table in draw(st.sets(st.sampled_from(sorted(BUILT_IN_CHAINS)), min_size=1)):
        text += f"*{table}\n"
        built_in = BUILT_IN_CHAINS[table]
        for chain in built_in:
            text += f":{chain} {draw(st.sampled_from(['ACCEPT', 'ACCEPT', 'DROP']))} [0:0]\n"
        text += "".join(f":{chain} - [0:0]\n" for chain in CHAINS)
        for chain in draw(st.lists(st.sampled_from((*built_in, *CHAINS)), max_size=25)):
            words = ("-A", chain, draw(matches), draw(targets))
            text += " ".join(word for word in words if word) + "\n"
        text += "COMMIT\n"
    return Ruleset.from_save(text)


packets = st.builds(
    Packet,
    destination=st.sampled_from((POD, NODE, "10.96.0.1", "8.8.8.8", "127.0.0.1")),
    port=st.sampled_from((80, 99)),
    protocol=st.sampled_from(("tcp", "udp")),
    source=st.sampled_from((None, CLIENT, POD, NODE)),
    origin=st.sampled_from((None, Origin.NODE)),
    tracking=st.sampled_from(("NEW", "NEW", "ESTABLISHED", "UNTRACKED")),
)


@settings(max_examples=250, deadline=None)
@given(rules=rulesets(), packet=packets)
def test_every_trace_ends_with_shares_that_add_up(rules: Ruleset, packet: Packet) -> None:
    answer = trace(rules, packet, host())

    assert answer.distributions
    for distribution in answer.distributions:
        common = math.lcm(*(o.share.denominator for o in distribution.outcomes))
        assert (
            sum(o.share.numerator * (common // o.share.denominator) for o in distribution.outcomes)
            == common
        )
        shown = [answer_line(answer), *tree_lines(distribution.outcomes)]
        shown += [cell for row in outcome_rows(distribution) for cell in row]
        assert all(text.isprintable() for text in shown)


@settings(max_examples=100, deadline=None)
@given(rules=rulesets(), packet=packets)
def test_a_second_trace_says_the_same(rules: Ruleset, packet: Packet) -> None:
    node = host()

    assert trace(rules, packet, node).to_json() == trace(rules, packet, node).to_json()
