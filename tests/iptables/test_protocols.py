"""Numbers as C reads them, and the names of protocols."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nptables.iptables.protocols import NAMES, c_number, protocol_name

MOST = 2**32 - 1


@given(st.integers(0, MOST), st.sampled_from(["{}", "0{:o}", "0x{:x}", "0X{:X}", "000{:o}"]))
def test_every_number_is_read_as_it_was_written(number: int, form: str) -> None:
    """`0x` is base 16, `0` base 8: strtoul(3) with base 0."""
    assert number == c_number(form.format(number))


@pytest.mark.parametrize(
    ("text", "most", "value"),
    [
        ("0", 255, 0),
        ("255", 255, 255),
        ("256", 255, None),
        ("4294967295", MOST, MOST),
        ("4294967296", MOST, None),
        ("0x100000000", MOST, None),
        ("040000000000", MOST, None),
        ("0" * 40 + "17", 255, 15),
        ("0x" + "0" * 40 + "11", 255, 17),
        ("9" * 5000, MOST, None),
        ("08", 255, None),
        ("0x", 255, None),
        ("x1", 255, None),
        ("1x", 255, None),
        ("-1", 255, None),
        ("+1", 255, None),
        (" 1", 255, None),
        ("", 255, None),
        ("\N{ARABIC-INDIC DIGIT ONE}", 255, None),
    ],
)
def test_what_is_no_number_or_too_large_is_none(text: str, most: int, value: int | None) -> None:
    assert value == c_number(text, most)


@pytest.mark.parametrize(
    ("number", "name"),
    [
        # `xtables_chain_protos` in libxtables/xtables.c, then /etc/protocols of Debian.
        (6, "tcp"), (132, "sctp"), (17, "udp"), (136, "udplite"), (1, "icmp"), (58, "ipv6-icmp"),
        (50, "esp"), (51, "ah"), (135, "mobility-header"), (2, "igmp"), (33, "dccp"), (41, "ipv6"),
        (43, "ipv6-route"), (44, "ipv6-frag"), (46, "rsvp"), (47, "gre"), (59, "ipv6-nonxt"),
        (60, "ipv6-opts"), (88, "eigrp"), (89, "ospf"), (103, "pim"), (108, "ipcomp"),
        (112, "vrrp"), (115, "l2tp"),
    ],
)  # fmt: skip
def test_a_protocol_has_the_name_that_iptables_prints(number: int, name: str) -> None:
    assert [protocol_name(text) for text in (str(number), hex(number), name.upper())] == [name] * 3


def test_a_number_without_a_name_has_none() -> None:
    unnamed = set(range(256)) - NAMES.keys()

    assert {protocol_name(str(number)) for number in unnamed} == {None}
    assert len(unnamed) == 256 - 24
