"""Verdicts and reasons that have to be true: by what rules do, not by what they are called."""

from __future__ import annotations

import re
from fractions import Fraction
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nptables import Cluster, Family, ProxyConfig, Ruleset, Trace, trace, translate
from nptables.iptables.rule import Rule
from nptables.tracing import Packet, Verdict, packet_between
from nptables.tracing.explanation.words import (
    HEADINGS,
    answer_line,
    decided_by,
    hypotheses,
    outcome_rows,
    reasons_beside,
    table_lines,
    tree_lines,
)
from nptables.tracing.matching.headers import HEADER_MATCHES
from nptables.tracing.packet import Origin
from nptables.tracing.services import Asked, Services
from nptables.tracing.state import State
from nptables.tracing.traversal.nat import nat_range, new_source
from nptables.tracing.traversal.rulebook import Impossible, Rulebook, impossible_values
from tests.tracing.test_hooks import CLIENT, NODE, POD, follow, host, ruleset
from tests.tracing.test_reasons import NODES, ON_BOTH, endpoint, endpoint_slice, service

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nptables.model import Node
    from tests.tracing.test_reasons import Object

TO_PROXY = "nat -A PREROUTING -p tcp -m tcp --dport 30080 -j REDIRECT --to-ports 15001"
INPUT_DROPS = "filter -A INPUT -p tcp -m tcp --dport 15001 -j DROP"
FORWARD_DROPS = "filter -A FORWARD -j DROP"


def codes(answer: Trace) -> list[str]:
    return [reason.code for reason in answer.reasons]


def with_rules(
    *lines: str, objects: Sequence[Object], to: str = "nodeport:30080", source: str = "outside"
) -> Trace:
    """A packet on node2 through rules that are put before those of the cluster."""
    cluster = Cluster.from_objects(objects)
    place = cluster.node("node2")
    config = ProxyConfig(cluster_cidrs=("10.244.0.0/16",))
    text = translate(cluster, place, config, Family.IPV4).to_save()
    for line in lines:
        table, _, rule = line.partition(" ")
        chain = rule.split(" ")[1]
        first = next(
            text.index(found, text.index(f"*{table}\n"))
            for found in (f"-A {chain} ", "COMMIT\n")
            if found in text[text.index(f"*{table}\n") :].partition("COMMIT\n")[0] + "COMMIT\n"
        )
        text = f"{text[:first]}{rule}\n{text[first:]}"
    packet = packet_between(source, to, node=place, cluster=cluster)
    return trace(Ruleset.from_save(text), packet, place, cluster, config=config)


SERVICE_ON_BOTH = [*NODES, service(), endpoint_slice(*ON_BOTH)]


@pytest.mark.parametrize("rule", [INPUT_DROPS, FORWARD_DROPS], ids=["INPUT", "FORWARD"])
@pytest.mark.parametrize(
    "facts",
    [
        None,
        {"interfaces": {"eth0": [f"{NODE}/24"]}},
        {"interfaces": {"eth0": [f"{NODE}/24"]}, "routes": [{"dst": "default", "dev": "eth0"}]},
    ],
    ids=["nothing known", "interfaces", "interfaces and routes"],
)
def test_a_redirect_ends_in_the_node_whatever_is_known_of_interfaces(
    rule: str, facts: dict[str, object] | None
) -> None:
    # nf_nat_redirect takes an address of the interface that the packet came in through, so the
    # routing decision behind it finds a local one: INPUT, never FORWARD.
    place = Cluster().node("host", facts)
    rules = ruleset(TO_PROXY, rule)

    packet = Packet("203.0.113.80", 30080, source=CLIENT, origin=Origin.OUTSIDE)
    answer = trace(rules, packet, place)

    expected = Verdict.DROPPED if rule == INPUT_DROPS else Verdict.NODE
    assert {o.verdict for d in answer.distributions for o in d.outcomes} == {expected}
    assert {o.port for o in answer.outcomes} == {15001}


def test_who_listens_behind_a_redirect_is_no_endpoint_of_the_service() -> None:
    answer = with_rules(TO_PROXY, objects=SERVICE_ON_BOTH)

    assert [o.verdict for o in answer.outcomes] == [Verdict.NODE]
    assert answer.reasons[0].text == (
        "nat PREROUTING on node2 redirects it to port 15001 of node2 itself: what listens there is "
        "not an endpoint of default/web:http"
    )
    assert codes(answer) == ["redirected"]


def test_a_redirect_to_a_host_endpoint_of_the_service_itself_arrives() -> None:
    # The interface that clients come in through has the address of the Node, and the endpoint is
    # the node's own port 15001.
    objects = [*NODES, service(), endpoint_slice(endpoint("192.168.0.12", "node2"))]
    cluster = Cluster.from_objects(objects)
    facts = {
        "interfaces": {"eth0": ["192.168.0.12/24"]},
        "routes": [{"dst": "default", "gateway": "192.168.0.1", "dev": "eth0"}],
    }
    rules = ruleset("nat -A PREROUTING -p tcp -j REDIRECT --to-ports 8080")

    answer = trace(
        rules, Packet("192.168.0.12", 30080, source=CLIENT), cluster.node("node2", facts), cluster
    )

    assert [o.verdict for o in answer.outcomes] == [Verdict.HOST_ENDPOINT]


