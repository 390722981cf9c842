"""Addresses as text and bytes: the same as the C library's, where that has IPv6."""

from __future__ import annotations

import socket
from ipaddress import IPv6Address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nptables.inet import pack_ipv4, pack_ipv6, unpack_ip, with_port

# inet_pton(3) and inet_ntop(3) of glibc 2.36.
WRITTEN = {
    "::": "::",
    "::1": "::1",
    "1::": "1::",
    "1:2:3:4:5:6:7::": "1:2:3:4:5:6:7:0",
    "::2:3:4:5:6:7:8": "0:2:3:4:5:6:7:8",
    "1:0:0:2:0:0:0:3": "1:0:0:2::3",
    "1:0:0:2:0:0:3:4": "1::2:0:0:3:4",
    "2001:DB8::00A:0": "2001:db8::a:0",
    "::1.2.3.4": "::1.2.3.4",
    "::102:304": "::1.2.3.4",
    "::ffff:1.2.3.4": "::ffff:1.2.3.4",
    "::ffff:0:1.2.3.4": "::ffff:0:102:304",
    "64:ff9b::1.2.3.4": "64:ff9b::102:304",
    "1:2:3:4:5:6:1.2.3.4": "1:2:3:4:5:6:102:304",
    "::fffe:102:304": "::fffe:102:304",
}
NONE = (
    "", ":", ":::", "1", "1::2::3", "::1:", ":1::", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7", "1:",
    "1::2:3:4:5:6:7:8", "12345::", "::g", "::1.2.3", "::1.2.3.4.5", "::1.2.3.256", "::01.2.3.4",
    "1.2.3.4::", "1:2:3:4:5:6:7:1.2.3.4", "::1%eth0", " ::1", "::1 ", "::\u0661", "::+1", "::1_0",
    "1.2.3.4",
)  # fmt: skip
NONE_OF_FOUR = ("", "1", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.-4", "1.2.3.4 ",
                "1.2.3.\u0664", "1..2.3", "0x1.2.3.4", "1.2.3.4\0", "::1")  # fmt: skip


@pytest.mark.parametrize(("text", "printed"), WRITTEN.items())
def test_an_ipv6_address_is_read_and_written_as_the_c_library_does(text: str, printed: str) -> None:
    packed = pack_ipv6(text)

    assert packed is not None
    assert packed == IPv6Address(text).packed
    assert unpack_ip(packed) == printed


@pytest.mark.parametrize("text", NONE)
def test_what_is_no_ipv6_address_is_none(text: str) -> None:
    assert pack_ipv6(text) is None


@pytest.mark.parametrize("text", NONE_OF_FOUR)
def test_what_is_no_ipv4_address_is_none(text: str) -> None:
    assert pack_ipv4(text) is None


def test_an_ipv4_address_is_four_octets() -> None:
    assert pack_ipv4("192.0.2.255") == b"\xc0\x00\x02\xff"
    assert unpack_ip(b"\xc0\x00\x02\xff") == "192.0.2.255"


def _of_library(family: int, text: str) -> bytes | None:
    try:
        return socket.inet_pton(family, text)
    except (OSError, ValueError):
        return None


has_ipv6 = pytest.mark.skipif(
    _of_library(socket.AF_INET6, "::1") is None, reason="the C library has no IPv6 here"
)


@has_ipv6
@given(st.text("0123456789abcdefF:.", max_size=42))
@example("1:2:3:4:5:6:7::8")
def test_any_text_is_read_as_the_c_library_reads_it(text: str) -> None:
    assert pack_ipv6(text) == _of_library(socket.AF_INET6, text)
    assert pack_ipv4(text) == _of_library(socket.AF_INET, text)


def test_a_port_stands_behind_an_ipv6_address_in_brackets() -> None:
    """As RFC 3986 has it, for a colon stands in the address as well."""
    assert (with_port("10.0.0.1", 80), with_port("fd00::1", "80")) == (
        "10.0.0.1:80",
        "[fd00::1]:80",
    )


groups = st.lists(st.sampled_from(["0", "0", "0", "1", "ffff", "00f"]), min_size=5, max_size=9)


@has_ipv6
@given(groups, st.sampled_from(["", "1.2.3.4"]), st.integers(0, 9))
def test_any_groups_are_read_as_the_c_library_reads_them(
    parts: list[str], last: str, gap: int
) -> None:
    text = ":".join([*parts[:gap], "", *parts[gap:]] + ([last] if last else []))

    assert pack_ipv6(text) == _of_library(socket.AF_INET6, text)


@has_ipv6
@given(st.lists(st.sampled_from([0, 0, 0, 1, 0xFFFF]), min_size=8, max_size=8))
def test_any_bytes_are_written_as_the_c_library_writes_them(values: list[int]) -> None:
    packed = b"".join(value.to_bytes(2) for value in values)

    assert unpack_ip(packed) == socket.inet_ntop(socket.AF_INET6, packed)
    assert pack_ipv6(unpack_ip(packed)) == packed
