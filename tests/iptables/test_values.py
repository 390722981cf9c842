"""Values of options as they are printed, against the tables that define them."""

from __future__ import annotations

import pytest

from nptables.family import Family
from nptables.iptables.values import (
    Unsettled,
    among,
    dscp,
    icmp_type,
    nat_ports,
    network,
    port_range,
    probability,
    rate,
)

# RFC 2474 (class selectors), RFC 2597 (assured forwarding), RFC 3246 (expedited forwarding).
CODE_POINTS = {
    "BE": 0, "EF": 46, "CS1": 8, "CS6": 48, "CS7": 56, "AF11": 10, "AF12": 12, "AF13": 14,
    "AF21": 18, "AF22": 20, "AF23": 22, "AF31": 26, "AF32": 28, "AF33": 30, "AF41": 34, "AF42": 36,
    "AF43": 38, "af11": 10,
}  # fmt: skip


@pytest.mark.parametrize(("name", "value"), CODE_POINTS.items())
def test_a_class_is_the_code_point_that_the_standard_gives_it(name: str, value: int) -> None:
    assert dscp(name) == f"0x{value:02x}"


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("0", 0), ("1", 1 << 31), ("1.", 1 << 31), ("1.000", 1 << 31), (".5", 1 << 30),
        ("0.33333333349", 715827883), ("0.3333333333", 715827883),
        # 2^-32 and 3 * 2^-32 are just between two steps: lround(3) goes away from zero.
        ("0.000000000232830643653869628906", 1), ("0.000000000698491930961608886719", 2),
        ("0.00000000023", 0), ("0.00000000024", 1),
    ],
)  # fmt: skip
def test_a_probability_is_printed_in_the_step_that_is_stored(text: str, steps: int) -> None:
    """`statistic_parse` in libxt_statistic.c: lround(0x80000000 * probability)."""
    assert f"{steps / 2**31:.11f}" == probability(text)


@pytest.mark.parametrize("text", ["1.1", "2", "-0.1", "", ".", "1e-3", "00.5", "0.5x", "1.00001"])
def test_what_is_no_probability_is_not_read(text: str) -> None:
    with pytest.raises(Unsettled):
        probability(text)


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("80", "80"), ("http", "80"), ("0", "0"), ("65535", "65535"), ("0x50", "80"),
        ("80:90", "80:90"), (":90", "0:90"), ("80:", "80:65535"), (":", "0:65535"),
        ("80:80", "80"), ("65535:", "65535"), (":0", "0"), ("http:https", "80:443"),
    ],
)  # fmt: skip
def test_ports_are_printed_by_number_with_the_open_ends_filled_in(text: str, printed: str) -> None:
    """`parse_port_range` in libxt_tcp.c; the numbers of names are those of /etc/services."""
    assert port_range(text) == printed


@pytest.mark.parametrize(
    "text", ["65536", "90:80", "1:0", "x", "", "80:x", "080", "00", "-1", "1:2:3"]
)
def test_what_is_no_port_is_not_read(text: str) -> None:
    with pytest.raises(Unsettled):
        port_range(text)


@pytest.mark.parametrize(
    ("text", "printed"),
    [("80", "80"), ("80-90", "80-90"), ("80-80", "80"), ("ftp-data", "20"), ("0", "0"),
     ("65535-65535", "65535")],
)  # fmt: skip
def test_ports_of_a_translation_are_one_or_from_one_to_another(text: str, printed: str) -> None:
    assert nat_ports(text) == printed


@pytest.mark.parametrize("text", ["90-80", "65536", "1-", "-1", "80-65536"])
def test_what_is_no_port_to_translate_to_is_not_read(text: str) -> None:
    with pytest.raises(Unsettled):
        nat_ports(text)


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("10.1.2.3", "10.1.2.3/32"), ("10.1.2.3/24", "10.1.2.0/24"), ("0/0", "0.0.0.0/0"),
        ("10.1.2.3/0", "0.0.0.0/0"), ("10.1.2.3/32", "10.1.2.3/32"), ("10.1.2.3/31", "10.1.2.2/31"),
        ("10.1.2.3/255.255.0.0", "10.1.0.0/16"), ("10.1.2.3/255.0.255.0", "10.0.2.0/255.0.255.0"),
        ("10.1.2.3/0.0.0.0", "0.0.0.0/0"), ("10.1.2.3/255.255.255.255", "10.1.2.3/32"),
    ],
)  # fmt: skip
def test_a_network_is_printed_without_host_bits(text: str, printed: str) -> None:
    """10.1.2.3 and the mask, bit by bit."""
    assert network(text, Family.IPV4) == printed


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("fd00::1", "fd00::1/128"), ("fd00::1/64", "fd00::/64"), ("::/0", "::/0"),
        ("fd00::3/127", "fd00::2/127"), ("fd00::1/ffff::", "fd00::/16"),
        ("fd00::5/ffff::f", "fd00::5/ffff::f"),
    ],
)  # fmt: skip
def test_a_network_of_ipv6_is_printed_without_host_bits(text: str, printed: str) -> None:
    assert network(text, Family.IPV6) == printed