DOCKER = "nat -A DOCKER -p tcp -m tcp --dport 30080 -j DNAT --to-destination 172.17.0.2:80"


@pytest.mark.parametrize(
    ("lines", "writer", "whose"),
    [
        (
            (DOCKER, "nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER"),
            "Docker",
            "a rule of Docker sends it there (nat DOCKER on node2)",
        ),
        (
            (DOCKER.replace("DOCKER", "MINE"), "nat -A PREROUTING -j MINE"),
            "",
            "a rule of another program sends it there (nat MINE on node2)",
        ),
        (
            (DOCKER.replace("DOCKER", "PREROUTING"),),
            "",
            "a rule of another program sends it there (nat PREROUTING on node2)",
        ),
    ],
)
def test_whose_rule_takes_the_packet_is_told_by_the_chains_on_its_way(
    lines: tuple[str, ...], writer: str, whose: str
) -> None:
    answer = trace(
        ruleset(*lines),
        Packet("192.168.0.12", 30080, source=CLIENT),
        (cluster := Cluster.from_objects(SERVICE_ON_BOTH)).node("node2"),
        cluster,
    )

    (outcome,) = answer.outcomes
    assert (outcome.verdict, outcome.writer) == (Verdict.WRONG_ENDPOINT, writer)
    assert answer.reasons[0].text == (
        "172.17.0.2:80 gets it, which is not an endpoint of default/web:http (it has "
        f"10.244.1.5:8080, 10.244.3.5:8080): {whose}"
    )
    assert not answer.arrives


def test_a_port_of_docker_that_no_service_has_is_nobodys_business() -> None:
    answer = trace(
        ruleset(DOCKER, "nat -A PREROUTING -j DOCKER"),
        Packet("192.168.0.12", 30080, source=CLIENT),
        (cluster := Cluster.from_objects(NODES)).node("node2"),
        cluster,
    )

    assert answer.arrives


def test_one_stale_endpoint_among_good_ones_takes_its_share() -> None:
    stale = [*NODES, service(), endpoint_slice(*ON_BOTH, endpoint("10.244.1.66", "node1"))]
    cluster = Cluster.from_objects(SERVICE_ON_BOTH)
    place = cluster.node("node2")
    rules = translate(Cluster.from_objects(stale), place, ProxyConfig(), Family.IPV4)

    answer = trace(
        Ruleset.from_save(rules.to_save()), Packet("192.168.0.12", 30080), place, cluster
    )

    assert {(o.where, o.verdict) for o in answer.outcomes} == {
        ("10.244.1.5:8080", Verdict.ENDPOINT),
        ("10.244.3.5:8080", Verdict.ENDPOINT),
        ("10.244.1.66:8080", Verdict.WRONG_ENDPOINT),
    }
    assert answer_line(answer).startswith("arrives in part: 66.67 % of new connections")
    assert codes(answer) == ["wrong-endpoint", "external-cluster"]


@pytest.mark.parametrize(
    ("was", "goes"),
    [
        ([ON_BOTH[0]], "10.244.1.5:8080"),
        (
            [*ON_BOTH, endpoint("10.244.1.9", "node1", conditions={"ready": True})],
            "10.244.1.5:8080, 10.244.1.9:8080, 10.244.3.5:8080",
        ),
    ],
    ids=["one is missing", "one is not ready any more"],
)
def test_rules_and_cluster_that_differ_on_the_endpoints_both_have_their_say(
    was: list[Object], goes: str
) -> None:
    now = endpoint("10.244.1.9", "node1", conditions={"ready": False})
    before = Cluster.from_objects([*NODES, service(), endpoint_slice(*was)])
    cluster = Cluster.from_objects([*NODES, service(), endpoint_slice(*ON_BOTH, now)])
    place = cluster.node("node2")
    rules = translate(before, place, ProxyConfig(), Family.IPV4)

    answer = trace(
        Ruleset.from_save(rules.to_save()), Packet("192.168.0.12", 30080), place, cluster
    )

    assert answer.reasons[0].text == (
        f"the rules of node2 and the cluster differ: the rules send it to {goes}, the cluster "
        "would send it to 10.244.1.5:8080, 10.244.3.5:8080: kube-proxy on node2 is behind or was "
        "stopped, or has another configuration"
    )


def test_a_source_that_the_ranges_admit_is_not_told_that_they_refuse_it() -> None:
    # KUBE-FW admits it, KUBE-EXT finds no endpoint on the node, and KUBE-PROXY-FIREWALL drops
    # whatever is still for the address.
    balanced = {"loadBalancer": {"ingress": [{"ip": "198.51.100.9"}]}}
    objects = [
        *NODES,
        service(
            type="LoadBalancer", loadBalancerSourceRanges=["203.0.113.0/24"], status=balanced,
            externalTrafficPolicy="Local",
        ),
        endpoint_slice(*ON_BOTH),
    ]  # fmt: skip

    answer = with_rules(objects=objects, source=CLIENT, to="198.51.100.9:80")

    assert answer.reasons[0].text == (
        "DROP: default/web has externalTrafficPolicy Local and none of its 2 ready endpoints is on "
        "node2 (they are on node1, node3)"
    )
    assert "source-range" not in codes(answer)


