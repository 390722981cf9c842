"""Single rules at single hooks: what the kernel does, in a few lines each."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import pytest

from nptables import Cluster, Family, InvalidInput, Ruleset, Trace, trace
from nptables.iptables.ruleset import BUILT_IN_CHAINS
from nptables.tracing import Origin, Packet, Verdict
from nptables.tracing.explanation.result import exact_text
from nptables.tracing.traversal import MOST_STEPS

if TYPE_CHECKING:
    from nptables.model import Node

POD = "10.244.1.5"
NODE = "192.168.0.2"
CLIENT = "203.0.113.9"


def host() -> Node:
    return Cluster().node(
        "host",
        {
            "interfaces": {
                "lo": ["127.0.0.1/8"],
                "eth0": [f"{NODE}/24"],
                "cni0": ["10.244.1.1/24"],
            },
            "routes": [
                {"dst": "default", "gateway": "192.168.0.1", "dev": "eth0"},
                {"dst": "10.244.1.0/24", "dev": "cni0"},
                {"dst": "198.51.100.0/24", "type": "blackhole"},
            ],
        },
    )


def ruleset(*lines: str, policies: dict[str, str] | None = None) -> Ruleset:
    """A ruleset of lines such as `nat -A PREROUTING ...`; chains are declared as needed."""
    tables: dict[str, list[str]] = {}
    for line in lines:
        table, _, rule = line.partition(" ")
        tables.setdefault(table, []).append(rule)
    text = ""
    for table, rules in tables.items():
        named = dict.fromkeys(rule.split()[1] for rule in rules)
        built_in = BUILT_IN_CHAINS[table]
        text += f"*{table}\n"
        for chain in built_in:
            text += f":{chain} {(policies or {}).get(chain, 'ACCEPT')} [0:0]\n"
        text += "".join(f":{chain} - [0:0]\n" for chain in named if chain not in built_in)
        text += "".join(f"{rule}\n" for rule in rules if not rule.endswith(" -j"))
        text += "COMMIT\n"
    return Ruleset.from_save(text)


def follow(*lines: str, packet: Packet | None = None, **policies: str) -> Trace:
    sent = packet or Packet(POD, 80, source=CLIENT)
    return trace(ruleset(*lines, policies=policies), sent, host())


def shares(answer: Trace) -> dict[str, Fraction]:
    (distribution,) = answer.distributions
    return {f"{o.verdict.value} {o.where}": o.share for o in distribution.outcomes}


def verdict(answer: Trace) -> Verdict:
    (distribution,) = answer.distributions
    (outcome,) = distribution.outcomes
    assert outcome.share == 1
    return outcome.verdict


DROP = "filter -A FORWARD"


@pytest.mark.parametrize(
    ("matches", "holds"),
    [
        (f"-s {CLIENT}/32", True),
        ("-s 203.0.113.0/24", True),
        ("! -s 203.0.113.0/24", False),
        ("-i eth0", True),
        ("-i eth+", True),
        ("! -i cni0", True),
        ("-o cni0", True),
        ("-o veth+", False),
        ("-p tcp", True),
        ("-p 17", False),
        ("-p tcp -m tcp --dport 80", True),
        ("-p tcp -m tcp --dport 81:90", False),
        ("-p tcp -m tcp ! --dport 81:90", True),
        ("-p tcp -m multiport --dports 22,80", True),
        ("-p tcp -m multiport --dports 1000:2000", False),
        ("-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN", True),
        ("-p tcp -m tcp --tcp-flags SYN,ACK SYN,ACK", False),
        ("-m mark --mark 0x0", True),
        ("-m mark --mark 0x4000/0x4000", False),
        ("-m conntrack --ctstate NEW", True),
        ("-m conntrack --ctstate RELATED,ESTABLISHED", False),
        ("-m conntrack ! --ctstate DNAT", True),
        (f"-m conntrack --ctorigdst {POD}", True),
        ("-m conntrack --ctorigdstport 80 --ctdir ORIGINAL", True),
        ("-m state --state NEW", True),
        ("-m addrtype --dst-type LOCAL", False),
        ("-m addrtype --src-type UNICAST --dst-type UNICAST", True),
        ("-m iprange --src-range 203.0.113.1-203.0.113.20", True),
        ("-m physdev --physdev-is-bridged", False),
        ("-m pkttype --pkt-type unicast", True),
        ('-m comment --comment "text -d 1.2.3.4/32 "', True),
        ("-m nfacct --nfacct-name  counter", True),
        # version and header length; protocol; destination port, found by the header's length
        ('-m u32 --u32 "0x0>>0x18=0x45&&0x6&0xff=0x6"', True),
        ('-m u32 --u32 "0x0>>0x16&0x3c@0x0&0xffff=0x50"', True),
        ('-m u32 --u32 "0xc=0xcb007109"', True),
        ('-m u32 --u32 "0x10=0x0:0xff"', False),
    ],
)
def test_a_match_with_an_answer_is_answered(matches: str, *, holds: bool) -> None:
    answer = follow(f"{DROP} {matches} -j DROP")

    assert verdict(answer) is (Verdict.DROPPED if holds else Verdict.POD)


@pytest.mark.parametrize(
    "matches",
    [
        "-m set --match-set blocklist src",
        "-m recent --rcheck --seconds 60 --name seen --mask 255.255.255.255 --rsource",
        "-m time --timestart 09:00:00 --timestop 17:00:00",
        "-m ttl --ttl-lt 5",
        "-m nobody-knows --this",
        "-p tcp -m tcp --sport 1024:2048",
    ],
)
def test_what_nobody_can_know_is_a_question_with_two_answers(matches: str) -> None:
    answer = follow(f"{DROP} {matches} -j DROP")

    verdicts = [[(o.verdict, o.share) for o in d.outcomes] for d in answer.distributions]
    assert verdicts == [[(Verdict.POD, 1)], [(Verdict.DROPPED, 1)]]


@pytest.mark.parametrize(
    ("matches", "holds", "otherwise"),
    [
        (
            "-p tcp -m tcp --sport 1024:2048",
            "the source port is in 1024:2048",
            "the source port is not in 1024:2048",
        ),
        (
            f"-m conntrack --ctorigsrc {CLIENT}/32",
            f"a client outside the cluster in {CLIENT}/32",
            f"a client outside the cluster not in {CLIENT}/32",
        ),
    ],
)
def test_the_answer_no_is_told_in_a_sentence(matches: str, holds: str, otherwise: str) -> None:
    answer = follow(f"{DROP} {matches} -j DROP", packet=Packet(POD, 80))

    told = {d.outcomes[0].verdict: d.hypothesis for d in answer.distributions}
    assert told == {Verdict.DROPPED: holds, Verdict.POD: otherwise}


HASHLIMIT = "-m hashlimit --hashlimit-name web --hashlimit-mode"


@pytest.mark.parametrize(
    ("matches", "traffic", "drops_within"),
    [
        (
            "-m limit --limit 6/hour --limit-burst 9",
            "the traffic at rule 2 of filter FORWARD is {} its limit of 6/hour after a burst of 9",
            True,
        ),
        (
            "-m limit --limit 3/hour",
            "the traffic at rule 2 of filter FORWARD is {} its limit of 3/hour after a burst of 5",
            True,
        ),
        (
            f"{HASHLIMIT} srcip --hashlimit-upto 5/sec --hashlimit-burst 8",
            f"the traffic from {CLIENT} in hashlimit web is {{}} 5/sec after a burst of 8",
            True,
        ),
        (
            f"{HASHLIMIT} dstip,dstport --hashlimit-above 5/sec",
            f"the traffic to {POD}:80 in hashlimit web is {{}} 5/sec",
            False,
        ),
    ],
)
def test_a_rate_is_a_hypothesis_and_within_it_comes_first(
    matches: str, traffic: str, *, drops_within: bool
) -> None:
    answer = follow(f"{DROP} -j LOG", f"{DROP} {matches} -j DROP")

    within, over = answer.distributions
    assert within.hypothesis == traffic.format("within")
    assert over.hypothesis == traffic.format("over")
    assert [o.verdict is Verdict.DROPPED for o in within.outcomes] == [drops_within]
    assert [o.verdict is Verdict.DROPPED for o in over.outcomes] == [not drops_within]


def test_a_probability_is_a_fraction_of_the_kernels_steps() -> None:
    # 0.33333333349 is stored as 715827883 of 2^31 steps.
    answer = follow(f"{DROP} -m statistic --mode random --probability 0.33333333349 -j DROP")

    assert shares(answer)[f"dropped {POD}:80"] == Fraction(715827883, 2**31)
    assert sum(shares(answer).values()) == 1


def test_every_nth_packet_is_a_fraction() -> None:
    answer = follow(f"{DROP} -m statistic --mode nth --every 4 --packet 0 -j DROP")

    assert shares(answer)[f"dropped {POD}:80"] == Fraction(1, 4)


def test_questions_without_consequence_disappear() -> None:
    logs = [f"{DROP} -m set --match-set s{number} src -j LOG" for number in range(30)]
    marks = [
        f"{DROP} -m set --match-set m{bit:x} src -j MARK --set-xmark {bit:#x}/{bit:#x}"
        for bit in (1 << number for number in range(20))
    ]

    assert verdict(follow(*logs, *marks)) is Verdict.POD


def test_the_same_set_is_asked_once() -> None:
    answer = follow(
        "raw -A PREROUTING -m set --match-set bad src -j MARK --set-xmark 0x1/0x1",
        f"{DROP} -m set --match-set bad src -j DROP",
        f"{DROP} -m mark --mark 0x1/0x1 -j REJECT --reject-with icmp-port-unreachable",
    )

    found = [[o.verdict for o in d.outcomes] for d in answer.distributions]
    assert found == [[Verdict.POD], [Verdict.DROPPED]]


def test_a_question_that_only_some_packets_have_met_before_loses_none() -> None:
    # Half of the packets meet the rule in OUTPUT, and all that are left meet it in POSTROUTING.
    answer = trace(
        ruleset(
            "mangle -A OUTPUT -m statistic --mode random --probability 0.50000000000 -j ONE",
            "mangle -A POSTROUTING -j ONE",
            "mangle -A ONE -m set --match-set bad src -j DROP",
        ),
        Packet(POD, 80, origin=Origin.NODE),
        host(),
    )

    found = [[(o.verdict, o.share) for o in d.outcomes] for d in answer.distributions]
    assert found == [[(Verdict.POD, 1)], [(Verdict.DROPPED, 1)]]


def test_many_open_questions_grow_one_by_one() -> None:
    lines = [f"{DROP} -m set --match-set s{number} src -j DROP" for number in range(40)]

    answer = follow(*lines)

    assert len(answer.distributions) == 41
    assert all(sum(o.share for o in d.outcomes) == 1 for d in answer.distributions)


def test_return_goes_back_and_goto_does_not() -> None:
    # A goto leaves nothing to return to but the caller of the chain that has it.
    answer = follow(
        "filter -A FORWARD -j ONE",
        "filter -A FORWARD -j ACCEPT",
        "filter -A ONE -g TWO",
        "filter -A ONE -j DROP",
        "filter -A TWO -p udp -j DROP",
        FORWARD="DROP",
    )

    assert verdict(answer) is Verdict.POD


def test_return_in_a_built_in_chain_is_its_policy() -> None:
    assert (
        verdict(follow(f"{DROP} -j RETURN", f"{DROP} -j ACCEPT", FORWARD="DROP")) is Verdict.DROPPED
    )


def test_a_drop_that_a_jump_leads_to_is_told_with_its_way() -> None:
    answer = follow("filter -A FORWARD -j ONE", "filter -A ONE -j DROP")

    assert [(s.chain, s.depth) for s in answer.outcomes[0].path] == [("FORWARD", 0), ("ONE", 1)]


def test_nat_decides_where_a_packet_goes_and_filter_sees_where() -> None:
    answer = follow(
        f"nat -A PREROUTING -p tcp -m tcp --dport 8080 -j DNAT --to-destination {POD}:80",
        f"filter -A FORWARD -d {POD}/32 -o cni0 -m conntrack --ctstate DNAT -j ACCEPT",
        "nat -A POSTROUTING -o cni0 -j MASQUERADE",
        packet=Packet(NODE, 8080, source=CLIENT),
        FORWARD="DROP",
    )

    (outcome,) = answer.outcomes
    assert (outcome.verdict, outcome.where) == (Verdict.ENDPOINT, f"{POD}:80")
    # MASQUERADE takes the address of the interface that leads to the pod.
    assert (outcome.source, outcome.source_rewritten) == ("10.244.1.1", True)


@pytest.mark.parametrize("tracking", ["ESTABLISHED", "INVALID", "UNTRACKED"])
def test_nat_is_for_new_connections_only(tracking: str) -> None:
    answer = follow(
        f"nat -A PREROUTING -j DNAT --to-destination {POD}:80",
        packet=Packet(NODE, 8080, source=CLIENT, tracking=tracking),
    )

    assert verdict(answer) is Verdict.NODE


def test_an_untracked_packet_is_not_translated() -> None:
    answer = follow(
        "raw -A PREROUTING -j CT --notrack",
        f"nat -A PREROUTING -j DNAT --to-destination {POD}:80",
        packet=Packet(NODE, 8080, source=CLIENT),
    )

    assert verdict(answer) is Verdict.NODE


def test_the_nodes_own_packet_is_translated_in_output_and_filtered_by_its_first_interface() -> None:
    # The hook keeps the interface of the first route (lo, for an own address); -o cni0 comes late.
    answer = follow(
        f"nat -A OUTPUT -p tcp -m tcp --dport 8080 -j DNAT --to-destination {POD}:80",
        "filter -A OUTPUT -o cni0 -j DROP",
        f"filter -A OUTPUT ! -i cni0 -o lo -d {POD}/32 -j ACCEPT",
        packet=Packet(NODE, 8080, origin=Origin.NODE),
        OUTPUT="DROP",
    )

    (outcome,) = answer.outcomes
    assert (outcome.verdict, outcome.whence) == (Verdict.ENDPOINT, NODE)


def test_an_endpoint_in_the_nodes_network_sees_the_clients_address() -> None:
    answer = follow(
        f"nat -A PREROUTING -p tcp -m tcp --dport 8080 -j DNAT --to-destination {NODE}:80",
        "nat -A POSTROUTING -j MASQUERADE",
        packet=Packet(NODE, 8080, source=CLIENT),
    )

    (outcome,) = answer.outcomes
    assert (outcome.verdict, outcome.whence) == (Verdict.HOST_ENDPOINT, CLIENT)


def test_redirect_goes_to_the_address_of_the_interface() -> None:
    answer = follow(
        "nat -A PREROUTING -p tcp -j REDIRECT --to-ports 3128",
        packet=Packet(POD, 80, source=CLIENT),
    )

    assert answer.outcomes[0].where == f"{NODE}:3128"


def test_a_queue_is_not_followed_and_says_so() -> None:
    answer = follow(f"{DROP} -j NFQUEUE --queue-num 3")

    assert verdict(answer) is Verdict.UNKNOWN
    assert "NFQUEUE 3" in answer.outcomes[0].text


def test_a_missing_chain_is_reported() -> None:
    answer = follow(f"{DROP} -j NOT-THERE")

    assert verdict(answer) is Verdict.UNKNOWN
    assert "NOT-THERE" in answer.outcomes[0].text


def test_a_loop_is_reported() -> None:
    answer = follow(f"{DROP} -j ONE", "filter -A ONE -j TWO", "filter -A TWO -j ONE")

    assert verdict(answer) is Verdict.UNKNOWN
    assert "loop" in answer.outcomes[0].text


def test_chains_that_multiply_are_given_up_and_that_is_said() -> None:
    levels = 8
    lines = [f"{DROP} -j L0"]
    for level in range(levels):
        lines += [f"filter -A L{level} -j L{level + 1}"] * 10
    lines.append(f"filter -A L{levels} -p udp -j DROP")

    answer = follow(*lines)

    assert verdict(answer) is Verdict.UNKNOWN
    assert str(MOST_STEPS) in answer.outcomes[0].text


def test_a_route_that_ends_is_an_end() -> None:
    assert verdict(follow(DROP + " -j ACCEPT", packet=Packet("198.51.100.7", 1))) is Verdict.DROPPED


def test_a_packet_to_loopback_from_elsewhere_never_reaches_the_node() -> None:
    assert verdict(follow(f"{DROP} -j DROP", packet=Packet("127.0.0.1", 80))) is Verdict.STAYS


def test_answers_about_a_client_outside_agree_with_one_another() -> None:
    # 10.0.0.0/8 holds 10.1.0.0/16: of four combinations three can be.
    answer = follow(
        f"{DROP} -s 10.0.0.0/8 -j MARK --set-xmark 0x1/0x1",
        f"{DROP} -s 10.1.0.0/16 -m mark --mark 0x1/0x1 -j DROP",
        f"{DROP} -s 10.1.0.0/16 -j REJECT --reject-with icmp-port-unreachable",
        packet=Packet(POD, 80),
    )

    found = {o.verdict for d in answer.distributions for o in d.outcomes}
    assert found == {Verdict.POD, Verdict.DROPPED}
    assert all(sum(o.share for o in d.outcomes) == 1 for d in answer.distributions)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Packet("not-an-address", 80),
        lambda: Packet(POD, 0),
        lambda: Packet(POD, 70000),
        lambda: Packet(POD, 80, "nonsense"),
        lambda: Packet(POD, 80, source="2001:db8::1"),
        lambda: Packet(POD, 80, tracking="OLD"),
        lambda: trace(Ruleset(Family.IPV6, {}), Packet(POD, 80), host()),
    ],
)
def test_what_is_no_packet_is_refused(wrong: object) -> None:
    with pytest.raises(InvalidInput):
        wrong()  # type: ignore[operator]


def test_a_share_of_thousands_of_digits_can_be_written() -> None:
    share = Fraction(1, 2**40_000)

    text = exact_text(share)

    numerator, _, denominator = text.partition("/")
    assert Fraction(int(numerator, 16), int(denominator, 16)) == share
