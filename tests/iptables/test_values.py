"""Values of options as they are printed, against the tables that define them."""

from __future__ import annotations

import pytest

from nptables.iptables.values import dscp

# RFC 2474 (class selectors), RFC 2597 (assured forwarding), RFC 3246 (expedited forwarding).
CODE_POINTS = {
    "BE": 0, "EF": 46, "CS1": 8, "CS6": 48, "CS7": 56, "AF11": 10, "AF12": 12, "AF13": 14,
    "AF21": 18, "AF22": 20, "AF23": 22, "AF31": 26, "AF32": 28, "AF33": 30, "AF41": 34, "AF42": 36,
    "AF43": 38, "af11": 10,
}  # fmt: skip


@pytest.mark.parametrize(("name", "value"), CODE_POINTS.items())
def test_a_class_is_the_code_point_that_the_standard_gives_it(name: str, value: int) -> None:
    assert dscp(name) == f"0x{value:02x}"