@pytest.mark.parametrize(
    ("ranges", "has"),
    [
        ([], "are not set"),
        (["198.18.0.0/15", "203.0.113.0/24"], f"admit {CLIENT} (198.18.0.0/15, 203.0.113.0/24)"),
    ],
)
def test_ranges_that_the_rules_do_not_have_yet_are_told(ranges: list[str], has: str) -> None:
    balanced = {"loadBalancer": {"ingress": [{"ip": "198.51.100.9"}]}}
    before, now = (
        Cluster.from_objects([
            *NODES,
            service(type="LoadBalancer", loadBalancerSourceRanges=given, status=balanced),
            endpoint_slice(*ON_BOTH),
        ])
        for given in (["192.0.2.0/24"], ranges)
    )  # fmt: skip
    place = now.node("node2")
    rules = translate(before, before.node("node2"), ProxyConfig(), Family.IPV4)
    packet = packet_between(CLIENT, "198.51.100.9:80", node=place, cluster=now)

    answer = trace(rules, packet, place, now)

    assert codes(answer) == ["stale-rule"]
    assert (
        "admits only 192.0.2.0/24, but in the cluster loadBalancerSourceRanges of default/web "
        f"{has}: "
    ) in answer.reasons[0].text


@pytest.mark.parametrize(
    ("chain", "match", "code"),
    [
        ("KUBE-FORWARD", "-m conntrack --ctstate INVALID ", "invalid-dropped"),
        ("KUBE-FORWARD", "-p tcp ", "rule"),
        ("FORWARD", "-m conntrack --ctstate INVALID ", "foreign-rule"),
    ],
)
def test_only_kube_proxys_own_rule_for_invalid_packets_is_explained_by_its_setting(
    chain: str, match: str, code: str
) -> None:
    answer = follow(
        f"filter -A {chain} {match}-j DROP",
        "filter -A FORWARD -j KUBE-FORWARD",
        packet=Packet(POD, 80, source=CLIENT, tracking="INVALID"),
    )

    assert codes(answer) == [code]


FIREWALL = '-m comment --comment "kubernetes firewall for dropping marked packets"'


def test_a_drop_that_lost_its_mark_is_what_it_does_not_what_its_comment_says() -> None:
    answer = follow(
        f"filter -A KUBE-FIREWALL {FIREWALL} -j DROP",
        "filter -A INPUT -j KUBE-FIREWALL",
        packet=Packet(NODE, 22, source=CLIENT),
    )

    (reason,) = answer.reasons
    assert reason.code == "every-packet"
    for part in (
        "filter KUBE-FIREWALL on host has a rule without conditions: it ends every packet",
        'whatever its comment says ("kubernetes firewall for dropping marked packets")',
        "lost `-m mark --mark 0x8000/0x8000`",
    ):
        assert part in reason.text


def test_a_drop_by_mark_says_who_gave_the_mark() -> None:
    answer = follow(
        "nat -A KUBE-MARK-DROP -j MARK --set-xmark 0x8000/0x8000",
        "nat -A PREROUTING -p tcp -m tcp --dport 22 -j KUBE-MARK-DROP",
        f"filter -A KUBE-FIREWALL {FIREWALL} -m mark --mark 0x8000/0x8000 -j DROP",
        "filter -A INPUT -j KUBE-FIREWALL",
        packet=Packet(NODE, 22, source=CLIENT),
    )

    (reason,) = answer.reasons
    assert reason.text == (
        "DROP: nat PREROUTING on host gives the packet the mark 0x8000, and filter KUBE-FIREWALL "
        "on host drops what has it"
    )


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("nat -A PREROUTING -j DNAT --to-destination 300.233.64.5", "300.233.64.5 is not an IPv4"),
        ("nat -A PREROUTING -j DNAT --to-destination 10.1.2.3:99999", "10.1.2.3:99999 is"),
        ("nat -A PREROUTING -j DNAT --to-destination 10.1.2.3-10.1.2.999", "10.1.2.999 is not an"),
        ("nat -A PREROUTING -j DNAT --to-destination [2001:db8::1]:80", "is not an IPv4 address"),
        ("nat -A POSTROUTING -j SNAT --to-source 1.2.3", "--to-source 1.2.3 is not"),
        ("nat -A PREROUTING -p tcp -j REDIRECT --to-ports 70000", "--to-ports 70000 is not a port"),
    ],
)  # fmt: skip
def test_an_impossible_value_of_a_target_is_named_where_the_packet_meets_it(
    rule: str, says: str
) -> None:
    answer = follow(rule)

    (outcome,) = answer.outcomes
    assert outcome.verdict is Verdict.UNKNOWN
    assert says in outcome.text
    assert "that cannot be read" in answer_line(answer)
    assert answer_line(answer).startswith("not known: ")


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        # `-j MINE`, with a word, the dash or the letter gone: iptables refuses each.
        ("nat -A PREROUTING MINE", "MINE cannot stand there"),
        ("nat -A PREROUTING -p tcp -z MINE", "-z cannot stand there"),
        ("nat -A PREROUTING -p tcp -m tcp --dport 80 j MINE", "j cannot stand there"),
        # 'option "--to-destination" must be specified'
        ("nat -A PREROUTING -j DNAT", "given to DNAT with options that are not understood"),
        ("nat -A POSTROUTING -j SNAT", "given to SNAT with options that are not understood"),
    ],
)
def test_a_rule_that_iptables_would_refuse_is_never_taken_for_one_that_does_nothing(
    rule: str, says: str
) -> None:
    answer = follow(rule)

    assert says in answer_line(answer)
    assert not answer.arrives


