"""Classes of source addresses, and the networks that they are written as."""

from __future__ import annotations

from fractions import Fraction
from ipaddress import IPv4Network, ip_network

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nptables.effects import Sources
from nptables.effects.result import _few
from nptables.effects.rules.lines import Reader
from nptables.effects.source_classes import Space
from nptables.effects.words import _listed, _number
from nptables.family import Family

addresses = st.integers(0, 2**32 - 1)
spans = st.tuples(addresses, addresses).map(lambda pair: (min(pair), max(pair)))


@given(st.lists(spans, max_size=8), st.lists(addresses, min_size=1, max_size=20))
@settings(max_examples=60, deadline=None)
@example([(5 << 24, 9 << 24), (1 << 24, (5 << 24) - 1)], [2 << 24, 7 << 24, 20 << 24])
def test_addresses_are_of_one_class_exactly_if_the_same_spans_hold_them(
    cuts: list[tuple[int, int]], probes: list[int]
) -> None:
    space = Space.undivided(Family.IPV4).divided(cuts)
    usable = [a for a in probes if space.kind_of(a) in space.usable]

    def held(address: int) -> list[bool]:
        return [first <= address <= last for first, last in cuts]

    for one in usable:
        for other in usable:
            alike = held(one) == held(other)
            assert alike is (space.kind_of(one) == space.kind_of(other))
        assert any(first <= one <= last for first, last in space.intervals(space.kind_of(one)))


def test_what_no_packet_has_as_its_source_is_of_no_class_that_is_used() -> None:
    space = Space.undivided(Family.IPV4)

    for text in ("0.0.0.0", "0.255.255.255", "224.0.0.1", "239.255.255.255", "255.255.255.255"):
        assert space.kind_of(int(IPv4Network(text).network_address)) not in space.usable
    for text in ("1.0.0.0", "127.0.0.1", "223.255.255.255", "255.255.255.254"):
        assert space.kind_of(int(IPv4Network(text).network_address)) in space.usable


@given(st.lists(spans, min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_networks_are_exactly_the_spans(wanted: list[tuple[int, int]]) -> None:
    in_order = []
    for first, last in sorted(wanted):
        if not in_order or first > in_order[-1][1] + 1:
            in_order.append((first, last))
    sources = Sources(Family.IPV4, tuple(in_order))

    held = [ip_network(text) for text in sources.networks]
    assert sum(n.num_addresses for n in held) == sum(b - a + 1 for a, b in in_order)
    for network in held:
        first = int(network.network_address)
        assert any(a <= first <= first + network.num_addresses - 1 <= b for a, b in in_order)


def test_lines_that_differ_in_names_alone_have_one_template() -> None:
    reader = Reader(Family.IPV4)
    one = reader.read(
        '-A KUBE-SVC-A ! -s 10.0.0.0/8 -d 172.16.0.3/32 -p tcp -m comment --comment "a/b -j DROP" '
        "-m tcp --dport 80 -j KUBE-MARK-MASQ"
    )
    other = reader.read(
        "-A KUBE-SVC-B ! -s 10.0.0.0/8 -d 172.16.9.9/32 -p tcp -m tcp --dport 81 -j OTHER"
    )

    assert one.template == other.template
    assert (one.hosts, one.ports, one.target) == (("172.16.0.3",), (80,), "KUBE-MARK-MASQ")
    assert one.spans == other.spans == ((0x0A000000, 0x0AFFFFFF),)


def test_a_mask_with_gaps_and_single_bytes_leave_it_open_which_sources_are_told_apart() -> None:
    reader = Reader(Family.IPV4)

    assert "gaps" in reader.read("-A X -s 10.0.1.5/255.0.255.255 -j DROP").sources_open
    assert "u32" in reader.read('-A X -m u32 --u32 "0xc=0x1" -j DROP').sources_open
    assert reader.read("-A X -s 10.0.0.0/255.255.0.0 -j DROP").sources_open == ""


def test_of_more_than_five_networks_four_are_named() -> None:
    networks = [f"10.0.{number}.0/24" for number in range(7)]

    assert list(_few(networks[:5])) == networks[:5]
    assert list(_few(networks[:6])) == [*networks[:4], "2 more networks"]
    assert list(_few(networks)) == [*networks[:4], "3 more networks"]


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (Fraction(715827883, 1 << 31), "1/3"),
        (Fraction(1, 2), "1/2"),
        (Fraction(99, 100), "99/100"),
        (Fraction(1, 101), "0.99 %"),
        # Less than a millionth from a third, and more.
        (Fraction(1, 3) + Fraction(9, 10**7), "1/3"),
        (Fraction(1, 3) + Fraction(15, 10**7), "33.33 %"),
    ],
)
def test_a_share_is_written_as_people_write_it(share: Fraction, text: str) -> None:
    assert _number(share) == text


def test_of_more_than_four_endpoints_the_first_four_are_named() -> None:
    assert _listed(["a"]) == "a"
    assert _listed(["a", "b", "c", "d"]) == "a, b, c and d"
    assert _listed(["a", "b", "c", "d", "e", "f"]) == "a, b, c, d and 2 more"