@pytest.mark.parametrize("text", ["10.1.2.3/33", "10.1.2", "10.1.2.3/x", "0/1", "::/0", ""])
def test_what_is_no_network_is_not_read(text: str) -> None:
    with pytest.raises(Unsettled):
        network(text, Family.IPV4)


@pytest.mark.parametrize(
    ("text", "scale", "printed"),
    [
        # Stored is the time between two packets in units of 1/scale s; printed in the largest
        # unit, from seconds down to days, in which a whole number of packets comes of it.
        ("1/second", 10_000, "1/sec"),
        ("60/minute", 10_000, "1/sec"), ("1/minute", 10_000, "1/min"),
        ("3/hour", 10_000, "3/hour"), ("24/day", 10_000, "1/hour"), ("1/day", 10_000, "1/day"),
        ("10/s", 10_000, "10/sec"), ("5", 10_000, "5/sec"), ("7/min", 10_000, "7/min"),
        # 600,000 // 61 = 9836: of a second that leaves 164, more than the one packet in it.
        ("61/minute", 10_000, "61/min"), ("10000/s", 10_000, "10000/sec"),
        ("1000000/s", 1_000_000, "1000000/sec"),
    ],
)  # fmt: skip
def test_a_rate_is_printed_in_the_unit_that_fits(text: str, scale: int, printed: str) -> None:
    """`print_rate` in libxt_limit.c (scale 10,000) and libxt_hashlimit.c (1,000,000)."""
    assert rate(text, scale) == printed


@pytest.mark.parametrize(
    ("text", "scale"), [("10001/s", 10_000), ("0/s", 10_000), ("1/week", 10_000), ("x", 10_000)]
)
def test_what_is_no_rate_is_not_read(text: str, scale: int) -> None:
    with pytest.raises(Unsettled):
        rate(text, scale)


def test_a_unit_that_would_change_can_be_refused() -> None:
    assert rate("2/sec", 10_000, keep_unit=True) == "2/sec"
    with pytest.raises(Unsettled):
        rate("60/minute", 10_000, keep_unit=True)


@pytest.mark.parametrize(
    ("text", "family", "printed"),
    [
        ("8", Family.IPV4, "8"), ("254", Family.IPV4, "254"), ("3/1", Family.IPV4, "3/1"),
        ("3/255", Family.IPV4, "3/255"), ("255", Family.IPV6, "255"), ("128", Family.IPV6, "128"),
        ("echo-request", Family.IPV4, "8"), ("echo-request", Family.IPV6, "128"),
    ],
)  # fmt: skip
def test_an_icmp_type_is_printed_by_number(text: str, family: Family, printed: str) -> None:
    assert icmp_type(text, family) == printed


@pytest.mark.parametrize(
    ("text", "family"),
    # 255 means any type to IPv4.
    [("255", Family.IPV4), ("256", Family.IPV6), ("3/256", Family.IPV4), ("x", Family.IPV4)],
)
def test_what_is_no_icmp_type_is_not_read(text: str, family: Family) -> None:
    with pytest.raises(Unsettled):
        icmp_type(text, family)


STATES = ("INVALID", "NEW", "ESTABLISHED", "RELATED", "UNTRACKED", "SNAT", "DNAT")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        # `iptables -m conntrack --ctstate est,n` is printed as NEW,ESTABLISHED.
        ("est,n", {"NEW", "ESTABLISHED"}),
        ("RELATED", {"RELATED"}),
        ("d,S", {"DNAT", "SNAT"}),
    ],
)
def test_a_word_of_a_list_may_be_cut_short(text: str, words: set[str]) -> None:
    assert words == among(text, STATES)


@pytest.mark.parametrize("text", ["8NEW", "", "NEW,", "NEWS", "NEW ESTABLISHED"])
def test_a_list_with_a_word_that_begins_like_none_is_not_settled(text: str) -> None:
    """iptables: `Bad state`."""
    with pytest.raises(Unsettled):
        among(text, STATES)