def test_what_became_one_of_several_is_no_wrong_endpoint_where_one_of_them_is_right() -> None:
    """The kernel draws the address of a range, and its port."""
    asked = Asked(endpoints=frozenset({("10.244.1.5", 8080)}))

    for to, misses in (
        ("10.244.1.4-10.244.1.7:8080", False),
        ("10.244.1.5:8000-8100", False),
        ("10.244.1.4-10.244.1.7:80", True),
        ("10.9.0.4-10.9.0.7:8080", True),
        ("10.244.1.6:8000-8100", True),
    ):
        found = nat_range(to)
        assert found.address is not None
        assert asked.misses(found.address, found.port_for(None)) is misses


@pytest.mark.parametrize(
    ("arrived", "sent_on"),
    [(2000, 5000), (2050, 5050), (2100, 5100), (2101, 5000), (5050, 5020), (1999, 5087)],
)
def test_a_base_port_shifts_ports_into_the_range(arrived: int, sent_on: int) -> None:
    """5000 + (port - 2000) % 101, where what is below the base is 16 bits without a sign.

    3050 = 30 * 101 + 20 and 65535 = 648 * 101 + 87 (NF_NAT_RANGE_PROTO_OFFSET in nf_nat_core.c).
    """
    assert nat_range("10.244.1.5:5000-5100/2000").port_for(arrived) == sent_on
    assert nat_range(":5000-5100/2000").port_for(arrived) == sent_on


def test_without_a_base_port_a_port_of_the_range_is_kept_and_others_are_drawn() -> None:
    to = nat_range("10.244.1.5:5000-5100")

    assert (to.port_for(5050), to.port_for(2050)) == (5050, None)


@pytest.mark.parametrize(
    "value",
    ["::1", "[::1]", "[::1]:80", "::1-::2", "[::1-::2]:80-90", ":80", ":80-90", "fd00::1",
     "[::1]:80-90/8080"],
)  # fmt: skip
def test_what_ip6tables_takes_for_a_destination_is_not_impossible(value: str) -> None:
    """A colon may begin an address, and ports alone (`parse_to` in libxt_NAT.c)."""
    rule = Rule.parse(f"-A X -p tcp -j DNAT --to-destination {value}", Family.IPV6)

    assert impossible_values(rule, Family.IPV6) == Impossible()


@pytest.mark.parametrize("value", ["[::1]/8080", "::1/8080", "[::1]:80-90/x", "[::1]:80/90/1"])
def test_a_first_port_of_a_range_stands_behind_the_range(value: str) -> None:
    rule = Rule.parse(f"-A X -p tcp -j DNAT --to-destination {value}", Family.IPV6)

    assert value in impossible_values(rule, Family.IPV6).target


@pytest.mark.parametrize(
    ("match", "says"),
    [
        ("-s 300.1.2.0/24", "-s 300.1.2.0/24 is not an IPv4 address or network"),
        ("-d 10.1.2.3/33", "-d 10.1.2.3/33 is not"),
        ("-m conntrack --ctorigdst 10.1.2.300", "--ctorigdst 10.1.2.300 is not"),
        ("-m iprange --src-range 10.0.0.1-10.0.0.256", "--src-range 10.0.0.1-10.0.0.256 is not"),
        ("-s 2001:db8::/32", "-s 2001:db8::/32 is not an IPv4"),
    ],
)
def test_an_impossible_value_of_a_match_is_a_hypothesis_that_names_it(
    match: str, says: str
) -> None:
    answer = follow(f"filter -A FORWARD {match} -j DROP")

    found = {d.outcomes[0].verdict: d.hypothesis for d in answer.distributions}
    assert found.keys() == {Verdict.POD, Verdict.DROPPED}
    assert all(says in hypothesis for hypothesis in found.values())


@pytest.mark.parametrize(("destination", "kind"), [(POD, (8, 0)), ("fd00:10:244:1::5", (128, 0))])
def test_an_icmp_packet_is_an_echo_request_unless_another_type_is_given(
    destination: str, kind: tuple[int, int]
) -> None:
    """RFC 792 and RFC 4443."""
    asked = Packet(destination, None, "icmp" if "." in destination else "ipv6-icmp")

    assert asked.icmp == kind
    assert attrs.evolve(asked, icmp_type=(3, 1)).icmp == (3, 1)


