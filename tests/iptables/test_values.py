"""Values of options as they are printed, against the tables that define them."""

from __future__ import annotations

import pytest

from nptables.iptables.values import Unsettled, dscp, probability

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
