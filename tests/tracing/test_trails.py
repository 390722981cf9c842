"""The steps of a packet's way, however many there are."""

from __future__ import annotations

import pytest

from nptables.tracing.state import Trail, further


@pytest.mark.parametrize("count", [1, 2, 499, 500, 501, 1000, 1001, 5003])
def test_a_trail_has_all_steps_in_order_and_is_not_nested_deep(count: int) -> None:
    """What is nested deep is given up recursively, for which WebAssembly has little stack."""
    trail: Trail | None = None
    for number in range(count):
        trail = further(trail, number)

    assert trail is not None
    assert tuple(range(count)) == trail.steps()
    nested = 0
    while trail is not None:
        trail, nested = trail.before, nested + 1
    assert nested <= 500