@pytest.mark.parametrize(
    ("family", "kind", "text", "holds"),
    [
        (Family.IPV4, (8, 0), "255", True),
        (Family.IPV4, (8, 0), "any", True),
        (Family.IPV6, (128, 0), "255", False),
        (Family.IPV6, (255, 0), "255", True),
    ],
)
def test_type_255_stands_for_every_icmp_type_of_ipv4_alone(
    family: Family, kind: tuple[int, int], text: str, *, holds: bool
) -> None:
    """As icmp_type_code_match and icmp6_type_code_match compare types in the kernel."""
    name, option = ("icmp", "--icmp-type") if family is Family.IPV4 else ("icmp6", "--icmpv6-type")
    setting = SimpleNamespace(family=family, icmp=kind)

    assert HEADER_MATCHES[name][option]((text,))(None, setting) is holds  # type: ignore[arg-type]


def test_ip6tables_knows_no_icmp_type_any() -> None:
    """Only libxt_icmp.h has that name, for IPv4."""
    rule = Rule.parse("-A X -p ipv6-icmp -m icmp6 --icmpv6-type any -j DROP", Family.IPV6)

    assert impossible_values(rule, Family.IPV6) != Impossible()


def test_what_one_condition_tells_of_a_packet_answers_another() -> None:
    """Nobody is in two networks that have no address in common, so nobody is dropped."""
    answer = follow(
        "filter -A FORWARD -s 203.0.113.0/24 -m conntrack --ctrepldst 198.51.100.0/24 -j DROP",
        packet=Packet(POD, 80),
    )

    verdicts = {o.verdict for d in answer.distributions for o in d.outcomes}
    assert verdicts == {Verdict.POD}


def test_an_impossible_address_in_a_long_chain_is_not_passed_over() -> None:
    long = [f"filter -A FORWARD -d 10.9.9.{n}/32 -j ACCEPT" for n in range(40)]

    answer = follow(*long, "filter -A FORWARD -d 10.244.1.500/32 -j DROP")

    assert len(answer.distributions) == 2


def test_of_a_long_chain_only_the_rules_that_a_packet_may_match_are_read() -> None:
    """A packet of no known port may match those of any port, where there are some."""
    last = "filter -A FORWARD -s 10.9.9.9/32 -j ACCEPT"
    ports = [f"filter -A FORWARD -p tcp -m tcp --dport {n} -j ACCEPT" for n in range(1, 41)]
    addresses = [f"filter -A FORWARD -d 10.9.9.{n}/32 -j ACCEPT" for n in range(40)]
    tcp = State(CLIENT, 40000, "10.9.9.7", 8, "eth0", None)
    icmp = tcp._replace(source_port=None, port=None)

    by_port, by_address = (
        Rulebook(ruleset(*lines, last)).chain("filter", "FORWARD") for lines in (ports, addresses)
    )

    assert by_port is not None
    assert by_address is not None
    # Both begin with rule 0; the last of the 41 rules is about no destination.
    assert list(by_port.candidates([tcp])) == [7, 40]
    assert list(by_port.candidates([icmp])) == [*range(41)]
    assert list(by_address.candidates([tcp])) == [7, 40]
    assert list(by_address.candidates([icmp])) == [7, 40]


OPTIONS = st.sampled_from(
    [
        "-s {}", "! -d {}", "-m iprange --dst-range {}", "-m conntrack --ctreplsrc {}",
        "-p tcp -m conntrack --ctorigdstport {}", "-p tcp -m multiport --dports {}",
        "-p icmp -m icmp --icmp-type {}", "-m mark --mark {}",
    ]
)  # fmt: skip
TARGETS = st.sampled_from(
    [
        "DROP", "DNAT --to-destination {}", "SNAT --to-source {}", "MASQUERADE --to-ports {}",
        "REDIRECT --to-ports {}", "MARK --set-xmark {}",
    ]
)  # fmt: skip
VALUES = st.text("0123456789.:-/[]xf", min_size=1, max_size=24).filter(
    lambda text: not text.startswith("-")
)


@given(OPTIONS, TARGETS, VALUES, VALUES, st.sampled_from(["tcp", "icmp"]))
def test_no_value_in_a_dump_ends_a_trace_otherwise_than_with_an_answer(
    option: str, target: str, asked: str, done: str, protocol: str
) -> None:
    rule = f"-A PREROUTING {option.format(asked)} -j {target.format(done)}"
    port = 80 if protocol == "tcp" else None

    answer = follow(f"nat {rule}", packet=Packet(NODE, port, protocol, source=CLIENT))

    assert all(d.outcomes for d in answer.distributions)


def test_what_one_rule_drops_is_one_row_with_its_whole_share() -> None:
    many = [endpoint(f"10.244.1.{n}", "node1") for n in range(1, 201)]
    objects = [*NODES, service(), endpoint_slice(*many)]

    answer = with_rules("filter -A FORWARD -j DROP", objects=objects)

    (distribution,) = answer.distributions
    assert len(distribution.outcomes) == 200
    ((share, verdict, where, *_),) = outcome_rows(distribution)
    assert (share, verdict) == ("all", "dropped")
    assert where.endswith(":8080 and 199 more")


def test_a_rule_decides_where_it_is_alone_and_of_two_neither_does() -> None:
    """Half of the packets are dropped by the one rule, the others are refused by the other."""
    half = "filter -A FORWARD -m statistic --mode random --probability 0.50000000000 -j DROP"
    (alone,) = follow(FORWARD_DROPS).distributions
    (halves,) = follow(half, "filter -A FORWARD -j REJECT").distributions

    rule = decided_by(alone)

    assert rule is not None
    assert rule.line == "-A FORWARD -j DROP"
    assert decided_by(halves) is None


def test_the_end_of_a_way_says_what_its_verdict_leaves_open() -> None:
    """The route to 198.51.100.0/24 is a blackhole, which no rule of the way tells."""
    answer = follow(packet=Packet("198.51.100.9", 80, source=CLIENT))

    (outcome,) = answer.outcomes
    assert "blackhole" in outcome.text
    *_, end = tree_lines(answer.outcomes)
    assert end == f"=> all: dropped 198.51.100.9:80 on host ({outcome.text})"


def test_a_hypothesis_is_a_sentence_with_the_command_that_checks_it() -> None:
    place = Cluster().node("host", {"interfaces": {"eth0": [f"{NODE}/24"]}})
    rules = ruleset("filter -A FORWARD -o docker0 -j DROP")

    answer = trace(rules, Packet(POD, 80, source=CLIENT), place)

    told = "(`ip route get 10.244.1.5` on host tells):"
    assert [condition for condition, _ in hypotheses(answer)] == [
        f"If it does not leave for 10.244.1.5 through docker0 {told}",
        f"If it leaves for 10.244.1.5 through docker0 {told}",
    ]
    (check,) = answer.distributions[0].checks
    assert answer.to_json()["distributions"][0]["checks"] == [
        {"node": "host", "command": "ip route get 10.244.1.5"}
    ]
    assert check.command == "ip route get 10.244.1.5"


def test_of_many_commands_the_first_three_are_named() -> None:
    answer = follow(*(f"filter -A FORWARD -m set --match-set s{n} src -j DROP" for n in range(4)))

    assert max(len(d.checks) for d in answer.distributions) == 4
    named = [re.findall(r"ipset test (\w+)", condition) for condition, _ in hypotheses(answer)]
    assert max(named, key=len) == ["s0", "s1", "s2"]


def test_of_too_many_hypotheses_each_is_looked_at_alone_with_its_share() -> None:
    """Of the packets that come to a chance, half take it: a half, a quarter, an eighth, ...

    Each chance has its own set, whose packets are dropped: ten sets have 1024 cases, more than 512.
    """
    chance = "-m statistic --mode random --probability 0.50000000000"
    rules = [
        rule
        for n in range(10)
        for rule in (
            f"filter -A FORWARD {chance} -j CHANCE{n}",
            f"filter -A CHANCE{n} -m set --match-set s{n} src -j DROP",
            f"filter -A CHANCE{n} -j ACCEPT",
        )
    ]

    answer = follow(*rules)

    never, *alone = answer.distributions
    assert (answer.exhaustive, never.arrives) == (False, True)
    assert {sum(o.share for o in d.outcomes) for d in answer.distributions} == {1}
    dropped = {
        check.command: {o.share for o in d.outcomes if o.verdict is Verdict.DROPPED}
        for d in alone
        for check in d.checks
    }
    assert dropped == {f"ipset test s{n} {CLIENT}": {Fraction(1, 2 ** (n + 1))} for n in range(10)}


def test_a_packet_that_nodes_send_to_and_fro_goes_in_a_loop_after_six() -> None:
    cluster = Cluster.from_objects(NODES)
    rules = {
        f"node{here}": (
            cluster.node(f"node{here}"),
            ruleset(
                f"nat -A PREROUTING -d 10.244.{here}.5/32 -j DNAT --to-destination 10.244.{to}.5"
            ),
        )
        for here, to in ((1, 2), (2, 1))
    }
    place, first = rules["node1"]

    answer = trace(first, Packet("10.244.1.5", 80, source=CLIENT), place, cluster, others=rules)

    way = " -> ".join(["node1", "node2"] * 3 + ["node1"])
    assert [o.text for d in answer.distributions for o in d.outcomes] == [
        f"it goes in a loop: {way}"
    ]
    # Nothing on the way gave it another source.
    assert not any(o.source_rewritten for d in answer.distributions for o in d.outcomes)


def test_a_set_and_a_recent_list_name_the_command_that_lists_them() -> None:
    answer = follow(
        "filter -A FORWARD -m set --match-set bad src -j DROP",
        "filter -A FORWARD -m recent --rcheck --name seen --rsource -j DROP",
    )

    assert {check.command for d in answer.distributions for check in d.checks} == {
        "ipset test bad 203.0.113.9", "cat /proc/net/xt_recent/seen",
    }  # fmt: skip


def test_a_name_in_a_dump_makes_no_command_of_its_own() -> None:
    answer = follow('filter -A FORWARD -m set --match-set "x;reboot" src -j DROP')

    assert {c.command for d in answer.distributions for c in d.checks} == {
        "ipset test 'x;reboot' 203.0.113.9"
    }


def test_a_node_port_that_no_service_has_names_those_nearby() -> None:
    other = service(ports=[{"name": "far", "port": 80, "nodePort": 31999}], clusterIP="10.96.0.11")
    other["metadata"]["name"] = "other"
    other["spec"]["clusterIPs"] = ["10.96.0.11"]

    answer = with_rules(objects=[*SERVICE_ON_BOTH, other], to="nodeport:30081")

    untranslated, nearby = (reason.text for reason in answer.reasons)
    assert untranslated == (
        "no rule translates 192.168.0.12:30081 on node2: the node itself gets the packet"
    )
    assert nearby == (
        "no Service of the cluster has node port 30081; the nearest: 30080/TCP (default/web:http), "
        "31999/TCP (default/other:far)"
    )


def test_a_node_port_of_another_protocol_is_not_said_to_be_nobodys() -> None:
    """The Service has node port 30080 for TCP, and the packet is of UDP."""
    answer = with_rules(objects=SERVICE_ON_BOTH, to="nodeport:30080/UDP")

    assert answer.reasons[1].text == (
        "no Service of the cluster has node port 30080/UDP; the nearest: "
        "30080/TCP (default/web:http)"
    )


def test_the_nearest_node_ports_come_first_whether_they_are_lower_or_higher() -> None:
    """From 31000 it is 1 to 31001, 2 to 30998 and 920 to 30080."""
    ports = [
        {"name": f"p{number}", "port": number, "nodePort": number}
        for number in (30080, 31001, 30998)
    ]

    answer = with_rules(objects=[*NODES, service(ports=ports)], to="nodeport:31000")

    assert answer.reasons[1].text == (
        "no Service of the cluster has node port 31000; the nearest: "
        "31001/TCP (default/web:p31001), 30998/TCP (default/web:p30998), "
        "30080/TCP (default/web:p30080)"
    )


def test_a_port_that_is_nothing_like_a_node_port_names_none() -> None:
    assert codes(with_rules(objects=SERVICE_ON_BOTH, to="node:22")) == ["no-listener"]


def unknown_node() -> Node:
    return Cluster().node("host")


def test_a_node_without_an_object_is_not_said_to_have_its_addresses() -> None:
    answer = trace(ruleset(), Packet(NODE, 80, source=CLIENT), unknown_node())

    (note,) = answer.notes
    assert "Node object (--facts" not in note
    assert note.startswith("the addresses of host are unknown")


def test_a_node_port_of_a_node_without_known_addresses_is_on_one_of_them() -> None:
    place = unknown_node()
    rules = ruleset(
        "nat -A PREROUTING -m addrtype --dst-type LOCAL -j DNAT --to-destination 10.1.1.1:8080"
    )

    answer = trace(rules, packet_between("outside", "nodeport:30080", node=place), place)

    assert answer.outcomes[0].where == "10.1.1.1:8080"


def test_a_node_that_only_facts_tell_of_has_the_address_of_its_uplink() -> None:
    packet = packet_between("outside", "node:80", node=host())

    assert packet.destination == NODE


def test_a_node_that_only_facts_tell_of_has_the_global_ipv6_address_of_its_uplink() -> None:
    """Not that of the link, and not the unique local one (RFC 6724, rules 2 and 6)."""
    facts = {
        "interfaces": {"lo": ["::1/128"], "eth0": ["fe80::7/64", "fd00::7/64", "2001:db8::7/64"]},
        "routes": [{"dst": "default", "gateway": "fe80::1", "dev": "eth0"}],
    }
    place = Cluster().node("host", facts)

    packet = packet_between("outside", "node:80", node=place, family=Family.IPV6)

    assert packet.destination == "2001:db8::7"


def test_the_answer_is_not_repeated_among_the_reasons() -> None:
    answer = with_rules(FORWARD_DROPS, objects=SERVICE_ON_BOTH)

    assert answer.reasons[0].text in answer_line(answer)
    assert answer.reasons[0] not in reasons_beside(answer)
    assert len(reasons_beside(answer)) == len(answer.reasons) - 1


CELLS = st.text("abc-:.0", min_size=1, max_size=70)


@given(st.lists(st.tuples(*[CELLS] * (len(HEADINGS) - 1)), min_size=1, max_size=4))
def test_tables_fit_80_columns_and_lose_nothing(rows: list[tuple[str, ...]]) -> None:
    table = [HEADINGS, *(("1/2", *row) for row in rows)]

    lines = list(table_lines(table))

    assert max(len(line) for line in lines) <= 80
    words = " ".join(lines).split()
    assert words == [word for row in table for cell in row for word in cell.split()]


def test_a_column_stays_on_the_line_while_it_fits_and_no_longer() -> None:
    """Two columns of 4 and 6 with the two blanks between them take 12, a third of 5 takes 19."""
    table = [("abcd", "ef", "g"), ("h", "ijklmn", "opqrs")]

    assert list(table_lines(table, 19)) == ["abcd  ef      g", "h     ijklmn  opqrs"]
    assert list(table_lines(table, 18)) == ["abcd  ef", "      g", "h     ijklmn", "      opqrs"]
    assert list(table_lines(table, 12)) == ["abcd  ef", "      g", "h     ijklmn", "      opqrs"]
    assert list(table_lines([("ab", "c", "d"), ("e", "fghi", "jkl")], 11)) == [
        "ab  c", "    d", "e   fghi", "    jkl",
    ]  # fmt: skip
    assert list(table_lines([("ab", "c", "d", "e"), ("f", "ghijk", "lm", "n")], 11)) == [
        "ab  c", "    d   e", "f   ghijk", "    lm  n",
    ]  # fmt: skip
    assert list(table_lines([("a", "bcd ef gh")], 6)) == ["a", "   bcd", "   ef", "   gh"]


@pytest.mark.parametrize(
    ("target", "source", "port"),
    [
        ("SNAT --to-source 10.9.9.9:20000", "10.9.9.9", 20000),
        ("SNAT --to-source 10.9.9.9:20000-30000", "10.9.9.9", 25000),
        # The port is kept where nobody else has it, which is not known.
        ("SNAT --to-source 10.9.9.9", "10.9.9.9", None),
        ("SNAT --to-source 10.9.9.9:20000-30000 --random", "10.9.9.9", None),
    ],
)
def test_the_port_that_a_translated_source_has(target: str, source: str, port: int | None) -> None:
    rule = Rule.parse(f"-A POSTROUTING -p tcp -j {target}", Family.IPV4)
    assert rule.target is not None

    found = new_source(rule.target)(State("10.1.1.1", 25000, POD, 80, "", "eth0"), tcp())
    assert (found.source, found.source_port, found.snat) == (source, port, True)


def tcp() -> Any:
    """What a translation asks of a node, of a TCP packet."""
    return SimpleNamespace(family=Family.IPV4, protocol="tcp")


def test_what_a_rule_changed_is_noted_and_nothing_else() -> None:
    answer = follow(
        "raw -A PREROUTING -j NOTRACK",
        "mangle -A PREROUTING -j MARK --set-xmark 0x1/0x1",
        "mangle -A PREROUTING -j MARK --set-xmark 0x1/0x1",
    )
    (outcome,) = answer.distributions[0].outcomes

    notes = [step.note for step in outcome.path if step.line.startswith("-A PREROUTING")]
    assert notes == ["connection is UNTRACKED", "mark becomes 0x1", ""]


def test_who_handles_services_is_asked_for_every_pair_of_dumps() -> None:
    """The first dump is the same object in both, and the second is another."""
    first = Ruleset.from_save("*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -i lo -j ACCEPT\nCOMMIT\n")
    plain = Ruleset.from_save("*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n")
    antrea = Ruleset.from_save(
        "*nat\n:ANTREA-OUTPUT - [0:0]\n-A ANTREA-OUTPUT -m set --match-set ANTREA-NODEPORT-IP "
        "dst,dst -j DNAT --to-destination 169.254.0.252\nCOMMIT\n"
    )
    handling = [
        trace((first, second), Packet(POD, 80, source=CLIENT), host()).handling
        for second in (plain, antrea, plain)
    ]

    assert [[each.who.value for each in found.others] for found in handling] == [
        [], ["antrea"], [],
    ]  # fmt: skip


def test_another_cluster_has_other_rules_on_its_nodes_whatever_was_kept() -> None:
    kept: dict[str, object] = {}
    found = []
    for address in ("10.244.2.5", "10.244.2.6"):
        objects = [*NODES, service(), endpoint_slice(endpoint(address, "node2"))]
        cluster = Cluster.from_objects(objects)
        place = cluster.node("node1")
        packet = packet_between("outside", "192.168.0.12:30080", node=place, cluster=cluster)
        rules = translate(cluster, place, ProxyConfig(), Family.IPV4)
        answer = trace(rules, packet, place, cluster, kept=kept)
        found.append({str(o.destination) for d in answer.distributions for o in d.outcomes})

    assert found == [{"10.244.2.5"}, {"10.244.2.6"}]


@pytest.mark.parametrize("spec", [{"clusterIP": "None"}, {"type": "ExternalName"}])
def test_a_service_without_a_cluster_ip_is_met_nowhere(spec: dict[str, str]) -> None:
    made = service(externalIPs=["198.51.100.1"])
    made["spec"] |= {"type": "ClusterIP", "externalName": "example.com", **spec}
    made["spec"]["ports"] = [{"port": 80}]
    cluster = Cluster.from_objects([made], lenient=True)

    assert Services(cluster, Family.IPV4).met("198.51.100.1", 80, "tcp") == []
